"""From a parent's id to an open checkpoint: local, bundled, downloaded, adapted, or a GGUF."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from mergesearch._system.alike import did_you_mean
from mergesearch._system.resources import DEMO_PREFIX, expanded, parent_folder
from mergesearch._system.spare import Spare
from mergesearch.errors import CheckpointError, MissingParent, RecipeError
from mergesearch.parents import hub
from mergesearch.parents.folder import FolderCheckpoint
from mergesearch.parents.gguf_file import GgufCheckpoint, gguf_inside
from mergesearch.parents.links import check_links
from mergesearch.parents.lora import LoraCheckpoint
from mergesearch.parents.parent import StoredCheckpoint
from mergesearch.recipe.references import ADAPTER, unescaped


def open_parents(
    refs: Iterable[str],
    stages: Sequence[str] = (),
    overrides: Mapping[str, Path] | None = None,
    *,
    as_found: bool = False,
    spare: Spare | None = None,
) -> dict[str, StoredCheckpoint]:
    """Open parents by their ids; see `open_checkpoint`.

    Args:
        refs: Ids of the parents.
        stages: Names of merges that feed others, for the message about an unknown parent.

    Raises:
        RecipeError: A name is neither a stage nor a folder.
        CheckpointError: As for `open_checkpoint`.
    """
    parents = {}
    for ref in refs:
        try:
            parents[ref] = open_checkpoint(ref, overrides, as_found=as_found, spare=spare)
        except MissingParent as error:
            if not stages:
                raise
            raise RecipeError(
                f"{ref!r} is neither a stage nor a parent that can be found",
                expected="a folder, or one of the stages " + ", ".join(stages),
                fix=did_you_mean(ref, stages),
            ) from error
    return parents


def open_checkpoint(
    ref: str,
    overrides: Mapping[str, Path] | None = None,
    *,
    as_found: bool = False,
    spare: Spare | None = None,
) -> StoredCheckpoint:
    """Open a parent by its id.

    Args:
        ref: A folder, a GGUF file, `demo:NAME`, or `ORG/NAME` or `ORG/NAME@REVISION` on the
            Hugging Face Hub; each also with `+ADAPTER`, a folder or an id of the hub.
        overrides: Folders or GGUF files that stand for an id, or for a part of it beside the `+`.
        as_found: Whether the tensors of a folder are taken as they are, for a template to say what
            they mean.
        spare: Room for the products of adapters; None where they are computed each time.

    Raises:
        CheckpointError: There is no such parent, or it is damaged or not supported.
        InputError: There is no bundled parent of that name.
    """
    local = _local(ref, overrides or {})
    if local is None and ADAPTER in ref:
        _refuse_as_found(as_found, ref, "an adapter")
        base, adapter = _sides(ref)
        if not base or not adapter:
            raise CheckpointError(
                f"the parent {ref!r} lacks one side of its +", expected="BASE+ADAPTER"
            )
        folder = _local(adapter, overrides or {}) or _downloaded(adapter)
        check_links(folder)
        return LoraCheckpoint(ref, open_checkpoint(base, overrides, spare=spare), folder, spare)
    path = local or _downloaded(ref)
    if path.is_dir():
        check_links(path)
    file = gguf_inside(path)
    if file is None:
        return FolderCheckpoint(ref, path, as_found=as_found)
    _refuse_as_found(as_found, ref, "a GGUF")
    return GgufCheckpoint(ref, file)


def _refuse_as_found(as_found: bool, ref: str, what: str) -> None:
    if as_found:
        raise CheckpointError(
            f"the parent {ref!r} is {what}",
            expected="with a template, folders of safetensors only",
        )


def is_parent(ref: str) -> bool:
    """Return whether an id names what is here, or has the form of an id of the hub.

    A name in a folder that is here is a slip more often than an id.

    Raises:
        InputError: The zoo has no bundled parent of that name.
    """
    if _local(ref, {}) is not None:
        return True
    if ADAPTER in ref:
        return all(map(is_parent, _sides(ref)))
    return hub.is_id(ref) and not Path(ref).parent.is_dir()


def is_place(ref: str) -> bool:
    """Return whether an id is a path of this machine, not `demo:NAME` or `ORG/NAME` on the hub."""
    if ref.startswith(DEMO_PREFIX) and ADAPTER not in ref:
        return False
    return not hub.is_id(ref) or _local(ref, {}) is not None


def ids_in(ref: str) -> Iterator[str]:
    """Yield a parent's id and every part of it that an override may stand for."""
    yield ref
    if ADAPTER in ref:
        base, adapter = _sides(ref)
        yield from ids_in(base)
        yield adapter


def pin_parents(refs: Iterable[str], overrides: Mapping[str, Path]) -> dict[str, str]:
    """Return every parent's id with the commit that it stands for today, keyed by the id.

    What lies on this machine, is overridden, bundled or pinned already stays as it is.

    Raises:
        CheckpointError: The hub does not know an id, or cannot be asked and nothing is cached.
    """
    return {ref: _pinned(ref, overrides) for ref in refs}


def _pinned(ref: str, overrides: Mapping[str, Path]) -> str:
    if _local(ref, overrides) is not None:
        return ref
    if ADAPTER in ref:
        return ADAPTER.join(_pinned(side, overrides) for side in _sides(ref))
    return hub.pinned(ref) if hub.is_id(ref) else ref


def _sides(ref: str) -> tuple[str, str]:
    base, _, adapter = ref.rpartition(ADAPTER)
    return base, adapter


def _local(ref: str, overrides: Mapping[str, Path]) -> Path | None:
    """Where a parent or an adapter lies on this machine, None where it does not."""
    if ref in overrides:
        path = expanded(overrides[ref])
        if not path.exists():
            raise MissingParent(f"no folder for the parent {ref!r}", where=path)
        return path
    if ref.startswith(DEMO_PREFIX) and ADAPTER not in ref:
        return parent_folder(ref)
    places = (expanded(text) for text in dict.fromkeys((ref, unescaped(ref))))
    return next((place for place in places if os.path.exists(place)), None)  # any text


def _downloaded(ref: str) -> Path:
    if hub.is_id(ref):
        return hub.download(ref)
    raise MissingParent(
        f"no folder for the parent {ref!r}",
        expected="a folder, a GGUF file, demo:NAME, or ORG/NAME on the Hugging Face Hub",
        fix=f"name the place of a copy: --parent {ref}=FOLDER",
    )
