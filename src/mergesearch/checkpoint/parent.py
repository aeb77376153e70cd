"""What a parent is to the rest of the program: named tensors that are read by rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from mergesearch.gguf_layout import Layout

if TYPE_CHECKING:
    from mergesearch.tokenizer import Tokenizer


@dataclass(frozen=True)
class TensorInfo:
    """A stored tensor: shape `(rows, cols)` or `(cols,)`, and its type, such as `BF16` or `Q4_0`."""

    shape: tuple[int, ...]
    dtype: str


class Checkpoint(Protocol):
    """A parent's weights, read by rows.

    Attributes:
        ref: the parent's id as the recipe writes it.
        config: its `config.json`, as used: `tie_word_embeddings` says whether the head is absent.
        layout: the sizes that the config gives.
        tensors: every tensor by its Hugging Face name.
    """

    ref: str
    config: dict[str, Any]
    layout: Layout
    tensors: Mapping[str, TensorInfo]

    @property
    def tokenizer(self) -> Tokenizer | None:
        """The parent's tokenizer, read on first use and then kept; None where it has none."""
        ...

    def rows(self, name: str, start: int, stop: int) -> npt.NDArray[np.float32]:
        """Return rows as float32, shape `(stop - start, cols)`; a vector is one row."""
        ...
