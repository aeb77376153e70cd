"""A parent in Hugging Face layout: `config.json` and one or several safetensors files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mergesearch._kernels.stored import Stored
from mergesearch.errors import CheckpointError
from mergesearch.gguf import HEAD, Layout, found_layout, layout_of
from mergesearch.parents.parent import TensorInfo, check_tensors
from mergesearch.parents.safetensors import SafetensorsFile

if TYPE_CHECKING:
    from mergesearch.vocabulary import Tokenizer

_SINGLE, _INDEX = "model.safetensors", "model.safetensors.index.json"
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
# Constants that old checkpoints store beside the weights; the architecture computes them.
_BUFFERS = (".rotary_emb.inv_freq", ".attention.masked_bias", ".attention.bias")


class FolderCheckpoint:
    """A checkpoint whose tensors lie in memory-mapped safetensors files.

    A tied head that is stored nevertheless counts as absent, and a head that is absent counts as
    tied, in `config` too.

    Args:
        ref: the parent's id.
        folder: what to read.
        as_found: take the tensors as they are, whatever the architecture: a template says what
            they mean.
    """

    def __init__(self, ref: str, folder: Path, *, as_found: bool = False) -> None:
        self.ref = ref
        self.folder = folder
        config = read_config(folder)
        self._files = _open_files(folder)
        if as_found:
            self.config = config
            self.tensors: Mapping[str, TensorInfo] = _infos(self._files)
            shapes = {name: one.shape for name, one in self.tensors.items()}
            self.layout: Layout = found_layout(config, shapes)
            return
        tied = bool(config.get("tie_word_embeddings", False)) or HEAD not in self._files
        self.config = {**config, "tie_word_embeddings": tied}
        self.layout = layout_of(self.config, folder)
        self.tensors = {
            name: one for name, one in _infos(self._files).items() if not (tied and name == HEAD)
        }
        check_tensors(self.tensors, self.layout, folder)

    @cached_property
    def tokenizer(self) -> Tokenizer | None:
        """The parent's tokenizer; None where the folder has no tokenizer.json."""
        from mergesearch.vocabulary import read_tokenizer

        return read_tokenizer(self.folder)

    def rows(self, name: str, start: int, stop: int) -> npt.NDArray[np.float32]:
        """Return rows as float32, shape `(stop - start, cols)`; a vector is one row."""
        return self._files[name].rows(name, start, stop)

    def stored(self, name: str, start: int, stop: int) -> Stored:
        """Return the same rows as they lie in the file; see `Checkpoint.stored`."""
        return self._files[name].stored(name, start, stop)

    def read_ahead(self, name: str, start: int, stop: int) -> None:
        """Let the system read rows from the disk; see `Checkpoint.read_ahead`."""
        self._files[name].read_ahead(name, start, stop)


def _infos(files: Mapping[str, SafetensorsFile]) -> dict[str, TensorInfo]:
    """Every stored tensor but for the constants of old checkpoints."""
    return {
        name: TensorInfo(file.entries[name].shape, file.entries[name].dtype)
        for name, file in files.items()
        if not name.endswith(_BUFFERS)
    }


def read_config(folder: Path) -> dict[str, Any]:
    """Read a folder's `config.json`.

    Raises:
        CheckpointError: missing, not a JSON object, or of a quantized checkpoint.
    """
    config = read_json(folder, "config.json")
    if config.get("quantization_config"):
        raise CheckpointError(
            "a quantized checkpoint",
            where=folder / "config.json",
            fix="use the unquantized checkpoint",
        )
    return config


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """Read a JSON object out of a folder.

    Raises:
        CheckpointError: missing, or not a JSON object.
    """
    file = folder / name
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(f"no {name}", where=folder) from error
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"not a {name}: {error}", where=file) from error
    if not isinstance(document, dict):
        raise CheckpointError("not a JSON object", where=file)
    return document


def _open_files(folder: Path) -> dict[str, SafetensorsFile]:
    """Every stored tensor's name -> the open file that holds it."""
    if (folder / _INDEX).is_file():
        return _open_shards(folder)
    if (folder / _SINGLE).is_file():
        file = SafetensorsFile(folder / _SINGLE)
        return dict.fromkeys(file.entries, file)
    refuse_pickles(folder, f"{_SINGLE} or {_INDEX}")
    raise CheckpointError(
        "no weights", where=folder, expected=f"{_SINGLE}, or shards with {_INDEX}"
    )


def refuse_pickles(folder: Path, expected: str) -> None:
    """Refuse a folder that holds pickles, in the place of what was expected.

    Raises:
        CheckpointError: naming the first of them.
    """
    pickles = sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern))
    if pickles:
        raise CheckpointError(
            f"{pickles[0]} is a pickle, which can run code when it is read",
            where=folder,
            expected=expected,
            fix="convert the checkpoint to safetensors",
        )


def _open_shards(folder: Path) -> dict[str, SafetensorsFile]:
    index = folder / _INDEX
    try:
        places = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        shards = sorted(set(places.values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"not an index of shards: {error}", where=index) from error
    files = {shard: _open_shard(folder, shard) for shard in shards}
    for name, shard in places.items():
        if name not in files[shard].entries:
            raise CheckpointError(f"{shard} does not hold {name}", where=index)
    return {name: files[shard] for name, shard in places.items()}


def _open_shard(folder: Path, shard: Any) -> SafetensorsFile:
    if not isinstance(shard, str) or Path(shard).name != shard:
        raise CheckpointError(
            f"the index points outside the folder: {shard!r}", where=folder / _INDEX
        )
    if not (folder / shard).is_file():
        raise CheckpointError(
            f"the shard {shard} is missing", where=folder, fix="download the checkpoint again"
        )
    return SafetensorsFile(folder / shard)
