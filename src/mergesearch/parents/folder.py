"""A parent in Hugging Face layout: `config.json` and one or several safetensors files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mergesearch._kernels.stored import Float, Stored
from mergesearch._system.documents import check, read_json_object
from mergesearch.errors import CheckpointError
from mergesearch.gguf import EMBEDDING, HEAD, Layout, check_rope_type, found_layout, layout_of
from mergesearch.gguf.documents import ANY_CONFIG, MODEL_CONFIG
from mergesearch.gguf.gemma4 import with_heads_of_full_attention
from mergesearch.parents.documents import SHARDS
from mergesearch.parents.parent import TensorInfo, check_count, check_tensors
from mergesearch.parents.safetensors import WHOLE_NUMBERS, SafetensorsFile
from mergesearch.parents.text_model import reads_images, text_config, text_names
from mergesearch.parents.tokens import check_token_ids, fitting_tokenizer
from mergesearch.vocabulary import Tokenizer, read_tokenizer
from mergesearch.vocabulary.files import documents

_SINGLE, _INDEX = "model.safetensors", "model.safetensors.index.json"
_AHEAD = "mtp."  # layers that guess the tokens after the next, for speculative decoding
_SHARD_FILES = f"model-{'[0-9]' * 5}-of-{'[0-9]' * 5}.safetensors"
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
# Constants that old checkpoints store beside the weights; the architecture computes them.
_BUFFERS = (".rotary_emb.inv_freq", ".attention.masked_bias", ".attention.bias")


@dataclass(frozen=True)
class _Place:
    """The file that holds a tensor, and the tensor's name in it."""

    file: SafetensorsFile
    name: str

    @property
    def info(self) -> TensorInfo:
        stored = self.file.tensors[self.name]
        return TensorInfo(stored.shape, stored.dtype)


class FolderCheckpoint:
    """A checkpoint whose tensors are in memory-mapped safetensors files.

    A head that a tied model stores nevertheless is left out.

    Args:
        ref: Id of the parent.
        folder: Folder to read.
        as_found: Whether the tensors are taken as they are, whatever the architecture, for a
            blueprint that says what they mean.
    """

    def __init__(self, ref: str, folder: Path, *, as_found: bool = False) -> None:
        self.ref = ref
        self.folder = folder
        self._notes: list[str] = []
        self._places = _open_files(folder, self._notes)
        self.config = read_config(folder)
        if as_found:
            self.tensors: Mapping[str, TensorInfo] = _weights(self._places)
            shapes = {name: tensor.shape for name, tensor in self.tensors.items()}
            self.layout: Layout = found_layout(self.config, shapes)
            return
        if reads_images(self.config):
            self._keep_text_model()
        self._leave_out_prediction()
        self.tensors = _weights(self._places)
        check(MODEL_CONFIG, self.config, folder / "config.json", CheckpointError)
        self.config = with_heads_of_full_attention(self.config)
        layout = layout_of(self.config, folder / "config.json")
        self.layout = layout
        check_rope_type(layout, self.config, folder / "config.json")
        check_token_ids(self.config, layout.vocab_rows, folder / "config.json")
        check_count(self.tensors, self.layout, folder)
        self._leave_out_unused(self.layout.unused_tensors())
        self.config["tie_word_embeddings"] = self.layout.tied
        if self.layout.tied and HEAD in self.tensors:
            self.tensors = {name: tensor for name, tensor in self.tensors.items() if name != HEAD}
            self._notes.append(f"{HEAD} is left out: the model's head is its embedding")
        check_tensors(self.tensors, self.layout, folder)

    def _keep_text_model(self) -> None:
        """Go on as if the folder held the text model alone."""
        architecture = (self.config.get("architectures") or ["model"])[0]
        stored = text_names(self._places)
        self.config = text_config(self.config, self.folder, has_head=HEAD in stored)
        others = len(self._places) - len(stored)
        self._places = {name: self._places[own] for name, own in stored.items()}
        if EMBEDDING in self._places:  # a config that is silent means what its files hold
            self.config.setdefault("vocab_size", self._places[EMBEDDING].info.shape[0])
        self._notes.append(
            f"the text model of {architecture} is taken; its {others} other tensors are left out"
        )

    def _leave_out_prediction(self) -> None:
        """Go on without the layers that predict several tokens at once, which the model lacks."""
        ahead = [name for name in self._places if name.startswith(_AHEAD)]
        if ahead:
            self._places = {name: self._places[name] for name in self._places if name not in ahead}
            self._notes.append(f"{len(ahead)} tensors that predict several tokens are left out")

    def _leave_out_unused(self, unused: set[str]) -> None:
        """Go on without keys and values of layers that share those of others."""
        stored = unused & set(self.tensors)
        if stored:
            kept = {name: info for name, info in self.tensors.items() if name not in stored}
            self.tensors = kept
            self._notes.append(
                f"{len(stored)} tensors are left out, of layers that share the keys of others"
            )

    @property
    def files(self) -> dict[str, Path]:
        """Every file that is read, by its name."""
        weights = dict.fromkeys(place.file.path for place in self._places.values())
        return {path.name: path for path in (*weights, *documents(self.folder))}

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out or taken otherwise than it is stored; reads the tokenizer."""
        return (*self._notes, *self._fitting[1])

    @property
    def tokenizer(self) -> Tokenizer | None:
        """The parent's tokenizer; None where the folder has no tokenizer.json."""
        return self._fitting[0]

    @cached_property
    def _fitting(self) -> tuple[Tokenizer | None, tuple[str, ...]]:
        tokenizer = read_tokenizer(self.folder, self.config)
        if tokenizer is None or not self.layout.built_in:
            return tokenizer, ()
        return fitting_tokenizer(tokenizer, self.layout.vocab_rows, self.folder)

    def rows(self, name: str, start: int, stop: int) -> Float:
        """Return rows as float32, shape `(stop - start, cols)`; a vector is one row."""
        place = self._places[name]
        return place.file.rows(place.name, start, stop)

    def stored(self, name: str, start: int, stop: int) -> Stored:
        """Return the same rows as the file holds them; see `Checkpoint.stored`."""
        place = self._places[name]
        return place.file.stored(place.name, start, stop)

    def read_ahead(self, name: str, start: int, stop: int) -> None:
        """Let the system read rows from the disk; see `Checkpoint.read_ahead`."""
        place = self._places[name]
        place.file.read_ahead(place.name, start, stop)


