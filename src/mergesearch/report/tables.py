"""Tables for the terminal: pure functions from records and documents to rich renderables."""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml
from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from mergesearch.objectives import PROXY, Score
from mergesearch.report import text
from mergesearch.report.state import best_of
from mergesearch.study.front_document import front_document
from mergesearch.study.ledger import COMPLETE, FAILED, RungRecord, RunRecord, TrialRecord
from mergesearch.study.proxies import TRUSTED, Agreement

KNEE = "◆"
_SEARCHED, _CONFIRMED = "search", "validated"


def render_front(document: Mapping[str, Any], width: int) -> RenderableType:
    """Return the front: its members' scores on both rungs, their shares, the knee marked.

    Where `width` columns are too few to have both rungs side by side, the validated scores stand
    under the searched ones; before anything is validated there is one rung only.
    """
    members = document["front"]
    if not members:
        return Text(f"no front yet: {_counts(document)}")
    parents = list(dict.fromkeys(parent for one in members for parent in one["shares"]))
    confirmed = any(one["validated"] for one in members)
    wide = confirmed and _width_side_by_side(document, parents) <= width
    table = _front_table(document, parents, confirmed, wide)
    below = "; below each score: validated" if confirmed and not wide else ""
    notes = [
        f"{KNEE} knee{below}",
        f"shares in %: {' / '.join(text.short_names(parents))}" if parents else "",
        f"hypervolume {document['hypervolume']:.4f}, {_counts(document)}",
        *(f"{name}: {note}" for name, note in proxy_notes(document)),
    ]
    return Group(table, Text("\n".join(note for note in notes if note), style="dim"))


def _counts(document: Mapping[str, Any]) -> str:
    counted = text.plural(document["trials"], "trial")
    return counted + (f", {document['failed']} failed" if document["failed"] else "")


def _percent(document: Mapping[str, Any], name: str) -> bool:
    scores = [one[rung] for one in document["front"] for rung in ("values", "validated")]
    values = [one[name]["value"] for one in scores if one]
    return text.in_percent([*values, document["reference_point"][name]])


def _cells(member: Mapping[str, Any], name: str, percent: bool) -> tuple[str, ...]:
    confirmed = (member["validated"] or {}).get(name)
    return text.score(member["values"][name], percent), text.score(confirmed, percent)


def _width_side_by_side(document: Mapping[str, Any], parents: Sequence[str]) -> int:
    members = document["front"]
    widths = [1, len("trial")]
    for name in document["objectives"]:
        percent = _percent(document, name)
        for column, heading in enumerate((_SEARCHED, _CONFIRMED)):
            cells = [_cells(one, name, percent)[column] for one in members]
            widths.append(max(len(name), len(heading), *map(len, cells)))
    widths.append(max([len("shares")] + [len(text.shares(m["shares"], parents)) for m in members]))
    return sum(widths) + 2 * (len(widths) - 1)


def _front_table(
    document: Mapping[str, Any], parents: Sequence[str], confirmed: bool, wide: bool
) -> Table:
    table = _ruled_table()
    table.add_column("", width=1)
    table.add_column("trial", justify="right", no_wrap=True)
    for name in document["objectives"]:
        for heading in (_SEARCHED, _CONFIRMED) if wide else ("",):
            under = f"\n{heading}" if heading else ""
            table.add_column(f"{name}{under}", justify="right", no_wrap=True)
    table.add_column("shares", no_wrap=True)
    for member in document["front"]:
        knee = member["trial"] == document["knee"]
        row: list[RenderableType] = [KNEE if knee else "", str(member["trial"])]
        for name in document["objectives"]:
            cells = _cells(member, name, _percent(document, name))
            if not confirmed:
                cells = cells[:1]
            row += map(Text, cells) if wide else [Text("\n".join(cells))]
        row.append(text.shares(member["shares"], parents))
        table.add_row(*row, style="bold" if knee else None)
    return table


def _ruled_table() -> Table:
    """A table with a rule under its headings and two columns between its own."""
    return Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)


def render_trial(record: TrialRecord, run: RunRecord) -> RenderableType:
    """Return everything on record about one trial but its items."""
    facts = [("state", _state(record))]
    if record.failure:
        facts.append(("reason", record.failure))
    if record.reused_from is not None:
        facts.append(("scores", f"those of trial {record.reused_from}, the same candidate"))
    if record.candidate_digest:
        facts.append(("digest", record.candidate_digest))
    if record.candidate_size is not None:
        facts.append(("size", text.size(record.candidate_size)))
    facts += [("time", line) for line in map(_times, record.rungs.values()) if line]
    names = text.short_names(list(record.shares))
    parts = [
        f"{name} {100 * share:.1f} %"
        for name, share in zip(names, record.shares.values(), strict=True)
    ]
    facts += [("shares", ", ".join(parts))] if parts else []
    blocks: list[RenderableType] = [Text(f"trial {record.number}", style="bold"), _pairs(facts)]
    if any(one.scores for one in record.rungs.values()):
        blocks += ["", _scores_table(record, run)]
    if record.recipe:
        written = yaml.safe_dump(dict(record.recipe), sort_keys=False, allow_unicode=True)
        blocks += ["", Text("recipe", style="bold"), Padding(Text(written.rstrip()), (0, 0, 0, 2))]
    return Group(*blocks)


