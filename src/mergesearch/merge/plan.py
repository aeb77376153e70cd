"""A recipe as a list of output tensors, each of which can be computed by rows.

A stage is a parent whose rows are computed from a plan of its own whenever they are read, in
float32; it is never stored.

Which parent's layer goes where, and what a gradient's depth is, match mergekit 0.1.5 (`plan.py`):
gradients run over the layers of a slice, the embedding takes the first slice's inputs, the last
norm and the head the last slice's, all three at the first point of a gradient.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType as Type

from mergesearch._kernels.stored import Stored
from mergesearch._system.memo import Memo
from mergesearch.errors import BuildError, CheckpointError, Interrupted, RecipeError
from mergesearch.gguf import EMBEDDING, Layout, layer_of, with_layer
from mergesearch.merge.compatibility import check_compatible
from mergesearch.merge.config import output_config
from mergesearch.merge.crew import Crew
from mergesearch.merge.vocabulary import align
from mergesearch.methods import InputRows, InputTensor, Method, Settings
from mergesearch.methods.combination import rows_as
from mergesearch.methods.noise import noise_key
from mergesearch.parents import Checkpoint, TensorInfo
from mergesearch.recipe import Input, Recipe, Slice
from mergesearch.vocabulary import Tokenizer, with_chat_template

BLOCK_ELEMENTS = 1 << 18
AHEAD = 64
"""How many blocks before its turn a block is asked for from the disk."""


@dataclass(frozen=True)
class Source:
    """A tensor of a parent."""

    parent: str
    name: str


@dataclass(frozen=True)
class PlannedTensor:
    """An output tensor: its Hugging Face name, shape, and what it is merged from.

    Attributes:
        base: Tensor of the base where it is apart from the inputs, None elsewhere.
        inputs: Tensors of the parents in the recipe's order.
        settings: Parameters of the method for this tensor.
        noise_keys: Key of each input's random numbers, 128 bits.
    """

    name: str
    shape: tuple[int, ...]
    base: Source | None
    inputs: tuple[Source, ...]
    settings: Settings
    noise_keys: tuple[int, ...]

    @property
    def sources(self) -> tuple[Source, ...]:
        """All that it is merged from, the base first."""
        return self.inputs if self.base is None else (self.base, *self.inputs)

    @property
    def rows(self) -> int:
        """Rows of the tensor; a vector is one row."""
        return math.prod(self.shape[:-1])

    @property
    def cols(self) -> int:
        """Elements of one row."""
        return self.shape[-1]


@dataclass(frozen=True)
class _Part:
    """One slice of the output with its base told apart from the inputs."""

    slice: Slice | None
    base: Input | None
    inputs: tuple[Input, ...]
    depth: int

    def layer(self, source: Input, offset: int) -> int:
        return (source.layer_range or (0, 0))[0] + offset


class MergePlan:
    """Every tensor of the output, computed on demand; safe to use from several threads.

    Attributes:
        config: `config.json` of the output.
        layout: its sizes.
        tensors: in the order of the output file.
        tokenizer: of the output, None where no parent has one.
    """

    def __init__(
        self,
        method: Method,
        parents: Mapping[str, Checkpoint],
        config: dict[str, Any],
        tensors: Sequence[PlannedTensor],
        layout: Layout,
        tokenizer: Tokenizer | None,
        ended: threading.Event | None,
    ) -> None:
        self.config = config
        self.tokenizer = tokenizer
        self.layout = layout
        self.tensors = tuple(tensors)
        self._method = method
        self._parents = parents
        self._ended = ended
        self._by_name = {tensor.name: tensor for tensor in self.tensors}
        self._crews = {
            one.name: Crew(partial(self._collect, one))
            for one in self.tensors
            if method.statistics is not None
        }

    def rows_as(self, name: str, start: int, stop: int, kind: Type) -> npt.NDArray[np.uint8]:
        """Return merged rows of a tensor in a ggml type; a vector is one row.

        Returns:
            uint8, shape `(stop - start, bytes of a row)`.

        Raises:
            CheckpointError: a parent holds NaN or infinity there, or elsewhere in the tensor, which
                what concerns the whole tensor carries here.
            Interrupted: the plan was ended.
            BuildError: the merge made some of finite parents.
        """
        tensor = self._by_name[name]
        statistics = self._crews[name].result() if name in self._crews else None
        merged = self._method.merge(self._read(tensor, start, stop), tensor.settings, statistics)
        rows = rows_as(merged, kind)
        if rows is not None:
            return rows
        step = rows_per_block(tensor.cols)
        for first in range(0, tensor.rows, step):
            self._check_sources(name, first, min(first + step, tensor.rows))
        raise BuildError(
            "the merge gives numbers that are not finite",
            where=name,
            fix="check the weights: do they sum to zero with normalize, or are they very large?",
        )

    def rows(self, name: str, start: int, stop: int) -> npt.NDArray[np.float32]:
        """Return merged rows as `rows_as` does, in float32, shape `(stop - start, cols)`."""
        return self.rows_as(name, start, stop, Type.F32).view(np.float32)

    def read_ahead(self, name: str, start: int, stop: int) -> None:
        """Let the system read what merged rows are made of from the disk."""
        for source in self._by_name[name].sources:
            self._parents[source.parent].read_ahead(source.name, start, stop)

    def _check_sources(self, name: str, start: int, stop: int) -> None:
        """Refuse rows of parents that are not finite, those that a stage is made of first."""
        for source in self._by_name[name].sources:
            parent = self._parents[source.parent]
            if isinstance(parent, Stage):
                parent.plan._check_sources(source.name, start, stop)
            elif not np.isfinite(parent.rows(source.name, start, stop)).all():
                raise CheckpointError(
                    f"{source.name} holds numbers that are not finite",
                    where=source.parent,
                    fix="use a parent whose weights are whole; this one was stored damaged",
                )

    def _read(self, tensor: PlannedTensor, start: int, stop: int) -> InputRows:
        if self._ended is not None and self._ended.is_set():
            raise Interrupted("the build was stopped")

        def stored(source: Source) -> Stored:
            return self._parents[source.parent].stored(source.name, start, stop)

        base = None if tensor.base is None else stored(tensor.base)
        return InputRows(base, [stored(source) for source in tensor.inputs], start * tensor.cols)

    def _collect(self, tensor: PlannedTensor, spread: Callable[..., Iterable[Any]]) -> Any:
        """The method's statistics of a whole tensor, over fixed blocks."""
        assert self._method.statistics is not None
        step = rows_per_block(tensor.cols)
        starts = range(0, tensor.rows, step)

        def read(index: int) -> InputRows:
            later = starts[min(index + AHEAD, len(starts) - 1)]
            self.read_ahead(tensor.name, later, min(later + step, tensor.rows))
            return self._read(tensor, starts[index], min(starts[index] + step, tensor.rows))

        keys = tensor.noise_keys
        whole = (
            InputTensor(read, len(starts), tensor.rows * tensor.cols, keys, spread)
            if len(starts) > 1
            else InputTensor.of([read(0)], keys)
        )
        return self._method.statistics(whole, tensor.settings)


