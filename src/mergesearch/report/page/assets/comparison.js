// Two trials side by side: scores, paired differences, recipes, and the items on which they differ.

const SHOWN_ITEMS = 10;

function usesOf(page, axis) {
  return page.uses.map((use, index) => ({ ...use, index })).filter((use) => use.axis === axis);
}

// The items of a task that both trials scored in all of `uses`: [number, place].
function common(items, left, right, task, uses) {
  return items.numbers[task]
    .map((item, place) => [item, place])
    .filter(([, place]) =>
      uses.every(
        (use) =>
          items.values[left][use.index][place] !== null &&
          items.values[right][use.index][place] !== null,
      ),
    );
}

function taskDifference(items, left, right, task, uses, sign) {
  const both = common(items, left, right, task, uses);
  const gaps = both.map(([, place]) =>
    uses.reduce(
      (sum, use) =>
        sum +
        use.factor * (items.values[left][use.index][place] - items.values[right][use.index][place]),
      0,
    ),
  );
  const mean = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length;
  const spread = gaps.reduce((sum, gap) => sum + (gap - mean) ** 2, 0) / (gaps.length - 1);
  const variance = spread / gaps.length;
  return {
    task,
    n: gaps.length,
    variance,
    ...withInterval(mean, variance),
    better: gaps.filter((gap) => sign * gap > 0).length,
    worse: gaps.filter((gap) => sign * gap < 0).length,
  };
}

function withInterval(value, variance) {
  const reach = Z * Math.sqrt(variance);
  return { value, low: value - reach, high: value + reach };
}

// An objective's difference, left minus right; null where they have too few items in common.
function pairedDifference(page, items, axis, left, right) {
  const uses = usesOf(page, axis);
  const sign = page.axes[axis].minimize ? -1 : 1;
  const tasks = [...new Set(uses.map((use) => use.task))].map((task) =>
    taskDifference(
      items,
      left,
      right,
      task,
      uses.filter((use) => use.task === task),
      sign,
    ),
  );
  if (tasks.some((task) => task.n < 2)) return null;
  const sum = (name) => tasks.reduce((total, task) => total + task[name], 0);
  return {
    tasks,
    ...withInterval(sum("value"), sum("variance")),
    n: sum("n"),
    better: sum("better"),
    worse: sum("worse"),
  };
}

function verdict(found, minimize) {
  if (found.low <= 0 && found.high >= 0) return make("span", {}, "not clear");
  const better = found.low > 0 !== minimize;
  return make(
    "span",
    { class: better ? "good" : "bad" },
    better ? "left is better" : "left is worse",
  );
}

function differencesTable(page, items, left, right) {
  const rows = page.axes.flatMap((axis, index) => {
    const found = items && pairedDifference(page, items, index, left.number, right.number);
    if (!found) return [];
    const counts = (one) => `${one.better}/${one.worse}/${one.n - one.better - one.worse}`;
    const interval = (one) =>
      `${signed(one.value, axis.percent)} (${signed(one.low, axis.percent)} to ${signed(one.high, axis.percent)})`;
    const tasks =
      found.tasks.length < 2
        ? []
        : found.tasks.map((task) => [
            `\u00a0\u00a0\u00a0${task.task}`,
            interval(task),
            counts(task),
            "",
          ]);
    return [[axis.name, interval(found), counts(found), verdict(found, axis.minimize)], ...tasks];
  });
  if (!rows.length)
    return make("p", { class: "quiet" }, "They have too few scored items in common here.");
  return table(["", "left − right (95 %)", "better/worse/equal", ""], rows);
}

function meanOf(column) {
  const scored = column?.filter((value) => value !== null) ?? [];
  return scored.length ? scored.reduce((sum, value) => sum + value, 0) / scored.length : null;
}

function scoresTable(page, items, rung, left, right) {
  const rows = page.axes.flatMap((axis, index) => {
    const of = (trial) => score(trial.scores[rung]?.[index], axis.percent);
    const tasks = usesOf(page, index).map((use) => {
      const mean = (trial) => {
        const value = meanOf(items?.values[trial.number]?.[use.index]);
        return value === null ? "–" : number(value, axis.percent);
      };
      return [`\u00a0\u00a0\u00a0${use.task}, ${use.metric}`, mean(left), mean(right)];
    });
    return [[make("b", {}, axis.name), of(left), of(right)], ...tasks];
  });
  return table(["", titleOf(left), titleOf(right)], rows);
}

function parametersTable(left, right) {
  const names = [...new Set([...Object.keys(left.parameters), ...Object.keys(right.parameters)])];
  const word = (value) =>
    typeof value === "number" ? String(Number(value.toPrecision(4))) : String(value ?? "–");
  const rows = names
    .filter((name) => left.parameters[name] !== right.parameters[name])
    .map((name) => [name, word(left.parameters[name]), word(right.parameters[name])]);
  return rows.length
    ? table(["parameter", titleOf(left), titleOf(right)], rows)
    : make("p", {}, "Their parameters are the same.");
}

