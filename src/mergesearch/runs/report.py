"""The report of a run: what is read for its page, and where it is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mergesearch._system.files import write_text
from mergesearch.errors import MergeSearchError
from mergesearch.objectives import ITEM_RUNGS, Items
from mergesearch.report.page.facts import page_of, readable_trials
from mergesearch.report.page.html import render_page
from mergesearch.report.page.items import ItemSheet, uses_of
from mergesearch.runs.questions import questions
from mergesearch.runs.run import Run
from mergesearch.scoring.texts import Texts
from mergesearch.study.reading import RunRecords
from mergesearch.study.records import TrialRecord


def write_report(run: Run, read_items: Callable[[Items], Texts]) -> None:
    """Write the report of a run into its folder.

    Args:
        read_items: Function that returns what items ask.
    """
    write_text(run.folder.report, report_page(run, read_items=read_items))


def report_page(
    run: Run,
    *,
    read_items: Callable[[Items], Texts] | None = None,
    trust_tasks: bool = False,
    swept: Sequence[TrialRecord] = (),
    notes: Sequence[str] = (),
) -> str:
    """Return the report of a run as one HTML page.

    Args:
        read_items: Function that returns what items ask; None for loading the run's tasks here.
        trust_tasks: Whether task YAMLs of the task folder may run Python code of their own.
        swept: Trials of a sweep of the run's space.
        notes: Sentences that a person should know before judging the front.
    """
    sheet = _sheet(run)
    said = list(notes)
    asked: Texts = {}
    try:
        asked = questions(
            run.folder, sheet.differing(), read_items=read_items, trust_tasks=trust_tasks
        )
    except MergeSearchError as error:
        said.append(f"Items are shown without their questions: {error.what}")
    page = page_of(
        run.record,
        run.trials(),
        run.front(),
        sheet,
        asked,
        [("state", run.state())],
        said,
        swept=swept,
        importances=run.importances(),
    )
    return render_page(page)


def _sheet(run: Run) -> ItemSheet:
    """The items of every trial, those that a person will read first."""
    trials = run.trials()
    sheet = ItemSheet(uses_of(run.objectives()), readable_trials(run.front(), trials))
    with RunRecords.of(run.folder.study) as records:
        for number in dict.fromkeys([*sheet.readable, *range(len(trials))]):
            for rung in ITEM_RUNGS:
                if trials[number].scores(rung):
                    sheet.add(number, rung, records.items(number, rung))
    return sheet
