// Scales, axes and marks. A chart is drawn at the width that it has, so that its text keeps its size.

const MARGIN = { left: 56, right: 14, top: 14, bottom: 44 };

function scaleOf(values, size, reverse = false) {
  let low = Math.min(...values),
    high = Math.max(...values);
  if (!(high > low))
    [low, high] = [low - (Math.abs(low) || 1) * 0.1, high + (Math.abs(high) || 1) * 0.1];
  const pad = (high - low) * 0.05;
  [low, high] = [low - pad, high + pad];
  const at = (value) => {
    const share = (value - low) / (high - low);
    return (reverse ? 1 - share : share) * size;
  };
  return { at, low, high, size };
}

function ticksOf(scale, wanted) {
  const rough = (scale.high - scale.low) / Math.max(1, wanted);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= rough) * power;
  const ticks = [];
  for (let index = Math.ceil(scale.low / step); index * step <= scale.high; index += 1) {
    ticks.push(index * step);
  }
  return ticks;
}

// Draws on resize; `paint(width)` returns the svg's children and height.
function chart(label, paint) {
  const figure = make("figure", {});
  let drawn = 0;
  const redraw = () => {
    const width = Math.max(280, Math.floor(figure.clientWidth || 640));
    drawn = width;
    const { height, children } = paint(width);
    const svg = draw(
      "svg",
      { viewBox: `0 0 ${width} ${height}`, height, role: "group", "aria-label": label },
      children,
    );
    const old = figure.querySelector("svg");
    if (old) old.replaceWith(svg);
    else figure.prepend(svg);
  };
  new ResizeObserver(() => {
    if (Math.abs(figure.clientWidth - drawn) > 1) requestAnimationFrame(redraw);
  }).observe(figure);
  return { figure, redraw };
}

function axes(across, upward, width, height, names, percents) {
  const [inner, outer] = [width - MARGIN.left - MARGIN.right, height - MARGIN.top - MARGIN.bottom];
  const lines = [];
  const shown = (value, percent) =>
    percent ? number(value, true).replace(/\.0$/, "") : number(value, false);
  for (const tick of ticksOf(across, inner / 90)) {
    const x = MARGIN.left + across.at(tick);
    lines.push(
      draw("line", { x1: x, x2: x, y1: MARGIN.top, y2: MARGIN.top + outer, stroke: "var(--line)" }),
      draw(
        "text",
        { x, y: height - 26, "text-anchor": "middle", class: "quiet" },
        shown(tick, percents[0]),
      ),
    );
  }
  for (const tick of ticksOf(upward, outer / 45)) {
    const y = MARGIN.top + upward.at(tick);
    lines.push(
      draw("line", {
        x1: MARGIN.left,
        x2: MARGIN.left + inner,
        y1: y,
        y2: y,
        stroke: "var(--line)",
      }),
      draw(
        "text",
        { x: MARGIN.left - 8, y: y + 4, "text-anchor": "end", class: "quiet" },
        shown(tick, percents[1]),
      ),
    );
  }
  lines.push(
    draw("text", { x: MARGIN.left + inner, y: height - 6, "text-anchor": "end" }, names[0]),
    draw(
      "text",
      { x: 14, y: MARGIN.top, transform: `rotate(-90 14 ${MARGIN.top})`, "text-anchor": "end" },
      names[1],
    ),
  );
  return lines;
}

function symbol(kind, x, y, size, attributes = {}) {
  const common = { ...attributes };
  switch (kind) {
    case "knee":
      return draw("path", {
        d: `M${x} ${y - size * 1.4}L${x + size * 1.4} ${y}L${x} ${y + size * 1.4}L${x - size * 1.4} ${y}Z`,
        ...common,
      });
    case "parent":
      return draw("path", {
        d: `M${x} ${y - size * 1.2}L${x + size * 1.15} ${y + size}L${x - size * 1.15} ${y + size}Z`,
        ...common,
      });
    case "hand":
      return draw("rect", {
        x: x - size * 0.9,
        y: y - size * 0.9,
        width: size * 1.8,
        height: size * 1.8,
        ...common,
      });
    default:
      return draw("circle", { cx: x, cy: y, r: size, ...common });
  }
}

// Several lines over one axis: `series` are {name, points, dashed}.
function lineChart(label, series, names, percents = [false, false], size = 260) {
  return chart(label, (width) => {
    const points = series.flatMap((one) => one.points);
    if (!points.length) return { height: 24, children: [] };
    const across = scaleOf(
      points.map((point) => point[0]),
      width - MARGIN.left - MARGIN.right,
    );
    const upward = scaleOf(
      points.map((point) => point[1]),
      size - MARGIN.top - MARGIN.bottom,
      true,
    );
    const children = axes(across, upward, width, size, names, percents);
    for (const line of series) {
      const path = line.points.map(
        ([x, y], index) =>
          `${index ? "L" : "M"}${(MARGIN.left + across.at(x)).toFixed(1)} ${(MARGIN.top + upward.at(y)).toFixed(1)}`,
      );
      children.push(
        draw(
          "path",
          {
            d: path.join(""),
            fill: "none",
            stroke: line.color,
            "stroke-width": 2,
            "stroke-dasharray": line.dashed ? "6 4" : null,
          },
          draw("title", {}, line.name),
        ),
      );
    }
    return { height: size, children };
  });
}

// Horizontal bars in parts: `rows` are {name, parts: [value]}; shares may be negative.
function barChart(label, rows, colors, shown) {
  return chart(label, (width) => {
    const longest = Math.max(0, ...rows.map((row) => row.name.length));
    const left = Math.min(longest * 7.2 + 12, width * 0.5),
      right = 92,
      step = 26;
    const ends = rows.map((row) => row.parts.reduce((sum, part) => sum + Math.abs(part), 0));
    const unit = (width - left - right) / Math.max(1e-12, ...ends);
    const children = [];
    rows.forEach((row, index) => {
      const y = index * step + 4;
      let x = left;
      children.push(draw("text", { x: left - 8, y: y + 14, "text-anchor": "end" }, row.name));
      row.parts.forEach((part, which) => {
        const length = Math.abs(part) * unit;
        children.push(
          draw(
            "rect",
            {
              x,
              y,
              width: Math.max(0, length - 1),
              height: 18,
              fill: colors[which % colors.length],
              "fill-opacity": part < 0 ? 0.35 : 1,
            },
            draw("title", {}, `${row.name}: ${shown(part)}`),
          ),
        );
        x += length;
      });
      children.push(draw("text", { x: x + 6, y: y + 14, class: "quiet" }, row.label ?? ""));
    });
    return { height: rows.length * step + 8, children };
  });
}

function legend(entries) {
  return make(
    "ul",
    { class: "legend" },
    entries.map(([mark, name]) =>
      make("li", {}, draw("svg", { viewBox: "0 0 18 18", "aria-hidden": "true" }, mark), name),
    ),
  );
}

const COLORS = [0, 1, 2, 3, 4, 5].map((index) => `var(--c${index})`);

function swatches(names, dashed = false) {
  return legend(
    names.map((name, index) => [
      dashed
        ? draw("path", { d: "M1 9H17", stroke: COLORS[index % 6], "stroke-width": 3 })
        : draw("rect", { x: 2, y: 2, width: 14, height: 14, fill: COLORS[index % 6] }),
      name,
    ]),
  );
}
