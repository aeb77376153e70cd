"""What a run is, and whether what is asked for is the same search."""

from __future__ import annotations

from mergesearch._system.documents import digest_of
from mergesearch.errors import RunFolderError
from mergesearch.study.database import is_file, location, runs_of
from mergesearch.study.locks import was_started
from mergesearch.study.records import Axis, RunRecord
from mergesearch.study.samplers import chosen_sampler
from mergesearch.study.settings import Search, StudyFiles, StudySettings, package_versions


def identify(
    files: StudyFiles, search: Search, settings: StudySettings
) -> tuple[int | None, RunRecord]:
    """Return the run that a search is, with its id in the ledger, None for a new one.

    Writes nothing, so that a caller can refuse before it writes.

    Raises:
        RunFolderError: The run on record is another search's, or another version wrote it.
        InputError: An unknown sampler.
    """
    url = files.database
    for run_id, before in runs_of(url, files.name).items():
        seed = before.seed if settings.seed is None else settings.seed
        sampler = settings.sampler or before.sampler
        _refuse_other(before, _describe(search, before.name, seed, sampler), url)
        return run_id, before
    if is_file(url) and was_started(files.lock):
        raise RunFolderError(
            "the run that was started here is not on record: the file is lost or empty",
            where=location(url),
            fix="restore it, with study.db-wal, from a copy; or name another --out",
        )
    sampler = settings.sampler or "auto"
    return None, _describe(search, files.name, settings.seed or 0, sampler)


def _describe(search: Search, name: str, seed: int, sampler: str) -> RunRecord:
    objectives = search.objectives
    return RunRecord(
        name=name,
        space=search.space_text,
        objectives=objectives.to_dict(),
        axes=tuple(
            Axis(
                name=objective.name,
                direction=objective.direction,
                reference=objective.reference,
                proxy=objective.proxy is not None,
                percent=objective.percent,
            )
            for objective in objectives.objectives
        ),
        fingerprints={
            "space": digest_of(search.space.to_dict()),
            "objectives": objectives.fingerprint(),
            **search.fingerprints,
        },
        versions=package_versions(),
        seed=seed,
        sampler=chosen_sampler(sampler),
    )


def _refuse_other(before: RunRecord, run: RunRecord, url: str) -> None:
    """Refuse to resume a run that differs; what was written first explains the rest."""
    theirs, ours = _compared(before), _compared(run)
    for name in dict.fromkeys([*theirs, *ours]):
        if theirs.get(name) != ours.get(name):
            readable = name in ("seed", "sampler", "scoring")  # the others are digests
            raise RunFolderError(
                f"its run was started with different {name}",
                where=location(url),
                expected=f"{theirs.get(name)}, not {ours.get(name)}" if readable else None,
                fix="resume with the inputs that the run was started with"
                + (", or name another --out" if is_file(url) else " on every machine"),
            )


def _compared(run: RunRecord) -> dict[str, str]:
    return {**run.fingerprints, "seed": str(run.seed), "sampler": run.sampler}
