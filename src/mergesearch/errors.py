"""The errors a person can meet: one base class with an exit code, one class per cause.

An interruption is none: like Python's own, nothing catches it that catches errors.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

MOST_CHARACTERS = 2000
"""Characters of a sentence, which may quote what others wrote."""


class Ending(BaseException):
    """What ends a command with a message instead of a traceback.

    Args:
        what: What happened, as one sentence without a final full stop.
        where: File, tensor, key or trial that it happened in.
        expected: What would have been right.
        fix: What the reader can do about it.
    """

    exit_code: ClassVar[int]

    def __init__(
        self,
        what: str,
        *,
        where: str | Path | None = None,
        expected: str | None = None,
        fix: str | None = None,
    ) -> None:
        self.what = what if len(what) <= MOST_CHARACTERS else what[:MOST_CHARACTERS] + "..."
        self.where = None if where is None else str(where)
        self.expected = expected
        self.fix = fix
        super().__init__(str(self))

    def __str__(self) -> str:
        head = f"{self.where}: {self.what}" if self.where else self.what
        lines = [head]
        if self.expected:
            lines.append(f"  expected: {self.expected}")
        if self.fix:
            lines.append(f"  to do: {self.fix}")
        return "\n".join(lines)


class Interrupted(Ending):
    """The person stopped the run; the same command resumes it."""

    exit_code = 130


class MergeSearchError(Ending, Exception):
    """Base of every error; its parts are those of `Ending`."""

    exit_code = 1
    passing = False
    """Whether the cause lies outside of what was tried, so that trying again may help."""


class InputError(MergeSearchError):
    """Something the person wrote or pointed at is wrong; nothing was started."""

    exit_code = 2


class RecipeError(InputError):
    """A recipe is malformed or asks for something that does not exist."""


class SpaceError(InputError):
    """A search space is malformed: a recipe's error, or a hole that cannot be filled."""


class ObjectivesError(InputError):
    """An objectives file is malformed or names an unknown task or metric."""


class CheckpointError(InputError):
    """A parent on disk is missing, damaged, refused, or does not fit the others."""


class MissingParent(CheckpointError):
    """A parent's id means nothing on this machine and is not an id of the hub."""


class ParentChanged(MergeSearchError):
    """A parent's files have changed since the run started; the original ones can resume it."""


class RunFolderError(InputError):
    """A run folder belongs to another run, is in use, or is not a run folder."""


class BuildError(MergeSearchError):
    """A candidate could not be built from its recipe."""


class OutOfResources(BuildError):
    """Memory or disk ran out while a candidate was built."""

    passing = True


class StorageError(MergeSearchError):
    """What a run records can no longer be read or written; it can be resumed once that is fixed."""


class DatabaseAway(StorageError):
    """The server of a database does not answer, or ended the connection."""


class ScoringError(MergeSearchError):
    """A candidate could not be loaded or scored."""


class ScorerCrashed(ScoringError):
    """The scoring process died while it scored a candidate."""


class ScorerKilled(ScorerCrashed):
    """Someone else ended the scoring process, such as the system when memory was short."""

    passing = True


class ScorerOutOfMemory(ScoringError):
    """The scoring process got no more memory."""

    passing = True


class ScorerHung(ScoringError):
    """The scoring process said nothing for much longer than it ever did before."""
