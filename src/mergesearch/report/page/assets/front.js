// The front: every trial as a mark, the members with intervals, and what they dominate.

const Z = 1.959964; // half the width of a 95 % interval in standard errors
const SHADES = ["#440154", "#3b528b", "#21918c", "#5ec962", "#fde725"]; // viridis

function roleOf(trial) {
  if (trial.knee) return "knee";
  if (trial.parent) return "parent";
  if (trial.member) return "member";
  return trial.hand ? "hand" : "faded";
}

function titleOf(trial) {
  const words = [`trial ${trial.number}`];
  if (trial.parent) words.push(trial.parent);
  if (trial.knee) words.push("knee");
  if (trial.hand && !trial.parent) words.push("by hand");
  return words.join(", ");
}

function shade(share) {
  const place = Math.min(0.9999, Math.max(0, share)) * (SHADES.length - 1);
  const [low, high] = [SHADES[Math.floor(place)], SHADES[Math.floor(place) + 1]];
  const mixed = [1, 3, 5].map((start) => {
    const [a, b] = [low, high].map((color) => parseInt(color.slice(start, start + 2), 16));
    return Math.round(a + (b - a) * (place % 1))
      .toString(16)
      .padStart(2, "0");
  });
  return `#${mixed.join("")}`;
}

// The ends of an interval; a share of 1 has none beyond 0 and 1.
function endsOf([value, error], axis, reach = Z) {
  const ends = [value - reach * error, value + reach * error];
  return axis.percent ? ends.map((end) => Math.min(1, Math.max(0, end))) : ends;
}

// What the validate items tell: of a confirmed front together with the search.
function confirmedOf(trial) {
  return trial.scores.confirmed ?? trial.scores.validate;
}

// The best that is known of a trial.
function knownOf(trial) {
  return confirmedOf(trial) ?? trial.scores.search;
}

function drawn(page) {
  return page.trials.filter((trial) => trial.scores.search && !trial.reused);
}

// `view`: {x, y: indices of objectives, color: null or an index, reference: whether it is shown}
function frontChart(page, view, pins, size, onPin) {
  const trials = drawn(page);
  const [left, up] = [page.axes[view.x], page.axes[view.y]];
  const tip = make("div", { class: "tip", hidden: true });
  const made = chart(`${up.name} over ${left.name}`, (width) => {
    const height = size ?? Math.min(560, Math.max(360, width * 0.6));
    const across = scaleOf(
      extent(page, trials, view.x, view.reference),
      width - MARGIN.left - MARGIN.right,
      left.minimize,
    );
    const upward = scaleOf(
      extent(page, trials, view.y, view.reference),
      height - MARGIN.top - MARGIN.bottom,
      !up.minimize,
    );
    const place = (point) =>
      point && [
        MARGIN.left + across.at(point[view.x][0]),
        MARGIN.top + upward.at(point[view.y][0]),
      ];
    const names = [left, up].map(
      (axis) =>
        axis.name + (axis.percent ? " (%)" : "") + (axis.minimize ? ", less is better" : ""),
    );
    const children = axes(across, upward, width, height, names, [left.percent, up.percent]);
    const corner = [MARGIN.left + across.at(left.reference), MARGIN.top + upward.at(up.reference)];
    if (view.reference) children.push(...dominated(trials, place, corner));
    children.push(...sweepLine(page.sweep.map(place)));
    const order = ["faded", "hand", "member", "parent", "knee"];
    const sorted = [...trials].sort((a, b) => order.indexOf(roleOf(a)) - order.indexOf(roleOf(b)));
    for (const trial of sorted) {
      if (trial.member) children.push(...intervals(page, trial, view, across, upward, place));
    }
    const colors = colorsOf(trials, view.color);
    const marks = sorted.map((trial) =>
      mark(trial, place(trial.scores.search), colors(trial), pins, onPin, tip, page),
    );
    rove(
      marks,
      sorted.map((trial) => place(trial.scores.search)[0]),
    );
    return { height, children: [...children, ...marks] };
  });
  made.figure.append(tip);
  return made;
}

