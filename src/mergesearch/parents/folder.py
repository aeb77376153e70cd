"""A parent in Hugging Face layout: `config.json` and one or several safetensors files."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from mergesearch._kernels.stored import Stored
from mergesearch._system.documents import check, read_json_object
from mergesearch.errors import CheckpointError
from mergesearch.gguf import EMBEDDING, HEAD, BuiltInLayout, Layout, found_layout
from mergesearch.gguf.documents import ANY_CONFIG
from mergesearch.gguf.gemma4 import with_heads_of_full_attention
from mergesearch.parents.documents import SHARDS
from mergesearch.parents.parent import (
    PREDICTING,
    SHARING,
    StoredCheckpoint,
    TensorInfo,
    check_tensors,
    checked_layout,
)
from mergesearch.parents.safetensors import WHOLE_NUMBERS, SafetensorsFile
from mergesearch.parents.text_model import reads_images, text_config, text_names
from mergesearch.parents.tokens import fitting_tokenizer
from mergesearch.vocabulary import Tokenizer, read_tokenizer
from mergesearch.vocabulary.files import documents

_SINGLE, _INDEX = "model.safetensors", "model.safetensors.index.json"
_AHEAD = "mtp."  # layers that guess the tokens after the next, for speculative decoding
_SHARD_FILES = f"model-{'[0-9]' * 5}-of-{'[0-9]' * 5}.safetensors"
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
# Constants that old checkpoints store beside the weights; the architecture computes them.
_BUFFERS = (".rotary_emb.inv_freq", ".attention.masked_bias", ".attention.bias")


@dataclass(frozen=True)
class _Tensor(TensorInfo):
    """A tensor with the file that holds it, and its name there."""

    file: SafetensorsFile = field(compare=False)
    name: str = field(compare=False)


class FolderCheckpoint(StoredCheckpoint):
    """A checkpoint whose tensors are in memory-mapped safetensors files.

    A head that a tied model stores nevertheless is left out.

    Args:
        as_found: Whether the tensors are taken as they are, whatever the architecture, for a
            blueprint that says what they mean.
    """

    def __init__(self, ref: str, folder: Path, *, as_found: bool = False) -> None:
        self.ref = ref
        self.folder = folder
        self._notes: list[str] = []
        self.tensors: Mapping[str, _Tensor] = _open_files(folder, self._notes)
        self.config = read_config(folder)
        if not as_found:
            self._keep_text_model()
            ahead = [name for name in self.tensors if name.startswith(_AHEAD)]
            self._leave_out(ahead, PREDICTING)
        self._refuse_whole_numbers()
        self._weights = dict.fromkeys(tensor.file.path for tensor in self.tensors.values())
        self.tensors = {
            name: tensor
            for name, tensor in self.tensors.items()
            if not name.endswith(_BUFFERS) and tensor.dtype not in WHOLE_NUMBERS
        }
        if as_found:
            shapes = {name: tensor.shape for name, tensor in self.tensors.items()}
            self.layout: Layout = found_layout(self.config, shapes)
            return
        where = folder / "config.json"
        self.config = with_heads_of_full_attention(self.config)
        layout = checked_layout(self.config, len(self.tensors), where)
        self.layout = layout
        self._leave_out(layout.unused_tensors() & set(self.tensors), SHARING)
        self.config["tie_word_embeddings"] = layout.tied
        if layout.tied and HEAD in self.tensors:
            self.tensors = {name: tensor for name, tensor in self.tensors.items() if name != HEAD}
            self._notes.append(f"{HEAD} is left out: the model's head is its embedding")
        check_tensors(self.tensors, layout, folder)

    def _keep_text_model(self) -> None:
        """Go on as if the folder held the text model alone, where it reads images too."""
        if not reads_images(self.config):
            return
        architecture = (self.config.get("architectures") or ["model"])[0]
        stored = text_names(self.tensors)
        self.config = text_config(self.config, self.folder, has_head=HEAD in stored)
        others = len(self.tensors) - len(stored)
        self.tensors = {name: self.tensors[own] for name, own in stored.items()}
        if EMBEDDING in self.tensors:  # a config that is silent means what its files hold
            self.config.setdefault("vocab_size", self.tensors[EMBEDDING].shape[0])
        self._notes.append(
            f"the text model of {architecture} is taken; its {others} other tensors are left out"
        )

    def _refuse_whole_numbers(self) -> None:
        """Refuse quantized weights; whole numbers elsewhere are masks and positions."""
        for name, tensor in self.tensors.items():
            if name.endswith("weight") and tensor.dtype in WHOLE_NUMBERS:
                raise CheckpointError(
                    f"{name}: dtype {tensor.dtype}",
                    where=self.folder,
                    expected="F32, BF16 or F16",
                    fix="use the unquantized checkpoint",
                )

    def _leave_out(self, names: Collection[str], which: str) -> None:
        """Go on without some tensors, and note which they are."""
        if names:
            kept = {name: tensor for name, tensor in self.tensors.items() if name not in names}
            self.tensors = kept
            self._notes.append(f"{len(names)} tensors {which}")

    @property
    def files(self) -> Mapping[str, Path]:
        """See `StoredCheckpoint`."""
        return {path.name: path for path in (*self._weights, *documents(self.folder))}

    @cached_property
    def notes(self) -> Sequence[str]:
        """See `Checkpoint`; reads the tokenizer."""
        return (*self._notes, *self._fitting[1])

    @cached_property
    def tokenizer(self) -> Tokenizer | None:
        """See `Checkpoint`."""
        return self._fitting[0]

    @cached_property
    def _fitting(self) -> tuple[Tokenizer | None, tuple[str, ...]]:
        tokenizer = read_tokenizer(self.folder, self.config)
        if tokenizer is None or not isinstance(self.layout, BuiltInLayout):
            return tokenizer, ()
        return fitting_tokenizer(tokenizer, self.layout.vocab_rows, self.folder)

    def stored(self, name: str, start: int, stop: int) -> Stored:
        """See `Checkpoint`."""
        tensor = self.tensors[name]
        return tensor.file.stored(tensor.name, start, stop)

    def read_ahead(self, name: str, start: int, stop: int) -> None:
        """See `Checkpoint`."""
        tensor = self.tensors[name]
        tensor.file.read_ahead(tensor.name, start, stop)


def read_config(folder: Path) -> dict[str, Any]:
    """Read a folder's `config.json`.

    Raises:
        CheckpointError: It is missing, not a JSON object, or that of a quantized checkpoint.
    """
    config = read_json(folder, "config.json")
    check(ANY_CONFIG, config, folder / "config.json", CheckpointError)
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
        CheckpointError: It is missing, or not a JSON object.
    """
    try:
        return read_json_object(folder / name, CheckpointError)
    except FileNotFoundError as error:
        raise CheckpointError(f"no {name}", where=folder) from error


