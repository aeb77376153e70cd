"""Tables for the terminal: pure functions from records and documents to rich renderables."""

from collections.abc import Mapping, Sequence
from itertools import starmap

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from mergesearch._system.terminal import printable
from mergesearch.objectives import Rung, Score
from mergesearch.recipe import Recipe
from mergesearch.recipe.shares import short_names
from mergesearch.report import text
from mergesearch.report.scatter import KNEE
from mergesearch.study.front import Front, FrontMember
from mergesearch.study.proxies import TRUSTED
from mergesearch.study.records import Axis, Measurement, RunRecord, State, TrialRecord


def render_front(front: Front, width: int) -> RenderableType:
    """Return the front: its members' scores on both rungs, their shares, the knee marked.

    Where `width` columns are too few to have both rungs side by side, what is confirmed stands
    under the search's scores; before anything is validated there is one rung only.
    """
    if not front.members:
        return Text(f"no front yet: {counts(front)}")
    parents = list(dict.fromkeys(parent for member in front.members for parent in member.shares))
    confirmed = any(member.validated for member in front.members)
    wide = confirmed and _width_side_by_side(front, parents) <= width
    table = _front_table(front, parents, confirmed, wide, width)
    below = f"; below each score: {_headings(front)[1]}" if confirmed and not wide else ""
    notes = [
        f"{KNEE} knee{below}",
        f"shares in %: {' / '.join(short_names(parents))}" if parents else "",
        f"hypervolume {front.hypervolume:.4f}, {counts(front)}",
        *confirmed_notes(front),
        *(f"{name}: {note}" for name, note in (*proxy_notes(front), *racing_notes(front))),
    ]
    return Group(table, Text("\n".join(note for note in notes if note), style="dim"))


def best_members(front: Front) -> dict[str, FrontMember]:
    """Return the best member in each objective; none of an empty front."""
    return {axis.name: front.best(axis.name) for axis in front.axes if front.members}


def known_by(front: Front) -> str:
    """Return which numbers are called the best that is known: `confirmed` or `search`."""
    return "search" if front.search is None else "confirmed"


def best_facts(front: Front) -> list[tuple[str, str]]:
    """Return the best in each objective as named facts, each with the trial and what knows it."""
    percents = {axis.name: axis.percent for axis in front.axes}
    return [
        (
            f"best {name}",
            f"{text.score(member.known[name], percents[name])}"
            f" (trial {member.trial}, {known_by(front)})",
        )
        for name, member in best_members(front).items()
    ]


def n_validated(front: Front) -> int:
    """Return how many members were scored on the validate items."""
    return sum(bool(member.validated) for member in front.members)


def members_in_words(front: Front) -> str:
    """Return how many members there are, and how many of them are validated."""
    return f"{text.plural(len(front.members), 'member')}, {n_validated(front)} validated"


def counts(front: Front) -> str:
    """Return how many trials there are, and how many failed."""
    counted = text.plural(front.trials, "trial")
    return counted + (f", {front.failed} failed" if front.failed else "")


def _headings(front: Front) -> tuple[str, str]:
    return "search", "validated" if front.search is None else "confirmed (95 %)"


def _cells(member: FrontMember, axis: Axis) -> tuple[str, str]:
    searched = text.score(member.values[axis.name], axis.percent)
    if member.confirmed is not None:
        return searched, text.interval(member.confirmed.values[axis.name], axis.percent)
    return searched, text.score(member.validated.get(axis.name), axis.percent)


def _width_side_by_side(front: Front, parents: Sequence[str]) -> int:
    widths = [1, len("trial")]
    for axis in front.axes:
        for column, heading in enumerate(_headings(front)):
            cells = [_cells(member, axis)[column] for member in front.members]
            widths.append(max(len(axis.name), len(heading), *map(len, cells)))
    shares = [text.shares(member.shares, parents) for member in front.members]
    widths.append(max(map(len, ["shares", *shares])))
    return sum(widths) + 2 * (len(widths) - 1)


def _front_table(
    front: Front, parents: Sequence[str], confirmed: bool, wide: bool, width: int
) -> Table:
    table = ruled_table()
    left = len("◆  trial  ")
    table.add_column("", width=1)
    table.add_column("trial", justify="right", no_wrap=True)
    for axis in front.axes:
        for heading in _headings(front) if wide else ("",):
            under = f"\n{heading}" if heading else ""
            table.add_column(f"{axis.name}{under}", justify="right", no_wrap=True)
    table.add_column("shares", overflow="fold")
    for axis in front.axes:
        cells = [cell for member in front.members for cell in _cells(member, axis)]
        left += max(map(len, [axis.name, *cells])) + 2
    for member in front.members:
        knee = member.trial == front.knee
        row: list[RenderableType] = [KNEE if knee else "", str(member.trial)]
        for axis in front.axes:
            shown = _cells(member, axis)[: 2 if confirmed else 1]
            row += map(Text, shown) if wide else [Text("\n".join(shown))]
        shares = text.shares(member.shares, parents)
        row.append(shares if wide else _broken(shares, max(8, width - left)))
        table.add_row(*row, style="bold" if knee else None)
    return table


def _broken(shares: str, room: int) -> str:
    """Shares on several lines, broken between parents, where they are longer than the room."""
    if len(shares) <= room:
        return shares
    end = shares.rfind("/", 0, room) + 1 or room
    return f"{shares[:end]}\n{_broken(shares[end:], room)}"


