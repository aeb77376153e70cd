"""The files of a PEFT adapter: tensors that it stores whole, and changes of the base's.

The files and the formulas are those of PEFT (`tuners/lora/model.py` and `layer.py`,
`utils/save_and_load.py`): LoRA (arXiv 2106.09685) adds `scale * B @ A` with a scale of `alpha / r`,
its rank-stabilised form (arXiv 2312.03732) with `alpha / sqrt(r)`; DoRA (arXiv 2402.09353) then
gives every row the length that it has learnt.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from mergesearch._kernels.stored import Float
from mergesearch._system.documents import check, shown, state_of
from mergesearch.errors import CheckpointError
from mergesearch.parents.documents import ADAPTER_SETTINGS
from mergesearch.parents.folder import read_json, refuse_pickles
from mergesearch.parents.safetensors import WHOLE_NUMBERS, SafetensorsFile
from mergesearch.vocabulary.files import documents

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_DEFAULT = "default"
"""PEFT's name of an adapter that was given none."""

# Rows that are multiplied together: a product of always the same rows does not depend on how a
# caller cuts the tensor. A product is at most so large that BLAS leaves it to one thread: the
# threads of a build would only wait for those of BLAS.
_TILE = 32
_MOST_PRODUCTS = 1 << 18

# Settings that are followed below, and others that matter to training only or show in the tensors.
_KNOWN = {
    *("peft_type", "r", "lora_alpha", "use_rslora", "use_dora", "rank_pattern", "alpha_pattern"),
    *("auto_mapping", "base_model_name_or_path", "bias", "corda_config", "eva_config"),
    *("exclude_modules", "fan_in_fan_out", "inference_mode", "init_lora_weights"),
    *("layers_pattern", "layers_to_transform", "loftq_config", "lora_dropout", "lora_ga_config"),
    *("megatron_core", "modules_to_save", "peft_version", "qalora_group_size", "revision"),
    *("runtime_config", "target_modules", "task_type"),
}
_INITS_THAT_KEEP_THE_BASE = (True, False, None, "gaussian", "orthogonal", "eva")

_KEY = re.compile(
    r"(?:base_model\.model\.)?(?P<module>.+?)\."
    r"(?:(?P<part>lora_[AB]|lora_embedding_[AB]|lora_magnitude_vector)"
    r"(?:\.(?!weight$)(?P<adapter>[^.]+))?(?:\.weight)?"
    r"|(?:base_layer\.|modules_to_save\.(?:(?P<saved>[^.]+)\.)?)?(?P<whole>weight|bias))"
)

_WHOLE = ("weight", "bias")
_MOST_CHARACTERS = 200
"""Characters of a module's name, to which patterns are compared."""


@dataclass(frozen=True)
class LowRankChange:
    """A change of a tensor by `scale * B @ A`; of an embedding, by its transpose.

    Attributes:
        file: File that holds the factors.
        a: Name of A, shape `(rank, cols)`.
        b: Name of B, shape `(rows, rank)`.
        scale: Factor of the product.
        transposed: Whether the tensor is an embedding.
        magnitude: Name of the lengths of the rows, shape `(rows,)`; None where they stay as they
            come.
    """

    file: SafetensorsFile
    a: str
    b: str
    scale: float
    transposed: bool
    magnitude: str | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the tensor."""
        a, b = (self.file.tensors[name].shape for name in (self.a, self.b))
        return (a[1], b[0]) if self.transposed else (b[0], a[1])

    @np.errstate(over="ignore", invalid="ignore")  # what is not finite is refused as a parent's
    def write_product(self, into: Float, start: int) -> None:
        """Write the product's rows from `start` on, by tiles that begin at multiples of a height.

        Args:
            into: Array of the rows, shape `(rows, cols)`.
        """
        stop = start + len(into)
        factor = self.file.rows(self.a, 0, self.file.tensors[self.a].shape[0])
        for first in range(start // _TILE * _TILE, stop, _TILE):
            tile = self._tile(factor, first, min(first + _TILE, self.shape[0]))
            wanted = slice(max(first, start), min(first + len(tile), stop))
            np.multiply(
                tile[wanted.start - first : wanted.stop - first],
                np.float32(self.scale),
                out=into[wanted.start - start : wanted.stop - start],
            )

    def applied(self, rows: Float, product: Float, start: int) -> Float:
        """Return rows of the base, from `start` on, with the product's rows that belong to them."""
        changed = rows + product
        if self.magnitude is None:
            return changed
        squares = np.square(changed, dtype=np.float64).sum(axis=1)
        lengths = self.file.rows(self.magnitude, 0, 1)[0, start : start + len(rows)]
        return changed * (lengths / np.sqrt(squares)).astype(np.float32)[:, None]

    def _tile(self, factor: Float, start: int, stop: int) -> Float:
        """Rows `start:stop` of B @ A, or of its transpose."""
        if self.transposed:
            return _multiplied(factor[:, start:stop].T, self.file.rows(self.b, 0, self.shape[1]).T)
        return _multiplied(self.file.rows(self.b, start, stop), factor)