def _open_files(folder: Path, notes: list[str]) -> dict[str, _Tensor]:
    """Each stored tensor; what is not as it should be is noted.

    A single file comes before an index of shards, as it does for `transformers`.
    """
    if (folder / _SINGLE).is_file():
        return _tensors(SafetensorsFile(folder / _SINGLE))
    if (folder / _INDEX).is_file():
        return _open_shards(folder, notes)
    if any(folder.glob(_SHARD_FILES)):
        notes.append(f"there is no {_INDEX}: the shards say what they hold")
        return _whole_set(folder)
    refuse_pickles(folder, f"{_SINGLE} or {_INDEX}")
    raise CheckpointError(
        "no weights", where=folder, expected=f"{_SINGLE}, or shards with {_INDEX}"
    )


def refuse_pickles(folder: Path, expected: str) -> None:
    """Refuse a folder that holds pickles, in place of what was expected.

    Raises:
        CheckpointError: Names the first of them.
    """
    pickles = sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern))
    if pickles:
        raise CheckpointError(
            f"{pickles[0]} is a pickle, which can run code when it is read",
            where=folder,
            expected=expected,
            fix="convert the checkpoint to safetensors",
        )


def _open_shards(folder: Path, notes: list[str]) -> dict[str, _Tensor]:
    """Each tensor of an index; where it is wrong, what the shards say is noted."""
    index = folder / _INDEX
    document = read_json(folder, _INDEX)
    check(SHARDS, document, index, CheckpointError)
    places: dict[str, str] = document["weight_map"]
    shards = {shard: _open_shard(folder, shard) for shard in sorted(set(places.values()))}
    lost = [name for name, shard in places.items() if name not in shards[shard]]
    found = _whole_set(folder) if lost else {}
    for name in lost:
        if name not in found:
            raise CheckpointError(f"{places[name]} does not hold {name}", where=index)
    if lost:
        notes.append(f"{_INDEX} is wrong about {len(lost)} tensors, which other shards hold")
    return {name: found.get(name) or shards[shard][name] for name, shard in places.items()}


def _whole_set(folder: Path) -> dict[str, _Tensor]:
    """Each tensor that the shards of a folder hold; one that is missing is refused."""
    last = max((path.stem for path in folder.glob(_SHARD_FILES)), default="0")
    shards = int(last.rpartition("-")[2])
    names = (f"model-{number:05d}-of-{shards:05d}.safetensors" for number in range(1, shards + 1))
    return {name: tensor for shard in names for name, tensor in _open_shard(folder, shard).items()}


def _open_shard(folder: Path, shard: str) -> dict[str, _Tensor]:
    if not (folder / shard).is_file():
        raise CheckpointError(
            f"the shard {shard} is missing", where=folder, fix="download the checkpoint again"
        )
    return _tensors(SafetensorsFile(folder / shard))


def _tensors(file: SafetensorsFile) -> dict[str, _Tensor]:
    return {
        name: _Tensor(tensor.shape, tensor.dtype, file, name)
        for name, tensor in file.tensors.items()
    }
