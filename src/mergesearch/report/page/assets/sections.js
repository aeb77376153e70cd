// The run around the front: growth, mixtures, proxies, and where the time went.

function growthSection(page) {
  const holder = make("div", {});
  const ways = { trials: "trials", tokens: "tokens", seconds: "minutes of work" };
  const show = (way) => {
    const points = page.growth.map((step) => [
      way === "seconds" ? step.seconds / 60 : step[way],
      step.hypervolume,
    ]);
    const made = lineChart(
      "hypervolume",
      [{ name: "hypervolume", points, color: COLORS[0] }],
      [ways[way], "hypervolume, by search items"],
    );
    holder.replaceChildren(made.figure);
  };
  show("trials");
  return section(
    "How the front grew",
    make("div", { class: "controls" }, picker("over", Object.entries(ways), "trials", show)),
    holder,
  );
}

function membersOf(page) {
  const [axis] = page.axes;
  const sign = axis.minimize ? 1 : -1;
  return page.trials
    .filter((trial) => trial.member)
    .sort((a, b) => sign * (a.scores.search[0][0] - b.scores.search[0][0]));
}

function sharesSection(page) {
  const rows = membersOf(page).map((trial) => ({
    name: titleOf(trial),
    parts: trial.shares,
    label: number(trial.scores.search[0][0], page.axes[0].percent),
  }));
  return section(
    "Shares along the front",
    make(
      "p",
      { class: "quiet" },
      `From the best in ${page.axes[0].name} (figures to the right) down; a pale part counts against its parent.`,
    ),
    swatches(page.parents),
    barChart("shares", rows, COLORS, (share) => `${(100 * share).toFixed(1)} %`).figure,
  );
}

function depthSection(page, chosen) {
  const trials = page.trials.filter((trial) => trial.depth.length);
  if (!trials.length) return null;
  const holder = make("div", {});
  const show = (wanted) => {
    const trial = trials.find((one) => one.number === Number(wanted)) ?? trials[0];
    const series = trial.depth.flatMap((pair, parent) =>
      pair.map((values, side) => ({
        name: `${page.parents[parent]}, ${side ? "MLP" : "attention"}`,
        color: COLORS[parent % 6],
        dashed: side === 1,
        points: values.map((value, layer) => [layer / Math.max(1, values.length - 1), value]),
      })),
    );
    holder.replaceChildren(lineChart("weights over depth", series, ["depth", "weight"]).figure);
  };
  show(chosen);
  return section(
    "Weights over depth",
    make(
      "p",
      { class: "quiet" },
      "What each parent makes up from the first layer to the last: attention solid, MLP dashed.",
    ),
    make(
      "div",
      { class: "controls" },
      picker(
        "trial",
        trials.map((trial) => [trial.number, titleOf(trial)]),
        chosen,
        show,
      ),
    ),
    swatches(page.parents, true),
    holder,
  );
}

const SHOWN_DIMENSIONS = 12;

function importanceSection(page) {
  const charts = Object.entries(page.importances).map(([objective, shares]) => {
    const rows = Object.entries(shares)
      .slice(0, SHOWN_DIMENSIONS)
      .map(([name, share]) => ({ name, parts: [share], label: `${(100 * share).toFixed(0)} %` }));
    const shown = (share) => `${(100 * share).toFixed(1)} %`;
    return make(
      "div",
      {},
      make("h3", {}, objective),
      barChart(objective, rows, COLORS, shown).figure,
    );
  });
  if (!charts.length) return null;
  const what = "Share of each dimension in the variance of an objective over the whole space.";
  return section(
    "What decides",
    make("p", { class: "quiet" }, what),
    make("div", { class: "pairs" }, charts),
  );
}

function proxySection(page) {
  const charts = page.axes.map((axis, index) => {
    const points = page.trials
      .filter((trial) => trial.scores.proxy && trial.scores.search)
      .map((trial) => [trial.scores.proxy[index][0], trial.scores.search[index][0]]);
    if (axis.correlation === null || !points.length) return null;
    return make(
      "div",
      {},
      make("h3", {}, `${axis.name}: rank correlation ${axis.correlation.toFixed(2)}`),
      pointChart(axis, points).figure,
    );
  });
  return charts.some(Boolean)
    ? section("Proxies against what they stand for", make("div", { class: "pairs" }, charts))
    : null;
}

function pointChart(axis, points) {
  return chart(`${axis.name} over its proxy`, (width) => {
    const across = scaleOf(
      points.map((point) => point[0]),
      width - MARGIN.left - MARGIN.right,
    );
    const upward = scaleOf(
      points.map((point) => point[1]),
      260 - MARGIN.top - MARGIN.bottom,
      true,
    );
    const dots = points.map(([x, y]) =>
      symbol("member", MARGIN.left + across.at(x), MARGIN.top + upward.at(y), 4, {
        fill: "var(--member)",
      }),
    );
    return {
      height: 260,
      children: [
        ...axes(across, upward, width, 260, ["proxy", axis.name], [false, axis.percent]),
        ...dots,
      ],
    };
  });
}

function timeSection(page) {
  const sum = (name) => page.trials.reduce((total, trial) => total + trial[name], 0);
  const parts = [
    ["building", sum("build")],
    ["scoring", sum("score")],
    ["proposing", sum("before")],
    ["the rest", sum("other")],
  ];
  const total = parts.reduce((all, [, seconds]) => all + seconds, 0) || 1;
  const rows = parts.map(([name, seconds], index) => ({
    name,
    parts: parts.map((_, other) => (other === index ? seconds : 0)),
    label: `${duration(seconds)}, ${((100 * seconds) / total).toFixed(0)} %`,
  }));
  return section("Where the time went", barChart("time", rows, COLORS, duration).figure);
}

function trialsSection(page, onPin) {
  const rows = page.trials.map((trial) =>
    Object.assign(
      [
        make(
          "button",
          { type: "button", click: () => onPin(trial.number), disabled: !trial.scores.search },
          String(trial.number),
        ),
        ...page.axes.map((axis, index) => score(trial.scores.search?.[index], axis.percent)),
        ...page.axes.map((axis, index) => score(confirmedOf(trial)?.[index], axis.percent)),
        trial.ratio,
        trial.note.split("\n")[0] || (trial.state === "complete" ? "" : trial.state),
      ],
      { kind: trial.member ? "member" : null },
    ),
  );
  const headings = [
    "trial",
    ...page.axes.map((axis) => axis.name),
    ...page.axes.map((axis) => `${axis.name}, unseen items`),
    "shares",
    "",
  ];
  return section(
    "All trials",
    make(
      "details",
      {},
      make("summary", {}, `${page.trials.length} trials; a number pins one for the comparison`),
      table(headings, rows),
    ),
  );
}