def _multiplied(left: Float, right: Float) -> Float:
    """The product of a tile `(rows, rank)` with `(rank, cols)`, some columns at a time."""
    rank, cols = right.shape
    product = np.empty((len(left), cols), dtype=np.float32)
    width = max(1, _MOST_PRODUCTS // (_TILE * rank))
    for first in range(0, cols, width):
        columns = slice(first, first + width)
        np.matmul(left, right[:, columns], out=product[:, columns])
    return product


@dataclass(frozen=True)
class Adapter:
    """What an adapter holds.

    Attributes:
        folder: Folder of its files.
        file: File of its tensors.
        whole: Name in the file of every tensor that takes the place of the base's.
        changes: Change of every other tensor that it adapts.
        notes: What was left out, one sentence each.
    """

    folder: Path
    file: SafetensorsFile
    whole: Mapping[str, str]
    changes: Mapping[str, LowRankChange]
    notes: tuple[str, ...]

    @property
    def files(self) -> list[Path]:
        """Every file that is read."""
        return [self.file.path, self.folder / CONFIG, *documents(self.folder)]


def read_adapter(folder: Path) -> Adapter:
    """Read a PEFT adapter; of several in its file, the one named `default`.

    Raises:
        CheckpointError: It is not a LoRA or DoRA adapter, is damaged, or has settings that are not
            followed here.
    """
    folder = _with_weights(folder)
    file = SafetensorsFile(folder / WEIGHTS)
    config = _read_config(folder)
    by_adapter = _modules(file)
    if not by_adapter:
        raise CheckpointError("the adapter holds no tensors", where=file.path)
    chosen = next(iter(by_adapter)) if len(by_adapter) == 1 else _DEFAULT
    if chosen not in by_adapter:
        raise CheckpointError(
            "several adapters in one file: " + ", ".join(by_adapter),
            where=file.path,
            expected=f"one, or one of them named {_DEFAULT}",
            fix="save the one that is wanted alone",
        )
    modules = by_adapter.pop(chosen)
    notes = [f"the adapter {name} in the same file is left out" for name in by_adapter]
    changes: dict[str, LowRankChange] = {}
    whole: dict[str, str] = {}
    for name, parts in modules.items():
        whole |= {f"{name}.{part}": parts.pop(part) for part in _WHOLE if part in parts}
        if parts:
            changes[f"{name}.weight"] = _change(file, config, name, parts)
    return Adapter(folder, file, whole, changes, tuple(notes))


def _with_weights(folder: Path) -> Path:
    """The folder that holds the tensors: PEFT puts an adapter with a name into one of its own."""
    if not folder.is_dir():
        raise CheckpointError("an adapter is a folder", where=folder)
    for candidate in (folder, folder / _DEFAULT):
        if (candidate / WEIGHTS).is_file():
            return candidate
    refuse_pickles(folder, WEIGHTS)
    raise CheckpointError(
        f"no {WEIGHTS}", where=folder, expected=f"a PEFT adapter: {CONFIG} and {WEIGHTS}"
    )


def _modules(file: SafetensorsFile) -> dict[str, dict[str, dict[str, str]]]:
    """The names in a file by adapter, by module, and by the part of it that they are."""
    found: dict[str, dict[str, dict[str, str]]] = {}
    for key in file.tensors:
        match = _KEY.fullmatch(key)
        floats = file.tensors[key].dtype not in WHOLE_NUMBERS
        if match is None or len(key) > _MOST_CHARACTERS or not floats:
            raise CheckpointError(
                f"unknown tensor {key[:_MOST_CHARACTERS]}",
                where=file.path,
                expected="LoRA's A and B, DoRA's lengths, or whole tensors, all of floats",
            )
        adapter = match["adapter"] or match["saved"] or _DEFAULT
        module = found.setdefault(adapter, {}).setdefault(match["module"], {})
        module[match["part"] or match["whole"]] = key
    return found


def _change(
    file: SafetensorsFile, config: Mapping[str, Any], module: str, factors: Mapping[str, str]
) -> LowRankChange:
    embedding = "lora_embedding_A" in factors
    names = [f"lora_{'embedding_' if embedding else ''}{part}" for part in "AB"]
    magnitude = factors.get("lora_magnitude_vector")
    if {*factors} - {"lora_magnitude_vector"} != {*names}:
        raise CheckpointError(
            f"{module}: {', '.join(sorted(factors))}", where=file.path, expected=" and ".join(names)
        )
    if magnitude is not None and embedding:
        raise CheckpointError(
            f"{module}: a DoRA adapter of an embedding",
            where=file.path,
            fix="merge the adapter into its base in PEFT, and name the merged folder",
        )
    a, b = (factors[name] for name in names)
    shapes = [file.tensors[key].shape for key in (a, b)]
    rank = int(_by_pattern(config, "rank_pattern", module, config["r"]))
    if any(len(shape) != 2 for shape in shapes) or (shapes[0][0], shapes[1][1]) != (rank, rank):
        raise CheckpointError(
            f"{module}: A has shape {shapes[0]} and B {shapes[1]}",
            where=file.path,
            expected=f"rank {rank}, by {CONFIG}",
        )
    if magnitude is not None and file.tensors[magnitude].shape != shapes[1][:1]:
        raise CheckpointError(
            f"{magnitude} has shape {file.tensors[magnitude].shape}",
            where=file.path,
            expected=f"{shapes[1][:1]}, a length for each row",
        )
    alpha = float(_by_pattern(config, "alpha_pattern", module, config["lora_alpha"]))
    scale = alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
    return LowRankChange(file, a, b, scale, embedding, magnitude)


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"(.*\.)?({pattern})$")  # see `documents`