def ruled_table() -> Table:
    """Return a table with a rule under its headings and two columns between its own."""
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
    facts += [("time", line) for line in starmap(_times, record.rungs.items()) if line]
    named = zip(short_names(list(record.shares)), record.shares.values(), strict=True)
    parts = [f"{name} {100 * share:.1f} %" for name, share in named]
    facts += [("shares", ", ".join(parts))] if parts else []
    facts += [("in words" if line == record.words[0] else "", line) for line in record.words]
    blocks: list[RenderableType] = [Text(f"trial {record.number}", style="bold"), fact_table(facts)]
    if any(rung.scores for rung in record.rungs.values()):
        blocks += ["", _scores_table(record, run)]
    if record.recipe:
        written = Text(Recipe.from_dict(record.recipe).to_yaml().rstrip())
        blocks += ["", Text("recipe", style="bold"), Padding(written, (0, 0, 0, 2))]
    return Group(*blocks)


def _state(record: TrialRecord) -> str:
    attempt = f", attempt {record.attempt}" if record.attempt > 1 else ""
    return f"{record.state}{attempt}, started {record.started.astimezone():%Y-%m-%d %H:%M:%S}"


def _times(rung: Rung, measured: Measurement) -> str:
    parts = [
        f"{verb} {text.duration(seconds)}"
        for verb, seconds in (
            ("built in", measured.build_seconds),
            ("scored in", measured.score_seconds),
        )
        if seconds
    ]
    return f"{rung}: {', '.join(parts)}" if parts else ""


def _scores_table(record: TrialRecord, run: RunRecord) -> Table:
    table = ruled_table()
    for heading, justify in (("objective", "left"), ("rung", "left"), ("score", "right")):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]
    table.add_column("items", justify="right")
    table.add_column("unscored", justify="right")
    for axis in run.axes:
        for rung, measured in record.rungs.items():
            if not measured.scores:
                continue
            score, proxy = measured.scores[axis.name], _is_proxy(axis, rung)
            shown = Text(text.score(score, axis.percent and not proxy) + (" nat" if proxy else ""))
            table.add_row(axis.name, rung, shown, str(score.n), str(score.n_unscored))
    return table


def fact_table(facts: Sequence[tuple[str, str]]) -> Table:
    """Return named facts as a table without headings."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for key, fact in facts:
        table.add_row(key, Text(printable(fact)))
    return table


def trial_line(trial: TrialRecord, run_axes: Sequence[Axis]) -> str:
    """Return one finished trial in one line."""
    if trial.state is not State.COMPLETE:
        return f"failed: {text.first_line(trial.failure)}"
    rung = Rung.SEARCH if trial.scores() else Rung.PROXY
    parts = scores_line(trial.scores(rung), run_axes, rung)
    same = "" if trial.reused_from is None else f" (same candidate as trial {trial.reused_from})"
    return f"{parts}, {text.duration(trial.seconds or 0.0)}{same}"


def scores_line(scores: Mapping[str, Score], axes: Sequence[Axis], rung: str = Rung.SEARCH) -> str:
    """Return every objective's score on a rung in one line."""
    parts = []
    for axis in axes:
        score, proxy = scores[axis.name], _is_proxy(axis, rung)
        shown = text.score(score, axis.percent and not proxy)
        parts.append(f"{axis.name} {shown}{' nat (proxy)' if proxy else ''}")
    return ", ".join(parts)


def _is_proxy(axis: Axis, rung: str) -> bool:
    return rung == Rung.PROXY and axis.proxy


def confirmed_notes(front: Front) -> list[str]:
    """Return which members stand for others, and which trials fell off the front."""
    groups = [
        f"{member.trial} (and {_listed(member.confirmed.twins)})"
        for member in front.members
        if member.confirmed is not None and member.confirmed.twins
    ]
    notes = [f"cannot be told apart: {', '.join(groups)}"] if groups else []
    if front.dropped:
        notes.append(f"fell off the front on the validate items: {_listed(front.dropped)}")
    return notes


def _listed(trials: Sequence[int]) -> str:
    return ", ".join(map(str, trials))


def racing_notes(front: Front) -> list[tuple[str, str]]:
    """Return what racing saved and how often it was wrong, as a named fact."""
    racing = front.racing
    if racing is None or not racing.stopped + racing.checked:
        return []
    share = racing.tokens_saved / max(1, racing.tokens + racing.tokens_saved)
    saved = (
        f"{text.plural(racing.stopped, 'trial')} stopped early, about {text.whole_percent(share)}"
        f" of the tokens and {text.duration(racing.seconds_saved)} saved"
    )
    checked = (
        f"; wrong in {racing.wrong} of {text.plural(racing.checked, 'check')}"
        if racing.checked
        else ""
    )
    return [("racing", saved + checked)]


def proxy_notes(front: Front) -> list[tuple[str, str]]:
    """Return, for each objective with a proxy, its name and how far the proxy can be trusted."""
    notes = []
    for name, agreement in front.proxies.items():
        over = f"over {text.plural(agreement.trials, 'promoted trial')}"
        if agreement.correlation is None:
            notes.append((name, f"proxy: rank correlation with the metric not known yet, {over}"))
            continue
        warning = f"; below {TRUSTED}: do not trust it" if agreement.misleads else ""
        known = f"proxy: rank correlation with the metric {agreement.correlation:.2f} {over}"
        notes.append((name, known + warning))
    return notes
