"""A PEFT adapter on a parent: rows of the base plus `scale * B @ A`, in float32.

The files and the scale are those of PEFT (`tuners/lora/model.py`, `utils/save_and_load.py`): LoRA
(arXiv 2106.09685) scales by `alpha / r`, its rank-stabilised form (arXiv 2312.03732) by
`alpha / sqrt(r)`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mergesearch._kernels.stored import Stored
from mergesearch.errors import CheckpointError
from mergesearch.gguf import EMBEDDING, HEAD, layout_of
from mergesearch.parents.folder import read_json, refuse_pickles
from mergesearch.parents.parent import Checkpoint, TensorInfo, check_tensors
from mergesearch.parents.safetensors import SafetensorsFile

if TYPE_CHECKING:
    from mergesearch.vocabulary import Tokenizer

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"

# Rows that are multiplied together: a product of always the same rows does not depend on how a
# caller cuts the tensor. A product is at most so large that BLAS leaves it to one thread: the
# threads of a build would only wait for those of BLAS.
_TILE = 32
_MOST_PRODUCTS = 1 << 18

# Settings that are followed below, and others that matter to training only or show in the tensors.
_KNOWN = {
    *("peft_type", "r", "lora_alpha", "use_rslora", "rank_pattern", "alpha_pattern"),
    *("auto_mapping", "base_model_name_or_path", "bias", "corda_config", "eva_config"),
    *("exclude_modules", "fan_in_fan_out", "inference_mode", "init_lora_weights"),
    *("layers_pattern", "layers_to_transform", "loftq_config", "lora_dropout", "lora_ga_config"),
    *("megatron_core", "modules_to_save", "peft_version", "qalora_group_size", "revision"),
    *("runtime_config", "target_modules", "task_type"),
}
_INITS_THAT_KEEP_THE_BASE = (True, False, None, "gaussian", "orthogonal", "eva")

_KEY = re.compile(
    r"(?:base_model\.model\.)?(?P<module>.+?)\."
    r"(?P<part>lora_[AB]\.weight|lora_embedding_[AB]|(?:base_layer\.|modules_to_save\.)?"
    r"(?:weight|bias))"
)

Float = npt.NDArray[np.float32]


@dataclass(frozen=True)
class _Product:
    """A change by `scale * B @ A`; of an embedding, by its transpose."""

    file: SafetensorsFile
    a: str
    b: str
    scale: float
    transposed: bool

    @property
    def rank(self) -> int:
        return self.file.entries[self.a].shape[0]

    @property
    def shape(self) -> tuple[int, ...]:
        a, b = (self.file.entries[name].shape for name in (self.a, self.b))
        return (a[1], b[0]) if self.transposed else (b[0], a[1])

    def rows(self, start: int, stop: int) -> Float:
        """Rows of the change, multiplied in tiles that begin at multiples of the tile's height."""
        factor = self.file.rows(self.a, 0, self.rank)
        first = start // _TILE * _TILE
        tiles = [
            self._tile(factor, row, min(row + _TILE, self.shape[0]))
            for row in range(first, stop, _TILE)
        ]
        return np.concatenate(tiles)[start - first : stop - first]

    def _tile(self, factor: Float, start: int, stop: int) -> Float:
        if self.transposed:
            left, right = factor[:, start:stop].T, self.file.rows(self.b, 0, self.shape[1]).T
        else:
            left, right = self.file.rows(self.b, start, stop), factor
        return _multiplied(left, right) * np.float32(self.scale)


