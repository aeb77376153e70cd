// The page: what is shown where, and what a click changes.

const page = JSON.parse(document.getElementById("data").textContent);
const measured = page.trials.filter((trial) => trial.scores.search);
const view = { x: 0, y: Math.min(1, page.axes.length - 1), color: null, reference: true };
const pins = firstPins();
let rung = null; // null: the confirmed items where both trials have them

function firstPins() {
  const knee = measured.find((trial) => trial.knee) ?? measured[0];
  const other =
    measured.find((trial) => trial.parent && trial !== knee) ??
    measured.find((trial) => trial !== knee) ??
    knee;
  return knee ? [knee.number, other.number] : [];
}

function trialOf(number) {
  return page.trials.find((trial) => trial.number === Number(number));
}

// The new one stands beside the one that was pinned before it.
function pin(number) {
  if (pins[0] === number) return;
  pins.splice(0, 2, number, pins[0]);
  showFront(number);
  showComparison();
}

const frontHolder = make("div", {});
const comparisonHolder = make("div", { "aria-live": "polite" });

function showFront(focused = null) {
  const hadFocus = frontHolder.contains(document.activeElement);
  const made = frontChart(page, view, pins, null, pin);
  frontHolder.replaceChildren(frontLegend(page, view), made.figure);
  made.redraw();
  if (hadFocus && focused !== null) made.figure.querySelector(`[data-trial="${focused}"]`)?.focus();
}

function frontSection() {
  const names = page.axes.map((axis, index) => [index, axis.name]);
  const several = page.axes.length > 2;
  const set = (key) => (value) => {
    view[key] = value === "" ? null : Number(value);
    showFront();
  };
  const controls = [
    several ? picker("across", names, view.x, set("x")) : null,
    several ? picker("upward", names, view.y, set("y")) : null,
    several ? picker("colour", [["", "kind of trial"], ...names], "", set("color")) : null,
    picker(
      "show",
      [
        ["1", "from the reference point"],
        ["", "closely"],
      ],
      "1",
      (value) => {
        view.reference = value === "1";
        showFront();
      },
    ),
  ];
  const pairs = several
    ? make(
        "div",
        { class: "pairs" },
        pairsOf(page.axes.length).map(
          ([x, y]) =>
            frontChart(page, { x, y, color: null, reference: false }, [], 300, pin).figure,
        ),
      )
    : null;
  return section(
    "The front",
    make("div", { class: "controls" }, controls),
    frontHolder,
    make(
      "p",
      { class: "quiet" },
      "A click, or Enter on a mark (arrow keys go from mark to mark), puts a trial beside the one before.",
    ),
    several ? make("h3", {}, "Every pair of objectives") : null,
    pairs,
  );
}

function pairsOf(count) {
  const found = [];
  for (let x = 0; x < count; x += 1) for (let y = x + 1; y < count; y += 1) found.push([x, y]);
  return found;
}

function showComparison() {
  const [left, right] = pins.map(trialOf);
  const shared =
    ["validate", "search"].find((name) =>
      pins.every((number) => page.items[name]?.values[number]),
    ) ?? "search";
  const options = measured.map((trial) => [trial.number, titleOf(trial)]);
  const choose = (side) => (value) => {
    pins[side] = Number(value);
    showFront();
    showComparison();
  };
  comparisonHolder.replaceChildren(
    make(
      "div",
      { class: "controls" },
      picker("left", options, pins[0], choose(0)),
      picker("right", options, pins[1], choose(1)),
      picker(
        "on",
        [
          ["search", "search items"],
          ["validate", "validate items"],
        ],
        rung ?? shared,
        (value) => {
          rung = value;
          showComparison();
        },
      ),
    ),
    comparisonPanel(page, rung ?? shared, left, right),
  );
}

function showPage() {
  const facts = page.facts.map(([name, fact]) =>
    make("div", {}, make("dt", {}, name), make("dd", {}, fact)),
  );
  const main = document.getElementById("page");
  main.append(
    make("h1", {}, page.name),
    make("dl", { class: "facts" }, facts),
    ...page.notes.map((note) => make("p", {}, note)),
  );
  if (!measured.length) {
    main.append(make("p", {}, "No trial has scores yet."), trialsSection(page, pin));
    return;
  }
  main.append(
    ...[
      frontSection(),
      section("Two trials side by side", comparisonHolder),
      growthSection(page),
      sharesSection(page),
      depthSection(page, pins[0]),
      importanceSection(page),
      proxySection(page),
      timeSection(page),
      trialsSection(page, pin),
    ].filter(Boolean),
  );
  showFront();
  showComparison();
}

showPage();
