"""Parents on the Hugging Face Hub: pinned to a commit, downloaded into the hub's own cache.

Only safetensors, configuration and tokenizer files are fetched, never pickles.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mergesearch.errors import CheckpointError

FILES = (
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "model.safetensors.index.json",
    "model-*.safetensors",
    "adapter_config.json",
    "adapter_model.safetensors",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
)
"""What is downloaded of a repository's top level."""

_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*(@[\w./-]+)?", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SECONDS = 10.0


def is_id(ref: str) -> bool:
    """Whether a parent's id has the form `ORG/NAME` or `ORG/NAME@REVISION`."""
    return _ID.fullmatch(ref) is not None


def pinned(ref: str) -> str:
    """Return `ORG/NAME@COMMIT`, with the commit in 40 hexadecimal digits.

    Where the hub cannot be reached, the commit is that of the snapshot in its cache.

    Raises:
        CheckpointError: the hub does not know the id, or cannot be asked and nothing is cached.
    """
    name, _, revision = ref.partition("@")
    if _COMMIT.fullmatch(revision):
        return ref
    with _hub_errors(ref):
        return f"{name}@{_commit(name, revision or 'main')}"


def download(ref: str) -> Path:
    """Return the folder of a parent's or adapter's snapshot, downloading what is missing of it.

    What is fetched and how large it is goes to stderr before it starts, then the hub's own
    progress bars. A connection that breaks is taken up where it broke, and files that are there
    are not fetched again.

    Raises:
        CheckpointError: an unknown, gated or pickled repository; no network and no snapshot.
    """
    name, _, commit = pinned(ref).partition("@")
    with _hub_errors(ref):
        _announce(name, commit, ref)
        return Path(_snapshot(name, commit))


def _commit(name: str, revision: str) -> str:
    """The commit of a branch or a tag: the hub's, or the cache's where the hub is out of reach."""
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, HTTPError, OfflineModeIsEnabled

    try:
        info = huggingface_hub.HfApi().model_info(name, revision=revision, timeout=_SECONDS)
    except (OfflineModeIsEnabled, HTTPError) as error:
        if isinstance(error, HfHubHTTPError) and error.response.status_code < 500:
            raise
        return Path(_snapshot(name, revision, local_files_only=True)).name
    return str(info.sha)


def _announce(name: str, commit: str, ref: str) -> None:
    """Tell what will be downloaded, if anything; refuse a repository without safetensors."""
    from huggingface_hub.errors import DryRunError

    try:
        files = _snapshot(name, commit, dry_run=True)
    except DryRunError:  # out of reach: the download itself finds a snapshot or says why not
        return
    if not any(file.filename.endswith(".safetensors") for file in files):
        raise CheckpointError(
            "the repository holds no safetensors",
            where=ref,
            expected="model.safetensors, or shards with model.safetensors.index.json",
            fix="convert its weights to safetensors; for a GGUF, download it and name the file",
        )
    missing = [file.file_size or 0 for file in files if file.will_download]
    if missing:
        print(
            f"downloading {name}@{commit[:12]}: {len(missing)} files, {sum(missing) / 1e9:.3g} GB",
            file=sys.stderr,
            flush=True,
        )


def _snapshot(name: str, revision: str, **options: Any) -> Any:
    import huggingface_hub

    return huggingface_hub.snapshot_download(
        name, revision=revision, allow_patterns=list(FILES), ignore_patterns=["*/*"], **options
    )


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
    except errors.LocalEntryNotFoundError as error:
        raise CheckpointError(
            "the Hugging Face Hub cannot be reached, and its cache holds no complete copy",
            where=ref,
            fix=f"connect and try again (HF_HUB_OFFLINE must be off); {_local_copy(ref)}",
        ) from error
    except (errors.HTTPError, errors.HFValidationError, OSError) as error:
        first = next(iter(str(error).splitlines()), type(error).__name__)
        raise CheckpointError(
            f"the download failed: {first}", where=ref, fix="try again; finished files are kept"
        ) from error


def _local_copy(ref: str) -> str:
    return f"or name the place of a copy: --parent {ref}=FOLDER"
