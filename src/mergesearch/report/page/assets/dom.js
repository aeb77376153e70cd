"use strict";
// Elements, numbers and words. Strings of others become text nodes, never markup.

const SVG = "http://www.w3.org/2000/svg";

function put(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== null && value !== false) element.setAttribute(name, value);
  }
  for (const child of children.flat(9)) {
    if (child !== null && child !== undefined) element.append(child);
  }
  return element;
}

function make(tag, attributes = {}, ...children) {
  return put(document.createElement(tag), attributes, children);
}

function draw(tag, attributes = {}, ...children) {
  return put(document.createElementNS(SVG, tag), attributes, children);
}

function number(value, percent) {
  if (percent) return (100 * value).toFixed(1);
  return Math.abs(value) >= 1000 ? value.toFixed(0) : String(Number(value.toPrecision(3)));
}

function signed(value, percent) {
  return (value >= 0 ? "+" : "") + number(value, percent);
}

function score(point, percent) {
  return point ? `${number(point[0], percent)} ± ${number(point[1], percent)}` : "–";
}

function duration(seconds) {
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}

function picker(label, options, chosen, onChange) {
  const select = make("select", { change: () => onChange(select.value) });
  for (const [value, name] of options) {
    select.append(make("option", { value, selected: String(value) === String(chosen) }, name));
  }
  return make("label", {}, `${label} `, select);
}

function table(headings, rows) {
  const numeric = (cell) => (typeof cell === "string" && /^[-+–\d]/.test(cell) ? "number" : null);
  const columns = headings.map(
    (_, index) => rows.length > 0 && rows.every((row) => numeric(row[index])),
  );
  const cell = (tag, content, index) => make(tag, { class: columns[index] && "number" }, content);
  return make(
    "div",
    { class: "scroll", tabindex: 0, role: "group", "aria-label": "table" },
    make(
      "table",
      {},
      make(
        "thead",
        {},
        make(
          "tr",
          {},
          headings.map((name, index) => cell("th", name, index)),
        ),
      ),
      make(
        "tbody",
        {},
        rows.map((row) =>
          make(
            "tr",
            { class: row.kind ?? null },
            row.map((part, index) => cell("td", part, index)),
          ),
        ),
      ),
    ),
  );
}

function section(title, ...children) {
  return make("section", { "aria-label": title }, make("h2", {}, title), children);
}
