"""One worker of a shared run: what it needs stands in the database, but for the parents' files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from mergesearch._system import resources
from mergesearch.errors import InputError
from mergesearch.objectives import Objectives
from mergesearch.recipe import to_yaml
from mergesearch.runs.inputs import open_workshop
from mergesearch.runs.workplace import workplace
from mergesearch.space import Space
from mergesearch.study.events import Observer
from mergesearch.study.front import Front
from mergesearch.study.loop import join_study
from mergesearch.study.records import RunRecord
from mergesearch.study.settings import StudyFiles, StudySettings
from mergesearch.study.sharing import Terms, shared_run
from mergesearch.study.warm_start import WarmStart


@dataclass(frozen=True)
class WorkerSettings:
    """How a worker works on its machine.

    Attributes:
        log: File that the output of its scoring process is appended to.
        partial: Folder for the finished chunks of candidates that are scored on this machine.
        shares_partial: Whether other workers keep those of their candidates in it too.
        parents: Folders or GGUF files in the place of parents' ids.
        template: GGUF of one parent, for an architecture that is not built in.
        tasks: Folder with the tasks of the objectives; None for the place that is on record.
        threads: Number of threads that build; None for one per processor.
        memory: Bytes that all workers of the machine may take; None for all that is free.
        trust_tasks: Whether task YAMLs of the task folder may run Python code of their own.
        workers: Number of workers that share the threads and the memory.
    """

    log: Path
    partial: Path
    shares_partial: bool = False
    parents: Mapping[str, str | Path] = field(default_factory=dict)
    template: Path | None = None
    tasks: Path | None = None
    threads: int | None = None
    memory: int | None = None
    trust_tasks: bool = False
    workers: int = 1


def work(
    files: StudyFiles,
    settings: WorkerSettings,
    observe: Observer = lambda event: None,
) -> Front:
    """Work on a shared run until its search has ended and its front is confirmed.

    Args:
        files: Where the run is.
        settings: How the worker works on its machine.
        observe: Called with every event of this worker, and with trials that others finished.

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
    with workplace(
        space,
        run.space,
        objectives,
        workshop,
        warm,
        log=settings.log,
        partial=settings.partial,
        shares_partial=settings.shares_partial,
        memory=settings.memory,
        workers=settings.workers,
        trust_tasks=settings.trust_tasks,
    ) as place:
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
    document = dict(run.objectives)
    recorded = document.pop("task_folder", None)
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
        document["task_folder"] = str(Path(folder).absolute())
    objectives = Objectives.from_yaml(to_yaml([document]), Path())
    threads = _share(objectives.runtime.threads, settings.workers)
    return replace(objectives, runtime=replace(objectives.runtime, threads=threads))


def _share(threads: int | None, workers: int) -> int | None:
    return None if threads is None else max(1, threads // workers)
