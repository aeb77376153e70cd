"""What a parent is to the rest of the program: named tensors that are read by rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mergesearch._kernels.stored import Float, Stored
from mergesearch.errors import CheckpointError
from mergesearch.gguf import HEAD, Layout

if TYPE_CHECKING:
    from mergesearch.vocabulary import Tokenizer


_FIX = "download the checkpoint again"
_TIED = f'{_FIX}; if its head is its embedding, set "tie_word_embeddings": true in config.json'


@dataclass(frozen=True)
class TensorInfo:
    """A stored tensor: shape `(rows, cols)` or `(cols,)`, and type, such as `BF16` or `Q4_0`."""

    shape: tuple[int, ...]
    dtype: str


class Checkpoint(Protocol):
    """A parent's weights, read by rows.

    Attributes:
        ref: Id of the parent as the recipe writes it.
        config: `config.json`, as used: `tie_word_embeddings` says whether the head is absent.
        tensors: Every tensor by its Hugging Face name.
    """

    ref: str
    config: dict[str, Any]
    tensors: Mapping[str, TensorInfo]

    @property
    def layout(self) -> Layout:
        """The shape of the model."""
        ...

    @property
    def tokenizer(self) -> Tokenizer | None:
        """The parent's tokenizer, read on first use and then kept; None where it has none."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """What was left out or taken otherwise than it is stored, one sentence each."""
        ...

    def rows(self, name: str, start: int, stop: int) -> Float:
        """Return rows as float32, shape `(stop - start, cols)`; a vector is one row."""
        ...

    def stored(self, name: str, start: int, stop: int) -> Stored:
        """Return the same rows as they are stored, without a copy; computed ones in float32."""
        ...

    def read_ahead(self, name: str, start: int, stop: int) -> None:
        """Let the system read rows that will soon be asked for from the disk."""
        ...


class StoredCheckpoint(Checkpoint, Protocol):
    """A parent that lies in files."""

    @property
    def files(self) -> Mapping[str, Path]:
        """Every file that the parent is read from, by a name that does not depend on its place."""
        ...


def check_count(tensors: Mapping[str, TensorInfo], layout: Layout, where: Path) -> None:
    """Refuse a checkpoint with fewer tensors than layers, before a name is made for each of them.

    Raises:
        CheckpointError: There are too few.
    """
    if layout.least_tensors > len(tensors):
        raise CheckpointError(
            f"{len(tensors)} tensors for {layout.n_layers} layers",
            where=where,
            expected=f"{layout.least_tensors} or more, by its configuration",
        )


def check_tensors(tensors: Mapping[str, TensorInfo], layout: Layout, where: Path) -> None:
    """Refuse a checkpoint whose tensors are not those that its config describes.

    Raises:
        CheckpointError: Names the first tensor that is missing, unknown, of another shape, or of a
            type that weights are not stored in.
    """
    check_count(tensors, layout, where)
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
