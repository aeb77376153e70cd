"""A PEFT adapter on a parent, whose rows are computed when they are read, in float32."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from mergesearch._kernels.stored import Float, Stored, to_float32
from mergesearch._system.spare import Spare
from mergesearch.errors import CheckpointError
from mergesearch.gguf import EMBEDDING, HEAD, layout_of
from mergesearch.parents.adapter import read_adapter
from mergesearch.parents.parent import StoredCheckpoint, TensorInfo, check_tensors
from mergesearch.parents.tokens import fitting_tokenizer
from mergesearch.vocabulary import Tokenizer, read_tokenizer


class LoraCheckpoint(StoredCheckpoint):
    """A parent with an adapter on it; see `Checkpoint`.

    Tensors that the adapter stores whole (`modules_to_save`, trained biases) take the place of the
    base's. An adapter that changes the embedding or the head of a tied model unties it, as the two
    no longer agree. A tokenizer beside the adapter is used instead of the base's.

    Args:
        base: Parent that the adapter is for.
        spare: Room to keep products in; None: they are computed whenever they are read.
    """

    def __init__(
        self, ref: str, base: StoredCheckpoint, folder: Path, spare: Spare | None = None
    ) -> None:
        self.ref = ref
        self._spare = spare
        self._products: dict[tuple[str, int, int], Float] = {}
        self._base = base
        self._adapter = read_adapter(folder)
        changed = {*self._adapter.whole, *self._adapter.changes}
        self._unties = base.layout.tied and bool({EMBEDDING, HEAD} & changed)
        stored = dict(base.tensors)
        if self._unties:
            stored[HEAD] = base.tensors[EMBEDDING]
        for name in sorted(changed - {*stored}):
            raise self._for_another_base(f"it changes {name}, which {base.ref} lacks")
        file = self._adapter.file
        whole = {name: file.tensors[key] for name, key in self._adapter.whole.items()}
        self.tensors: Mapping[str, TensorInfo] = stored | whole
        self.config = dict(base.config)
        if self._unties:
            self.config["tie_word_embeddings"] = False
        if EMBEDDING in whole:  # tokens may have been added in training
            self.config["vocab_size"] = whole[EMBEDDING].shape[0]
        self.layout = layout_of(self.config, folder)
        self._check_shapes(whole)
        check_tensors(self.tensors, self.layout, folder)

    @property
    def files(self) -> Mapping[str, Path]:
        """The files of the base and of the adapter."""
        base = {f"base/{name}": path for name, path in self._base.files.items()}
        return base | {f"adapter/{path.name}": path for path in self._adapter.files}

    @cached_property
    def tokenizer(self) -> Tokenizer | None:
        """The tokenizer beside the adapter, else the base's."""
        return self._fitting[0]

    @cached_property
    def notes(self) -> Sequence[str]:
        """What was left out of the base, of the adapter and of its tokenizer."""
        return (*self._base.notes, *self._adapter.notes, *self._fitting[1])

    @cached_property
    def _fitting(self) -> tuple[Tokenizer | None, tuple[str, ...]]:
        own = read_tokenizer(self._adapter.folder)
        if own is None:
            return self._base.tokenizer, ()
        return fitting_tokenizer(own, self.layout.vocab_rows, self._adapter.folder)

    def stored(self, name: str, start: int, stop: int) -> Stored:
        """Return rows; those that the adapter stores or leaves alone as they are stored."""
        if name in self._adapter.whole:
            rows = self._adapter.file.stored(self._adapter.whole[name], start, stop)
        else:
            rows = self._base.stored(self._source(name), start, stop)
        if name not in self._adapter.changes:
            return rows
        product = self._product(name, start, stop)
        return self._adapter.changes[name].applied(to_float32(rows), product, start)

    def _product(self, name: str, start: int, stop: int) -> Float:
        """Rows of an adapter's product, kept where there is room: candidates do not change them."""
        change = self._adapter.changes[name]
        found = self._products.get((name, start, stop))
        if found is None:
            shape = (stop - start, change.shape[1])
            kept = None if self._spare is None else self._spare.array(shape)
            found = np.empty(shape, dtype=np.float32) if kept is None else kept
            change.write_product(found, start)
            if kept is not None:
                self._products[name, start, stop] = kept
        return found

    def read_ahead(self, name: str, start: int, stop: int) -> None:
        """Let the system read the base's rows from the disk; the adapter is small."""
        if name not in self._adapter.whole:
            self._base.read_ahead(self._source(name), start, stop)

    def _source(self, name: str) -> str:
        """The base's tensor that the adapter's tensor is made of."""
        return EMBEDDING if name == HEAD and self._unties else name

    def _check_shapes(self, whole: Mapping[str, TensorInfo]) -> None:
        """Refuse changes of another shape than what they change."""
        changes = self._adapter.changes
        shapes = [(name, change.shape) for name, change in changes.items()]
        shapes += [(name, tensor.shape) for name, tensor in whole.items()]
        for name, shape in shapes:
            own = self._base.tensors.get(name, self._base.tensors[EMBEDDING]).shape
            resized = name in (EMBEDDING, HEAD) and name in whole
            if shape != own and not (resized and shape[1:] == own[1:]):
                raise self._for_another_base(
                    f"{name} has shape {own} in {self._base.ref}, and {shape} in the adapter"
                )

    def _for_another_base(self, what: str) -> CheckpointError:
        return CheckpointError(
            f"LoRA for another base: {what}",
            where=self._adapter.folder,
            expected="an adapter that was trained on this base",
        )