class Stage:
    """The result of an earlier merge as a parent of later ones; see `checkpoint.Checkpoint`."""

    def __init__(self, ref: str, plan: MergePlan) -> None:
        self.ref = ref
        self.plan = plan
        self.tokenizer = plan.tokenizer
        self.config = plan.config
        self.layout = plan.layout
        self.tensors: Mapping[str, TensorInfo] = {
            one.name: TensorInfo(one.shape, "F32") for one in plan.tensors
        }

    def rows(self, name: str, start: int, stop: int) -> npt.NDArray[np.float32]:
        """Return merged rows, shape `(stop - start, cols)`; a vector is one row."""
        return self.plan.rows(name, start, stop)

    def stored(self, name: str, start: int, stop: int) -> Stored:
        """Return the same rows: they are stored nowhere."""
        return self.rows(name, start, stop)

    def read_ahead(self, name: str, start: int, stop: int) -> None:
        """Let the system read what the rows are made of from the disk."""
        self.plan.read_ahead(name, start, stop)


def rows_per_block(cols: int, together: int = 1) -> int:
    """Return how many rows make a block: about 2^18 elements, a multiple of `together`."""
    return max(1, BLOCK_ELEMENTS // (cols * together)) * together


def plan_merge(
    recipe: Recipe,
    parents: Mapping[str, Checkpoint],
    ended: threading.Event | None = None,
    memo: Memo | None = None,
) -> MergePlan:
    """Plan a recipe over opened parents.

    Args:
        recipe: Recipe to plan.
        parents: Opened parents by id.
        ended: Event after which no further block is read.
        memo: Results about vocabularies, for all plans over the same parents.

    Raises:
        CheckpointError: Parents or stages do not fit each other.
        RecipeError: A layer range goes beyond a parent's layers, or a slice lacks the base.
    """
    memo = Memo() if memo is None else memo
    available: dict[str, Checkpoint] = dict(parents)
    for stage in recipe.stages:
        name = str(stage.name)
        available[name] = Stage(name, _plan(stage, (recipe.seed, name), available, ended, memo))
    return _plan(recipe, (recipe.seed, ""), available, ended, memo)


def _plan(
    recipe: Recipe,
    origin: tuple[int, str],
    available: Mapping[str, Checkpoint],
    ended: threading.Event | None,
    memo: Memo,
) -> MergePlan:
    """Plan one merge over parents and earlier stages; seed and stage's name key its noise."""
    named = {ref: available[ref] for ref in recipe.named()}
    check_compatible(named, same_depth=not recipe.slices)
    if not all(parent.layout.built_in for parent in named.values()):
        _check_whole(recipe)
    aligned = align(named, recipe.base_model, recipe.tokenizer, memo)
    parents, tokenizer = aligned.parents, aligned.tokenizer
    if recipe.chat_template is not None:
        if tokenizer is None:
            raise CheckpointError(
                "no tokenizer.json that could hold the chat_template",
                where=recipe.base_model or recipe.named()[0],
            )
        theirs = tuple(parent.tokenizer for parent in named.values() if parent.tokenizer)
        tokenizer = memo(with_chat_template, tokenizer, recipe.chat_template, theirs)
    donor = parents[recipe.base_model or recipe.named()[0]]
    parts = [_part(recipe, one, parents, donor) for one in recipe.slices or (None,)]
    layers = [(part, offset) for part in parts for offset in range(part.depth)]
    layout = donor.layout.with_layers(len(layers))
    tensors = []
    for name, shape in layout.tensor_shapes().items():
        index = layer_of(name)
        part, offset = layers[index] if index is not None else (_outer(name, parts), None)
        tensors.append(_plan_tensor(recipe, origin, part, name, shape, offset))
    kinds = [part.layer(_first(part), at) for part, at in layers]
    config = output_config(donor, _context_parent(recipe, donor, available), kinds)
    if tokenizer is not None:  # the donor's rows may stand for other tokens
        config |= {f"{kind}_token_id": row for kind, row in tokenizer.ids.items()}
    return MergePlan(recipe.method, parents, config, tensors, layout, tokenizer, ended)


def _check_whole(recipe: Recipe) -> None:
    """Refuse what needs more knowledge of an architecture than a template gives."""
    for key, value in (
        ("slices", recipe.slices),
        ("tokenizer", recipe.tokenizer),
        ("chat_template", recipe.chat_template),
        ("context_source", recipe.context_source),
        ("layer_range", any(one.layer_range is not None for one in recipe.models)),
    ):
        if value:
            raise RecipeError(
                f"`{key}` goes with architectures that are built in, not with a template",
                expected="whole parents with one vocabulary; the template gives everything else",
            )


def _context_parent(
    recipe: Recipe, donor: Checkpoint, available: Mapping[str, Checkpoint]
) -> Checkpoint:
    source = recipe.context_source
    if source in (None, "base"):
        return donor
    if source not in available:
        raise RecipeError(
            f"context_source {source!r} is no parent of this recipe",
            expected="base, or one of " + ", ".join(available),
        )
    return available[source]


def _outer(name: str, parts: Sequence[_Part]) -> _Part:
    return parts[0] if name == EMBEDDING else parts[-1]


def _first(part: _Part) -> Input:
    return part.base or part.inputs[0]


def _part(
    recipe: Recipe,
    slice_: Slice | None,
    parents: Mapping[str, Checkpoint],
    donor: Checkpoint,
) -> _Part:
    named = recipe.models if slice_ is None else slice_.sources
    for one in named:
        available = parents[one.model].layout.n_layers
        if one.layer_range is not None and one.layer_range[1] > available:
            raise RecipeError(
                f"layer_range {list(one.layer_range)} of {one.model}",
                expected=f"at most {available} layers",
            )
    span = named[0].layer_range
    depth = donor.layout.n_layers if span is None else span[1] - span[0]
    return _Part(slice_, *recipe.base_and_inputs(slice_), depth)


def _plan_tensor(
    recipe: Recipe,
    origin: tuple[int, str],
    part: _Part,
    name: str,
    shape: tuple[int, ...],
    offset: int | None,
) -> PlannedTensor:
    depth = 0.0
    if offset is not None:
        depth = offset / (part.depth - 1) if part.depth > 1 else 1.0
    inputs = tuple(_source(part, source, name, offset) for source in part.inputs)
    pairs = [(source, tensor.name) for source, tensor in zip(part.inputs, inputs, strict=True)]
    settings = recipe.settings(part.slice, pairs, name, depth)
    if recipe.method.check is not None:
        recipe.method.check(settings, [f"{tensor.parent}, {name}" for tensor in inputs])
    base = None if part.base is None else _source(part, part.base, name, offset)
    keys = tuple(noise_key(*origin, tensor.parent, name) for tensor in inputs)
    return PlannedTensor(name, shape, base, inputs, settings, keys)


def _source(part: _Part, source: Input, name: str, offset: int | None) -> Source:
    """The parent's tensor that goes into an output tensor."""
    if offset is None:
        return Source(source.model, name)
    return Source(source.model, with_layer(name, part.layer(source, offset)))
