"""Parents on the Hugging Face Hub: pinned to a commit, downloaded into the hub's own cache.

Only safetensors, configuration and tokenizer files are fetched, never pickles.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mergesearch.errors import CheckpointError
from mergesearch.vocabulary.files import DOCUMENTS

FILES = (
    "README.md",
    *("model.safetensors", "model.safetensors.index.json", "model-*.safetensors"),
    *("adapter_config.json", "adapter_model.safetensors"),
    *DOCUMENTS,
)
"""What is downloaded of a repository's top level."""

QUIET_SECONDS = 10.0
"""Time between two lines about a download."""
_BYTES = "huggingface_hub.snapshot_download"  # what the hub's client calls its bar of bytes

_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*(@[\w./-]+)?", re.ASCII)


def is_id(ref: str) -> bool:
    """Whether a parent's id has the form `ORG/NAME` or `ORG/NAME@REVISION`."""
    return _ID.fullmatch(ref) is not None


def pinned(ref: str) -> str:
    """Return `ORG/NAME@COMMIT`, with the commit in 40 hexadecimal digits.

    Where the hub cannot be reached, the commit is the one that its cache remembers.

    Raises:
        CheckpointError: The hub does not know the id, or cannot be asked and nothing is cached.
    """
    import huggingface_hub

    name, _, revision = ref.partition("@")
    with _hub_errors(ref):
        found = huggingface_hub.HfApi().resolve_revision(name, revision=revision or None)
    return f"{name}@{found.resolved}"


def download(ref: str) -> Path:
    """Return the folder of a parent's or adapter's snapshot, downloading what is missing of it.

    What is fetched and how large it is goes to stderr before it starts, then the hub's own
    progress bars on a terminal, and lines elsewhere. A connection that breaks is taken up where it
    broke, and files that are there are not fetched again.

    Raises:
        CheckpointError: The repository is unknown, gated or pickled, or there is neither a network
            nor a snapshot.
    """
    from huggingface_hub.errors import DryRunError

    name, _, commit = pinned(ref).partition("@")
    with _hub_errors(ref):
        try:
            files = _snapshot(name, commit, dry_run=True, tqdm_class=_no_bar())
        except DryRunError as error:
            return _cached(name, commit, error)
        if not any(file.filename.endswith(".safetensors") for file in files):
            raise CheckpointError(
                "the repository holds no safetensors",
                where=ref,
                expected="model.safetensors, or shards with model.safetensors.index.json",
                fix="convert its weights to safetensors; for a GGUF, download it and name the file",
            )
        missing = [file.file_size or 0 for file in files if file.will_download]
        if not missing:
            return Path(_snapshot(name, commit, tqdm_class=_no_bar()))
        print(
            f"downloading {name}@{commit[:12]}: {len(missing)} files, {sum(missing) / 1e9:.3g} GB",
            file=sys.stderr,
            flush=True,
        )
        bars = {} if _can_draw() else {"tqdm_class": _no_bar(lines=True)}
        return Path(_snapshot(name, commit, **bars))


def _cached(name: str, commit: str, error: Exception) -> Path:
    """The snapshot in the cache, where the hub gave an error instead of a list of files."""
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(_snapshot(name, commit, local_files_only=True))
    except LocalEntryNotFoundError as missing:
        raise error.__cause__ or missing from error


def _snapshot(name: str, revision: str, **options: Any) -> Any:
    import huggingface_hub

    return huggingface_hub.snapshot_download(
        name, revision=revision, allow_patterns=list(FILES), ignore_patterns=["*/*"], **options
    )


def _can_draw() -> bool:
    """Whether the hub's bars can be drawn: on a terminal where nothing else is drawn now."""
    return sys.stderr.isatty() and sys.stderr is sys.__stderr__


def _no_bar(*, lines: bool = False) -> type[Any]:
    """The hub's progress bar, which is not drawn; that of bytes may be a line now and then."""
    from huggingface_hub.utils import tqdm

    class NoBar(tqdm):  # type: ignore[misc]
        def __init__(self, *values: Any, **options: Any) -> None:
            self._says = lines and options.get("name") == _BYTES
            self._said = time.monotonic()
            super().__init__(*values, **(options | {"disable": True}))

        def update(self, n: float | None = 1) -> None:
            self.n += n or 0
            if self._says and time.monotonic() - self._said >= QUIET_SECONDS:
                self._said = time.monotonic()
                done = f"downloaded {self.n / 1e9:.3g} of {self.total / 1e9:.3g} GB"
                print(done, file=sys.stderr, flush=True)

    return NoBar


@contextmanager
def _hub_errors(ref: str) -> Iterator[None]:
    """Turn the hub's errors into ours."""
    from huggingface_hub import errors

    try:
        yield
    except errors.GatedRepoError as error:
        raise CheckpointError(
            "the repository is gated",
            where=ref,
            fix="accept its terms on huggingface.co, then log in: hf auth login",
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise CheckpointError(
            "no such repository on the Hugging Face Hub, or a private one",
            where=ref,
            fix=f"check the id; if it is private, log in: hf auth login; {_local_copy(ref)}",
        ) from error
    except errors.RevisionNotFoundError as error:
        raise CheckpointError(
            "the repository has no such revision", where=ref, expected="a branch, tag or commit"
        ) from error
    except (errors.HfHubHTTPError, errors.HFValidationError) as error:
        raise _failed(ref, error) from error
    except (
        errors.LocalEntryNotFoundError,
        errors.RevisionResolutionError,
        errors.HTTPError,
        errors.OfflineModeIsEnabled,
    ) as error:
        raise CheckpointError(
            "no such folder here, the Hugging Face Hub cannot be reached, and its cache holds no"
            " complete copy",
            where=ref,
            fix=f"connect and try again (HF_HUB_OFFLINE must be off); {_local_copy(ref)}",
        ) from error
    except OSError as error:
        raise _failed(ref, error) from error


def _failed(ref: str, error: Exception) -> CheckpointError:
    first = next(iter(str(error).splitlines()), type(error).__name__)
    return CheckpointError(
        f"the download failed: {first}", where=ref, fix="try again; finished files are kept"
    )


def _local_copy(ref: str) -> str:
    return f"or name the place of a copy: --parent {ref}=FOLDER"