def _state(record: TrialRecord) -> str:
    attempt = f", attempt {record.attempt}" if record.attempt > 1 else ""
    return f"{record.state}{attempt}, begun {record.started.astimezone():%Y-%m-%d %H:%M:%S}"


def _times(rung: RungRecord) -> str:
    parts = [
        f"{verb} {text.duration(seconds)}"
        for verb, seconds in (("built in", rung.build_seconds), ("scored in", rung.score_seconds))
        if seconds
    ]
    return f"{rung.rung}: {', '.join(parts)}" if parts else ""


def _scores_table(record: TrialRecord, run: RunRecord) -> Table:
    table = _ruled_table()
    for heading, justify in (("objective", "left"), ("rung", "left"), ("score", "right")):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]
    table.add_column("items", justify="right")
    table.add_column("unscored", justify="right")
    for axis in run.axes:
        scores = {rung: one.scores[axis.name] for rung, one in record.rungs.items() if one.scores}
        real = [one.value for rung, one in scores.items() if not _is_proxy(axis, rung)]
        percent = text.in_percent([*real, axis.reference])
        for rung, one in scores.items():
            proxy = _is_proxy(axis, rung)
            shown = Text(text.score(vars(one), percent and not proxy) + (" nat" if proxy else ""))
            table.add_row(axis.name, rung, shown, str(one.n), str(one.n_unscored))
    return table


def render_status(
    run: RunRecord, trials: Sequence[TrialRecord], *, running: bool, now: float
) -> RenderableType:
    """Return how a run stands; `running`: whether a process is at work on it `now`."""
    document = front_document(run.axes, trials)
    facts = [("run", _activity(trials, running, now)), ("trials", _counts(document))]
    finished = [one for one in trials if one.seconds is not None and one.finished]
    if finished:
        times = sorted(one.seconds or 0.0 for one in finished)
        facts.append(("a trial", f"{text.duration(times[len(times) // 2])} (median)"))
    front = document["front"]
    validated = sum(one["validated"] is not None for one in front)
    facts.append(("front", f"{text.plural(len(front), 'member')}, {validated} validated"))
    if front:
        facts.append(("hypervolume", f"{document['hypervolume']:.4f}"))
    for axis, (number, found) in zip(run.axes, best_of(run.axes, list(trials)), strict=False):
        percent = text.in_percent([found.value, axis.reference])
        facts.append((f"best {axis.name}", f"{text.score(vars(found), percent)} (trial {number})"))
    facts += proxy_notes(document)
    failed = [one for one in trials if one.state == FAILED]
    if failed:
        reason = text.first_line(failed[-1].failure)
        facts.append(("last failure", f"trial {failed[-1].number}: {reason}"))
    facts.append(("sampler", f"{run.sampler}, seed {run.seed}"))
    return _pairs(facts)


def _activity(trials: Sequence[TrialRecord], running: bool, now: float) -> str:
    at_work = [one for one in trials if not one.finished]
    if not running:
        left = f"; trial {at_work[0].number} is to be done again" if at_work else ""
        return f"not running{left}"
    if not at_work:
        return "running"
    since = text.duration(max(0.0, now - at_work[0].started.timestamp()))
    return f"running, trial {at_work[0].number} for {since}"


def _pairs(facts: Sequence[tuple[str, str]]) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for key, fact in facts:
        table.add_row(key, Text(fact))
    return table


def trial_line(trial: TrialRecord, run_axes: Sequence[Any]) -> str:
    """Return one finished trial in one line."""
    if trial.state != COMPLETE:
        return f"failed: {text.first_line(trial.failure)}"
    rung = "search" if trial.scores() else PROXY
    parts = scores_line(trial.scores(rung), run_axes, rung)
    same = "" if trial.reused_from is None else f" (same candidate as trial {trial.reused_from})"
    return f"{parts}, {text.duration(trial.seconds or 0.0)}{same}"


def scores_line(scores: Mapping[str, Score], axes: Sequence[Any], rung: str = "search") -> str:
    """Return every objective's score on a rung in one line."""
    parts = []
    for axis in axes:
        one, proxy = scores[axis.name], _is_proxy(axis, rung)
        percent = not proxy and text.in_percent([one.value, axis.reference])
        shown = text.score(vars(one), percent)
        parts.append(f"{axis.name} {shown}{' nat (proxy)' if proxy else ''}")
    return ", ".join(parts)


def _is_proxy(axis: Any, rung: str) -> bool:
    return rung == PROXY and axis.proxy


def proxy_notes(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return, for each objective with a proxy, its name and how far the proxy can be trusted."""
    notes = []
    for name, one in document.get("proxies", {}).items():
        found = Agreement(one["correlation"], one["trials"])
        over = f"over {text.plural(found.trials, 'promoted trial')}"
        if found.correlation is None:
            notes.append((name, f"proxy: rank correlation with the metric not known yet, {over}"))
            continue
        warning = f"; below {TRUSTED}: do not trust it" if found.misleads else ""
        known = f"proxy: rank correlation with the metric {found.correlation:.2f} {over}"
        notes.append((name, known + warning))
    return notes