def _by_pattern(config: Mapping[str, Any], key: str, module: str, default: Any) -> Any:
    """A module's own rank or alpha: that of the first pattern that its name ends with."""
    for pattern, value in (config.get(key) or {}).items():
        if _compiled(pattern).match(module):
            return value
    return default


def _read_config(folder: Path) -> dict[str, Any]:
    """Read an adapter's settings; refuse those that may change what it computes."""
    config = read_json(folder, CONFIG)
    where = folder / CONFIG
    if config.get("peft_type") != "LORA":
        raise CheckpointError(
            state_of("peft_type", config.get("peft_type")), where=where, expected="a LORA adapter"
        )
    check(ADAPTER_SETTINGS, config, where, CheckpointError)
    if config.get("init_lora_weights") not in _INITS_THAT_KEEP_THE_BASE:
        raise CheckpointError(
            f"init_lora_weights {shown(config['init_lora_weights'])} changes the base's weights",
            where=where,
            fix="convert it to a plain LoRA in PEFT: path_initial_model_for_weight_conversion",
        )
    for key, value in config.items():
        if value and key not in _KNOWN:
            raise CheckpointError(
                f"{key} {shown(value)} is not supported",
                where=where,
                expected="a LoRA, rank-stabilised LoRA or DoRA adapter",
                fix="merge the adapter into its base in PEFT, and name the merged folder",
            )
    return config
