"""Joining a run from a machine that may not be the one that it was started on."""

from __future__ import annotations

import gc
import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from mergesearch.errors import DatabaseAway
from mergesearch.report.live import log_events
from mergesearch.runs.folder import RunFolder, Storage
from mergesearch.runs.gpus import check_gpu, use_gpu
from mergesearch.runs.inputs import Place
from mergesearch.runs.worker import work
from mergesearch.runs.workplace import WorkerSettings
from mergesearch.study.events import Noted, Observer, RunFinished, broadcast
from mergesearch.study.front import Front
from mergesearch.study.servers import server_address
from mergesearch.study.settings import StudyFiles
from mergesearch.study.sharing import is_shared

_LOOK_SECONDS = 2.0


class WorkerFolder(RunFolder):
    """The folder of a worker that joined a run, whose study is elsewhere; only its log stays."""

    @contextmanager
    def made(self) -> Iterator[None]:
        """Make the folder and its log; where nothing was logged in the end, remove them again.

        Raises:
            RunFolderError: The folder cannot be written.
        """
        missing = [place for place in (self.path, *self.path.parents) if not place.exists()]
        self._make()
        try:
            yield
        finally:
            if self.log.stat().st_size == 0:
                self.log.unlink()
                with suppress(OSError):  # another worker has its folder there too
                    for place in missing:
                        place.rmdir()


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
    own = WorkerFolder(Path("results", "workers", name) if folder is None else Path(folder))
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
    with own.made(), log_events(own.log) as log:
        observe = broadcast(log, on_event)
        front = (_work_once_possible if wait else work)(files, settings, observe)
        observe(RunFinished(front))
    return front


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