function extent(page, trials, index, reference) {
  const swept = page.sweep.map((scores) => scores[index][0]);
  const values = trials.flatMap((trial) => {
    const points = [trial.scores.search[index], confirmedOf(trial)?.[index]].filter(Boolean);
    const reach = trial.member ? Z : 0;
    return points.flatMap((point) => endsOf(point, page.axes[index], reach));
  });
  return [...values, ...swept, ...(reference ? [page.axes[index].reference] : [])];
}

// The line between two parents: what a search has to beat.
function sweepLine(places) {
  const path = places.map(([x, y], index) => `${index ? "L" : "M"}${x} ${y}`).join("");
  const crosses = places.map(([x, y]) => `M${x - 4} ${y - 4}l8 8M${x - 4} ${y + 4}l8 -8`).join("");
  return [
    draw("path", { d: path, fill: "none", stroke: "var(--hand)", "stroke-dasharray": "2 4" }),
    draw("path", { d: crosses, stroke: "var(--hand)", "stroke-width": 1.5 }),
  ];
}

function dominated(trials, place, corner) {
  const points = trials
    .filter((trial) => trial.member)
    .map((trial) => place(knownOf(trial)))
    .filter(([x, y]) => x > corner[0] && y < corner[1])
    .sort((a, b) => b[0] - a[0]);
  const kept = [];
  for (const point of points) {
    if (!kept.length || point[1] < kept[kept.length - 1][1]) kept.push(point);
  }
  const cross = [
    draw(
      "path",
      {
        d: `M${corner[0] - 6} ${corner[1]}h12M${corner[0]} ${corner[1] - 6}v12`,
        stroke: "var(--ink)",
        "stroke-width": 2,
      },
      draw("title", {}, "reference point"),
    ),
  ];
  if (!kept.length) return cross;
  let path = `M${corner[0]} ${corner[1]}H${kept[0][0]}`;
  kept.forEach(([, y], index) => {
    path += `V${y}H${index + 1 < kept.length ? kept[index + 1][0] : corner[0]}`;
  });
  return [
    draw("path", {
      d: `${path}Z`,
      fill: "var(--area)",
      stroke: "var(--member)",
      "stroke-opacity": 0.4,
    }),
    ...cross,
  ];
}

function intervals(page, trial, view, across, upward, place) {
  const known = knownOf(trial);
  const [x, y] = place(known);
  const line = (attributes) =>
    draw("line", { stroke: "var(--faded)", "stroke-width": 1, ...attributes });
  const ends = (scale, margin, index) =>
    endsOf(known[index], page.axes[index]).map((end) => margin + scale.at(end));
  const [x1, x2] = ends(across, MARGIN.left, view.x);
  const [y1, y2] = ends(upward, MARGIN.top, view.y);
  const parts = [line({ x1, x2, y1: y, y2: y }), line({ x1: x, x2: x, y1, y2 })];
  if (known !== trial.scores.search) {
    const [searchedX, searchedY] = place(trial.scores.search);
    parts.push(
      line({
        x1: searchedX,
        y1: searchedY,
        x2: x,
        y2: y,
        stroke: "var(--ink)",
        "stroke-dasharray": "3 3",
      }),
      symbol(roleOf(trial), x, y, 5, {
        fill: "var(--ground)",
        stroke: `var(--${roleOf(trial)})`,
        "stroke-width": 2,
      }),
    );
  }
  return parts;
}

function rangeOf(trials, index) {
  const values = trials.map((trial) => trial.scores.search[index][0]);
  return [Math.min(...values), Math.max(...values)];
}

function colorsOf(trials, color) {
  if (color === null) return (trial) => `var(--${roleOf(trial)})`;
  const [low, high] = rangeOf(trials, color);
  return (trial) => shade((trial.scores.search[color][0] - low) / (high - low || 1));
}