// The lines of two texts, each with whether it is in both (longest common subsequence).
function lineDifference(first, second) {
  const [a, b] = [first.split("\n"), second.split("\n")];
  const best = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      best[i][j] =
        a[i] === b[j] ? best[i + 1][j + 1] + 1 : Math.max(best[i + 1][j], best[i][j + 1]);
    }
  }
  const lines = [];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      lines.push([" ", a[i]]);
      i += 1;
      j += 1;
    } else if (j >= b.length || (i < a.length && best[i + 1][j] >= best[i][j + 1])) {
      lines.push(["−", a[i]]);
      i += 1;
    } else {
      lines.push(["+", b[j]]);
      j += 1;
    }
  }
  return lines;
}

function recipeDifference(left, right) {
  if (!left.recipe || !right.recipe) return null;
  const lines = lineDifference(left.recipe.trimEnd(), right.recipe.trimEnd()).map(([sign, line]) =>
    make("span", { class: { "−": "gone", "+": "come" }[sign] ?? null }, `${sign} ${line}\n`),
  );
  return make(
    "details",
    {},
    make("summary", {}, `Recipes: − only ${titleOf(left)}, + only ${titleOf(right)}`),
    make("pre", {}, lines),
  );
}

// Items on which the trials differ in a metric, like `search show --against`.
function flipsOf(page, items, left, right) {
  const found = new Map();
  page.uses.forEach((use, index) => {
    const sign = page.axes[use.axis].minimize ? -1 : 1;
    const [ours, theirs] = [left, right].map((trial) => items.values[trial.number][index]);
    items.numbers[use.task].forEach((item, place) => {
      const key = `${use.task} ${item}`;
      if (
        ours[place] === null ||
        theirs[place] === null ||
        ours[place] === theirs[place] ||
        found.has(key)
      )
        return;
      found.set(key, {
        task: use.task,
        metric: use.metric,
        item,
        place,
        values: [ours[place], theirs[place]],
        better: sign * (ours[place] - theirs[place]) > 0,
      });
    });
  });
  return [...found.values()];
}

function flipCard(page, items, flip, left, right) {
  const asked = page.questions[flip.task]?.[flip.item];
  const line = (name, text) => make("p", {}, make("b", {}, `${name} `), text);
  const answer = (trial) => {
    const index = items.answers[trial.number]?.[flip.task]?.[flip.place];
    return index === null || index === undefined
      ? null
      : line(titleOf(trial), page.strings[index] || "(no text)");
  };
  return make(
    "div",
    { class: "card" },
    make(
      "p",
      { class: "quiet" },
      `${flip.task}, item ${flip.item}, ${flip.metric}: ${flip.values.map((value) => number(value, false)).join(" against ")}`,
    ),
    asked && asked.question ? line("question", asked.question) : null,
    asked && asked.choices.length ? line("choices", asked.choices.join(" / ")) : null,
    asked ? line("expected", asked.expected) : null,
    answer(left),
    answer(right),
  );
}

function flipsList(page, items, left, right, flips, title) {
  const cards = make("div", {});
  let shown = 0;
  const more = make("button", { type: "button", click: () => grow() }, "Show more");
  function grow() {
    for (const flip of flips.slice(shown, shown + SHOWN_ITEMS))
      cards.append(flipCard(page, items, flip, left, right));
    shown += SHOWN_ITEMS;
    more.hidden = shown >= flips.length;
  }
  grow();
  return make(
    "details",
    { open: false },
    make("summary", {}, `${title}: ${flips.length}`),
    cards,
    more,
  );
}

function comparisonPanel(page, rung, left, right) {
  const items = page.items[rung];
  const both = items?.values[left.number] && items?.values[right.number] ? items : null;
  const flips = both ? flipsOf(page, both, left, right) : [];
  return make(
    "div",
    { id: "comparison" },
    make(
      "div",
      { class: "columns" },
      make(
        "div",
        {},
        make("h3", {}, "Scores by task"),
        scoresTable(page, items, rung, left, right),
      ),
      make(
        "div",
        {},
        make("h3", {}, "Difference on the same items"),
        differencesTable(page, both, left, right),
      ),
    ),
    make(
      "div",
      { class: "columns" },
      [left, right].map((trial) =>
        make(
          "div",
          {},
          make("h3", {}, titleOf(trial)),
          make("p", {}, trial.ratio),
          trial.digest
            ? make(
                "p",
                { class: "quiet" },
                `sha256 ${trial.digest}${trial.size ? `, ${trial.size}` : ""}`,
              )
            : null,
        ),
      ),
    ),
    make("h3", {}, "What differs in their parameters"),
    parametersTable(left, right),
    recipeDifference(left, right),
    make("h3", {}, "Items on which they differ"),
    both
      ? [
          flipsList(
            page,
            both,
            left,
            right,
            flips.filter((flip) => flip.better),
            `${titleOf(left)} is right, ${titleOf(right)} is wrong`,
          ),
          flipsList(
            page,
            both,
            left,
            right,
            flips.filter((flip) => !flip.better),
            `${titleOf(right)} is right, ${titleOf(left)} is wrong`,
          ),
        ]
      : make("p", { class: "quiet" }, "The items of one of them are not in this report."),
  );
}
