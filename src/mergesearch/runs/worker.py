"""One worker of a shared run: what it needs stands in the database, but for the parents' files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mergesearch._system import resources
from mergesearch.errors import InputError
from mergesearch.objectives import Objectives
from mergesearch.runs.inputs import open_workshop
from mergesearch.runs.workplace import WorkerSettings, workplace
from mergesearch.space import Space
from mergesearch.study.events import Observer
from mergesearch.study.front import Front
from mergesearch.study.loop import join_study
from mergesearch.study.records import RunRecord
from mergesearch.study.settings import StudyFiles, StudySettings
from mergesearch.study.sharing import Terms, shared_run
from mergesearch.study.warm_start import WarmStart


def work(
    files: StudyFiles,
    settings: WorkerSettings,
    observe: Observer = lambda event: None,
) -> Front:
    """Work on a shared run until its search has ended and its front is confirmed.

    Args:
        observe: Function that is called with every event of this worker, and with trials that
            others finished.

    Raises:
        RunFolderError: There is no such run, it is not shared, or a parent's files, the tasks or
            the versions here are others than those it was started with.
        InputError: A parent or the tasks are not here.
        Interrupted: Someone stopped this worker.
        MergeSearchError: Too many trials of this worker in a row failed.
    """
    run, terms = shared_run(files.database, files.name)
    space = Space.from_yaml(run.space, f"the space of {run.name}")
    objectives = _objectives(run, terms, settings)
    workshop = open_workshop(
        space,
        settings.parents,
        settings.template,
        _share(settings.threads, settings.workers),
        terms.pins,
        settings.log.parent,
    )
    warm = None if terms.warm_start is None else WarmStart.from_dict(terms.warm_start)
    with workplace(space, run.space, objectives, workshop, warm, settings) as place:
        how = StudySettings(confirm=terms.confirm)
        return join_study(files, place.search, how, terms.rule, observe)


def bundled_tasks(objectives: Objectives) -> str | None:
    """Return the path of a task folder below the bundled objectives, None where it is elsewhere."""
    folder, bundled = objectives.task_folder, resources.objectives_folder()
    if folder is None or not folder.is_relative_to(bundled):
        return None
    return folder.relative_to(bundled).as_posix()


def _objectives(run: RunRecord, terms: Terms, settings: WorkerSettings) -> Objectives:
    """The objectives on record, with the task folder of this machine and this worker's threads."""
    objectives = Objectives.from_record(run.objectives)
    recorded = run.objectives.get("task_folder")
    if terms.task_folder is not None:
        recorded = resources.objectives_folder() / terms.task_folder
    folder = settings.tasks or recorded
    if folder is not None:
        if not Path(folder).is_dir():
            raise InputError(
                "there is no such folder of tasks here",
                where=folder,
                fix="copy it to this machine, and name it: --tasks DIR",
            )
        objectives = replace(objectives, task_folder=Path(folder).resolve())
    threads = _share(objectives.runtime.threads, settings.workers)
    return replace(objectives, runtime=replace(objectives.runtime, threads=threads))


def _share(threads: int | None, workers: int) -> int | None:
    return None if threads is None else max(1, threads // workers)