def _weights(places: Mapping[str, _Place]) -> dict[str, TensorInfo]:
    """Every tensor but for buffers: constants of old checkpoints, and whole numbers."""
    return {
        name: place.info
        for name, place in places.items()
        if not name.endswith(_BUFFERS) and place.info.dtype not in WHOLE_NUMBERS
    }


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


def _open_files(folder: Path, notes: list[str]) -> dict[str, _Place]:
    """The place of each stored tensor; what is not as it should be is noted.

    A single file comes before an index of shards, as it does for `transformers`.
    """
    if (folder / _SINGLE).is_file():
        file = SafetensorsFile(folder / _SINGLE)
        return {name: _Place(file, name) for name in file.tensors}
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


def _open_shards(folder: Path, notes: list[str]) -> dict[str, _Place]:
    """The place of each tensor of an index; where it is wrong, what the shards say is noted."""
    index = folder / _INDEX
    document = read_json(folder, _INDEX)
    check(SHARDS, document, index, CheckpointError)
    places: dict[str, str] = document["weight_map"]
    shards = sorted(set(places.values()))
    files = {shard: _open_shard(folder, shard) for shard in shards}
    lost = [name for name, shard in places.items() if name not in files[shard].tensors]
    found = _whole_set(folder) if lost else {}
    for name in lost:
        if name not in found:
            raise CheckpointError(f"{places[name]} does not hold {name}", where=index)
    if lost:
        notes.append(f"{_INDEX} is wrong about {len(lost)} tensors, which other shards hold")
    return {name: found.get(name) or _Place(files[shard], name) for name, shard in places.items()}


def _whole_set(folder: Path) -> dict[str, _Place]:
    """The place of each tensor that the shards of a folder hold; one that is missing is refused."""
    last = max((path.stem for path in folder.glob(_SHARD_FILES)), default="0")
    shards = int(last.rpartition("-")[2])
    names = (f"model-{number:05d}-of-{shards:05d}.safetensors" for number in range(1, shards + 1))
    files = [_open_shard(folder, name) for name in names]
    return {name: _Place(file, name) for file in files for name in file.tensors}


def _open_shard(folder: Path, shard: str) -> SafetensorsFile:
    if not (folder / shard).is_file():
        raise CheckpointError(
            f"the shard {shard} is missing", where=folder, fix="download the checkpoint again"
        )
    return SafetensorsFile(folder / shard)