function mark(trial, [x, y], color, pins, onPin, tip, page) {
  const role = roleOf(trial);
  const size = role === "faded" ? 4 : 6;
  const pinned = pins.includes(trial.number);
  const said = page.axes.map(
    (axis, index) => `${axis.name} ${score(trial.scores.search[index], axis.percent)}`,
  );
  const show = () => showTip(tip, trial, x, y, page);
  return draw(
    "g",
    {
      class: pinned ? "mark pinned" : "mark",
      role: "button",
      tabindex: -1,
      "data-trial": trial.number,
      "aria-label": `${titleOf(trial)}: ${said.join(", ")}; ${trial.ratio}`,
      "aria-pressed": String(pinned),
      click: () => onPin(trial.number),
      mouseenter: show,
      focus: show,
      mouseleave: () => {
        tip.hidden = true;
      },
      blur: () => {
        tip.hidden = true;
      },
      keydown: (event) => {
        if (event.key === "Enter" || event.key === " ") {
          event.preventDefault();
          onPin(trial.number);
        }
      },
    },
    draw("circle", { cx: x, cy: y, r: 12, fill: "transparent" }),
    draw("circle", { class: "ring", cx: x, cy: y, r: 11, fill: "none" }),
    symbol(role, x, y, size, {
      fill: color,
      "fill-opacity": role === "faded" ? 0.55 : 1,
      stroke: "var(--ground)",
      "stroke-width": 1,
    }),
  );
}

function showTip(tip, trial, x, y, page) {
  const lines = page.axes.map((axis, index) => {
    const confirmed = confirmedOf(trial)?.[index];
    return make(
      "div",
      {},
      `${axis.name}: ${score(trial.scores.search[index], axis.percent)}`,
      confirmed
        ? `, ${trial.scores.confirmed ? "confirmed" : "validated"} ${score(confirmed, axis.percent)}`
        : "",
    );
  });
  tip.replaceChildren(
    make("b", {}, titleOf(trial)),
    ...lines,
    make("div", {}, trial.ratio),
    trial.recipe ? make("pre", {}, trial.recipe) : "",
  );
  tip.hidden = false;
  const width = tip.parentElement.clientWidth;
  tip.style.left = `${Math.max(0, Math.min(x + 14, width - tip.offsetWidth - 4))}px`;
  tip.style.top = `${y + 16}px`;
}

// One stop for the Tab key; the arrow keys go from mark to mark, from left to right.
function rove(marks, places) {
  const order = marks
    .map((_, index) => index)
    .sort((a, b) => places[a] - places[b])
    .map((index) => marks[index]);
  order[0]?.setAttribute("tabindex", 0);
  order.forEach((node, index) =>
    node.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
      const next = step && order[index + step];
      if (!next) return;
      event.preventDefault();
      node.setAttribute("tabindex", -1);
      next.setAttribute("tabindex", 0);
      next.focus();
    }),
  );
}

// Where colours stand for an objective, kinds of trials have their shapes alone.
function frontLegend(page, view) {
  const kinds = [
    ["knee", "knee"],
    ["member", "front"],
    ["parent", "parent"],
    ["hand", "recipe by hand"],
    ["faded", "dominated"],
  ];
  const seen = new Set(drawn(page).map(roleOf));
  const fill = (role) => (view.color === null ? `var(--${role})` : "var(--quiet)");
  const entries = kinds
    .filter(([role]) => seen.has(role))
    .map(([role, name]) => [symbol(role, 9, 9, 6, { fill: fill(role) }), name]);
  if (view.color !== null) entries.push(...shadesOf(page, view.color));
  if (page.trials.some(confirmedOf)) {
    entries.push([
      symbol("member", 9, 9, 5, { fill: "none", stroke: "var(--member)", "stroke-width": 2 }),
      "confirmed on items that the search never saw",
    ]);
  }
  if (page.sweep.length) {
    entries.push([
      draw("path", { d: "M5 5l8 8M5 13l8 -8", stroke: "var(--hand)", "stroke-width": 1.5 }),
      "sweep from one parent to the other",
    ]);
  }
  entries.push([draw("path", { d: "M1 9H17M9 1V17", stroke: "var(--faded)" }), "95 % interval"]);
  entries.push([
    draw("path", { d: "M3 9h12M9 3v12", stroke: "var(--ink)", "stroke-width": 2 }),
    "reference point, with the dominated area",
  ]);
  return legend(entries);
}

// What the colours of an objective stand for: its least, middle and largest value.
function shadesOf(page, index) {
  const axis = page.axes[index];
  const [low, high] = rangeOf(drawn(page), index);
  return [0, 0.5, 1].map((share) => [
    draw("rect", { x: 2, y: 2, width: 14, height: 14, fill: shade(share) }),
    `${axis.name} ${number(low + share * (high - low), axis.percent)}`,
  ]);
}
