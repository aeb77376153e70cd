"""What a parent is to the rest of the program: named tensors that are read by rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mergesearch._kernels.stored import Float, Stored, to_float32
from mergesearch._system.documents import check
from mergesearch.errors import CheckpointError
from mergesearch.gguf import HEAD, BuiltInLayout, Layout, check_rope_type, layout_of
from mergesearch.gguf.documents import MODEL_CONFIG
from mergesearch.parents.tokens import check_token_ids
from mergesearch.vocabulary import Tokenizer

_FIX = "download the checkpoint again"
_TIED = f'{_FIX}; if its head is its embedding, set "tie_word_embeddings": true in config.json'

PREDICTING = "that predict several tokens are left out"
SHARING = "are left out, of layers that share the keys of others"
"""What is said of tensors that a parent stores and its model does not use."""


@dataclass(frozen=True)
class TensorInfo:
    """A stored tensor: shape `(rows, cols)` or `(cols,)`, and type, such as `BF16` or `Q4_0`."""

    shape: tuple[int, ...]
    dtype: str


class Checkpoint(ABC):
    """A parent's weights, read by rows.

    Attributes:
        ref: Id of the parent as the recipe writes it.
        config: `config.json`, as used: `tie_word_embeddings` says whether the head is absent.
        tensors: Every tensor by its Hugging Face name.
        layout: Shape of the model.
    """

    ref: str
    config: dict[str, Any]
    tensors: Mapping[str, TensorInfo]
    layout: Layout

    @cached_property
    def tokenizer(self) -> Tokenizer | None:
        """The parent's tokenizer, read on first use; None where it has none."""
        return None

    @cached_property
    def notes(self) -> Sequence[str]:
        """What was left out or taken otherwise than it is stored, one sentence each."""
        return ()

    @abstractmethod
    def stored(self, name: str, start: int, stop: int) -> Stored:
        """Return rows as they are stored, without a copy; computed ones in float32.

        Their shape is `(stop - start, cols)`; a vector is one row.
        """

    def rows(self, name: str, start: int, stop: int) -> Float:
        """Return the same rows as float32."""
        return to_float32(self.stored(name, start, stop))

    def read_ahead(self, name: str, start: int, stop: int) -> None:  # noqa: B027
        """Let the system read rows that will soon be asked for from the disk, where that helps."""


class StoredCheckpoint(Checkpoint):
    """A parent that lies in files."""

    @property
    @abstractmethod
    def files(self) -> Mapping[str, Path]:
        """Every file that the parent is read from, by a name that does not depend on its place."""


def checked_layout(config: Mapping[str, Any], n_tensors: int, where: Path) -> BuiltInLayout:
    """Return the layout that a `config.json` describes, of a built-in architecture.

    Args:
        n_tensors: Number of tensors that are stored, those of each expert counted apart. Where
            layers and experts need more, no name is made for any of them.

    Raises:
        CheckpointError: The config.json is damaged, does not fit the number of tensors, or asks for
            what llama.cpp does not compute.
    """
    check(MODEL_CONFIG, config, where, CheckpointError)
    layout = layout_of(config, where)
    check_rope_type(layout, config, where)
    check_token_ids(config, layout.vocab_rows, where)
    if layout.least_tensors > n_tensors:
        raise CheckpointError(
            f"{n_tensors} tensors for {layout.n_layers} layers",
            where=where,
            expected=f"{layout.least_tensors} or more, by its configuration",
        )
    return layout


def check_tensors(tensors: Mapping[str, TensorInfo], layout: Layout, where: Path) -> None:
    """Refuse a checkpoint whose tensors are not those that its config describes.

    Raises:
        CheckpointError: Names the first tensor that is missing, unknown, or of another shape.
    """
    expected = layout.tensor_shapes()
    for name, shape in expected.items():
        if name not in tensors:
            raise CheckpointError(
                f"the tensor {name} is missing",
                where=where,
                fix=_TIED if name == HEAD else _FIX,
            )
        if tensors[name].shape != shape:
            raise CheckpointError(
                f"{name} has shape {tensors[name].shape}",
                where=where,
                expected=f"{shape}, by its configuration",
            )
    for name in tensors:
        if name not in expected:
            raise CheckpointError(
                f"unknown tensor {name}",
                where=where,
                expected="the tensors of " + layout.title,
            )