def _multiplied(left: Float, right: Float) -> Float:
    """The product of a tile `(rows, rank)` with `(rank, cols)`, some columns at a time."""
    rank, cols = right.shape
    product = np.empty((len(left), cols), dtype=np.float32)
    width = max(1, _MOST_PRODUCTS // (_TILE * rank))
    for first in range(0, cols, width):
        part = slice(first, first + width)
        np.matmul(left, right[:, part], out=product[:, part])
    return product


class LoraCheckpoint:
    """A parent with an adapter on it; its tensors are computed when they are read.

    Tensors that the adapter stores whole (`modules_to_save`, trained biases) take the place of the
    base's. An adapter that changes the embedding or the head of a tied model unties it, as the two
    no longer agree. A tokenizer beside the adapter is used instead of the base's.
    """

    def __init__(self, ref: str, base: Checkpoint, folder: Path) -> None:
        self.ref = ref
        self._base = base
        self._folder = folder
        self._file = _open(folder)
        self._whole, self._products = _read(folder, self._file)
        self._unties = base.layout.tied and bool({EMBEDDING, HEAD} & self._changed)
        stored = dict(base.tensors)
        if self._unties:
            stored[HEAD] = base.tensors[EMBEDDING]
        self._check_known(stored)
        whole = {
            name: TensorInfo(self._file.entries[key].shape, self._file.entries[key].dtype)
            for name, key in self._whole.items()
        }
        self.tensors: Mapping[str, TensorInfo] = stored | whole
        self.config = dict(base.config)
        if self._unties:
            self.config["tie_word_embeddings"] = False
        if EMBEDDING in whole:  # tokens may have been added in training
            self.config["vocab_size"] = whole[EMBEDDING].shape[0]
        self.layout = layout_of(self.config, folder)
        self._check_shapes()
        check_tensors(self.tensors, self.layout, folder)

    @property
    def _changed(self) -> set[str]:
        return {*self._whole, *self._products}

    @cached_property
    def tokenizer(self) -> Tokenizer | None:
        """The tokenizer beside the adapter, else the base's."""
        from mergesearch.vocabulary import read_tokenizer

        return read_tokenizer(self._folder) or self._base.tokenizer

    def rows(self, name: str, start: int, stop: int) -> Float:
        """Return rows as float32, shape `(stop - start, cols)`; a vector is one row."""
        if name in self._whole:
            rows = self._file.rows(self._whole[name], start, stop)
        else:
            rows = self._base.rows(self._source(name), start, stop)
        if name in self._products:
            rows = rows + self._products[name].rows(start, stop)
        return rows

    def stored(self, name: str, start: int, stop: int) -> Stored:
        """Return the same rows; those that the adapter leaves alone as the base stores them."""
        if name in self._whole or name in self._products:
            return self.rows(name, start, stop)
        return self._base.stored(self._source(name), start, stop)

    def read_ahead(self, name: str, start: int, stop: int) -> None:
        """Let the system read the base's rows from the disk; the adapter is small."""
        if name not in self._whole:
            self._base.read_ahead(self._source(name), start, stop)

    def _source(self, name: str) -> str:
        """The base's tensor that the adapter's tensor is made of."""
        return EMBEDDING if name == HEAD and self._unties else name

    def _check_known(self, stored: Mapping[str, TensorInfo]) -> None:
        for name in sorted(self._changed - set(stored)):
            raise CheckpointError(
                f"LoRA for another base: it changes {name}, which {self._base.ref} lacks",
                where=self._folder,
                expected="an adapter that was trained on this base",
            )

    def _check_shapes(self) -> None:
        """Refuse changes of another shape than what they change."""
        shapes = [(name, one.shape) for name, one in self._products.items()]
        resized = {EMBEDDING, HEAD} & set(self._whole)
        shapes += [(name, self.tensors[name].shape) for name in self._whole]
        for name, shape in shapes:
            own = self._base.tensors.get(name, self._base.tensors[EMBEDDING]).shape
            if shape != own and (name not in resized or shape[1:] != own[1:]):
                raise CheckpointError(
                    f"LoRA for another base: {name} has shape {own} in {self._base.ref},"
                    f" and {shape} in the adapter",
                    where=self._folder,
                    expected="an adapter that was trained on this base",
                )


def _open(folder: Path) -> SafetensorsFile:
    if not folder.is_dir():
        raise CheckpointError("an adapter is a folder", where=folder)
    if not (folder / WEIGHTS).is_file():
        refuse_pickles(folder, WEIGHTS)
        raise CheckpointError(
            f"no {WEIGHTS}", where=folder, expected=f"a PEFT adapter: {CONFIG} and {WEIGHTS}"
        )
    return SafetensorsFile(folder / WEIGHTS)


def _read(folder: Path, file: SafetensorsFile) -> tuple[dict[str, str], dict[str, _Product]]:
    """What an adapter stores whole, and what it changes by a product, by the tensor's name."""
    config = _read_config(folder)
    whole: dict[str, str] = {}
    pairs: dict[str, dict[str, str]] = {}
    for key in file.entries:
        match = _KEY.fullmatch(key)
        if match is None:
            raise CheckpointError(
                f"unknown tensor {key}",
                where=file.path,
                expected="LoRA's A and B, or whole tensors",
            )
        module, part = match["module"], match["part"]
        if part.startswith("lora_"):
            pairs.setdefault(module, {})[part.removesuffix(".weight")] = key
        else:
            whole[f"{module}.{part.rpartition('.')[2]}"] = key
    if not (whole or pairs):
        raise CheckpointError("the adapter holds no tensors", where=file.path)
    products = {
        f"{module}.weight": _product(file, config, module, keys) for module, keys in pairs.items()
    }
    return whole, products


def _product(
    file: SafetensorsFile, config: Mapping[str, Any], module: str, keys: Mapping[str, str]
) -> _Product:
    embedding = "lora_embedding_A" in keys
    names = [f"lora_{'embedding_' if embedding else ''}{part}" for part in "AB"]
    if set(keys) != set(names):
        raise CheckpointError(
            f"{module}: {', '.join(sorted(keys))}", where=file.path, expected=" and ".join(names)
        )
    a, b = (keys[name] for name in names)
    shapes = [file.entries[key].shape for key in (a, b)]
    rank = int(_by_pattern(config, "rank_pattern", module, config["r"]))
    if any(len(shape) != 2 for shape in shapes) or (shapes[0][0], shapes[1][1]) != (rank, rank):
        raise CheckpointError(
            f"{module}: A has shape {shapes[0]} and B {shapes[1]}",
            where=file.path,
            expected=f"rank {rank}, by {CONFIG}",
        )
    alpha = float(_by_pattern(config, "alpha_pattern", module, config["lora_alpha"]))
    scale = alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
    return _Product(file, a, b, scale, embedding)


def _by_pattern(config: Mapping[str, Any], key: str, module: str, default: Any) -> Any:
    """A module's own rank or alpha: that of the first pattern that its name ends with."""
    for pattern, value in (config.get(key) or {}).items():
        if re.match(rf"(.*\.)?({pattern})$", module):
            return value
    return default


def _read_config(folder: Path) -> dict[str, Any]:
    """Read an adapter's settings; refuse those that may change what it computes."""
    config = read_json(folder, CONFIG)
    where = folder / CONFIG
    if config.get("peft_type") != "LORA":
        raise CheckpointError(
            f"peft_type {config.get('peft_type')!r}", where=where, expected="a LORA adapter"
        )
    if config.get("init_lora_weights") not in _INITS_THAT_KEEP_THE_BASE:
        raise CheckpointError(
            f"init_lora_weights {config['init_lora_weights']!r} changes the base's own weights",
            where=where,
            fix="convert it to a plain LoRA in PEFT: path_initial_model_for_weight_conversion",
        )
    for key, value in config.items():
        if value and key not in _KNOWN:
            raise CheckpointError(
                f"{key} {value!r} is not supported",
                where=where,
                expected="a plain or rank-stabilised LoRA",
                fix="merge the adapter into its base in PEFT, and name the merged folder",
            )
    _check_numbers(config, where)
    return config


def _check_numbers(config: Mapping[str, Any], where: Path) -> None:
    kinds: tuple[tuple[str, str, Any], ...] = (
        ("r", "rank_pattern", int),
        ("lora_alpha", "alpha_pattern", (int, float)),
    )
    for key, patterns, kind in kinds:
        own = config.get(patterns) or {}
        if not isinstance(own, dict):
            raise CheckpointError(f"{patterns} is {own!r}", where=where, expected="an object")
        for value in (config.get(key), *own.values()):
            if isinstance(value, bool) or not isinstance(value, kind) or value <= 0:
                raise CheckpointError(f"{key} is {value!r}", where=where, expected="above 0")
        for pattern in own:
            _check_pattern(pattern, where)


def _check_pattern(pattern: str, where: Path) -> None:
    try:
        re.compile(pattern)
    except re.error as error:
        raise CheckpointError(f"the pattern {pattern!r}: {error}", where=where) from error
