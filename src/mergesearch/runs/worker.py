"""One worker of a shared run, perhaps on another machine than the one that it was started on.

What it needs stands in the database, but for the parents' files.
"""

from __future__ import annotations

import gc
import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from mergesearch._system import resources
from mergesearch.errors import DatabaseAway, InputError
from mergesearch.objectives import Objectives
from mergesearch.report.live import log_events
from mergesearch.runs.folder import RunFolder, Storage
from mergesearch.runs.inputs import Place, open_workshop
from mergesearch.runs.workplace import WorkerSettings, check_gpu, use_gpu, workplace
from mergesearch.space import Space
from mergesearch.study.events import Noted, Observer, RunFinished, broadcast
from mergesearch.study.front import Front
from mergesearch.study.loop import join_study
from mergesearch.study.records import RunRecord
from mergesearch.study.servers import server_address
from mergesearch.study.settings import StudyFiles, StudySettings
from mergesearch.study.sharing import Terms, is_shared, shared_run
from mergesearch.study.warm_start import WarmStart

_LOOK_SECONDS = 2.0


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
    with workplace(space, run.space, objectives, workshop, warm, settings) as (wanted, _):
        how = StudySettings(confirm=terms.confirm)
        return join_study(files, wanted, how, terms.rule, observe)


def join(
    storage: str,
    study: str,
    folder: Place | None = None,
    *,
    gpu: str | None = None,
    parents: Mapping[str, Place] | None = None,
    tasks: Place | None = None,
    template: Place | None = None,
    threads: int | None = None,
    memory: int | None = None,
    trust_tasks: bool = False,
    wait: bool = False,
    on_event: Observer = lambda event: None,
) -> Front:
    """Work on a run with others until its search has ended and its front is confirmed.

    Args:
        storage: URL of the PostgreSQL database that the run was started with.
        study: Name of the study.
        folder: Folder for the worker's log; None for `results/workers/STUDY-HOST-PROCESS`.
        gpu: GPU to score on; None for all that there are.
        parents: Folders or GGUF files in place of parents' ids.
        tasks: Folder with the tasks of the objectives; None for the place that is on record.
        template: GGUF of one parent, for an architecture that is not built in.
        threads: Number of threads that build; None for one per processor.
        memory: Bytes that the worker may take; None for all that is free.
        trust_tasks: Whether task YAMLs of the task folder may run Python code of their own.
        wait: Whether to wait for a study that is not on record yet, and for its database.
        on_event: Function that is called with every event of this worker, and with trials that
            others finished.

    Raises:
        InputError: Something that was named is wrong; nothing was started.
        RunFolderError: There is no such run, or a parent's files, the tasks or the versions here
            are others than those it was started with.
        Interrupted: Someone stopped this worker; another one does its trial again.
        MergeSearchError: Too many trials of this worker in a row failed.
    """
    address = server_address(storage)
    if gpu is not None:
        use_gpu(check_gpu(gpu))
    name = f"{study}-{socket.gethostname()}-{os.getpid()}"
    own = RunFolder(Path("results", "workers", name) if folder is None else Path(folder))
    files = own.study_in(Storage(address, study))
    settings = WorkerSettings(
        log=own.log,
        partial=own.partial,
        parents=parents or {},
        template=None if template is None else Path(template),
        tasks=None if tasks is None else Path(tasks),
        threads=threads,
        memory=memory,
        trust_tasks=trust_tasks,
    )
    with _made(own), log_events(own.log) as log:
        observe = broadcast(log, on_event)
        front = (_work_once_possible if wait else work)(files, settings, observe)
        observe(RunFinished(front))
    return front


@contextmanager
def _made(folder: RunFolder) -> Iterator[None]:
    """Make a worker's folder and its log; where nothing was logged, remove them in the end."""
    missing = [place for place in (folder.path, *folder.path.parents) if not place.exists()]
    folder.make()
    try:
        yield
    finally:
        if folder.log.stat().st_size == 0:
            folder.log.unlink()
            with suppress(OSError):  # another worker has its folder there too
                for place in missing:
                    place.rmdir()


def _work_once_possible(files: StudyFiles, settings: WorkerSettings, observe: Observer) -> Front:
    """Work on a run as soon as it is on record and its database answers; say what is missing."""
    said = None
    while True:
        try:
            if is_shared(files.database, files.name):
                return work(files, settings, observe)
            missing = f"the study {files.name} is not on record yet"
        except DatabaseAway as error:
            missing = f"the database {error.what.removeprefix('it ')}"
        if missing != said:
            observe(Noted(f"waiting: {missing}"))
        said = missing
        gc.collect()  # connections of what could not be opened are others' now
        time.sleep(_LOOK_SECONDS)


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
