"""The place where recipes become models: opened parents, and how they are built."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from mergesearch._system.files import new_file, new_folder
from mergesearch._system.memo import Memo
from mergesearch._system.spare import Spare
from mergesearch.build.blueprint import Blueprint, read_blueprint
from mergesearch.build.candidate import Candidate
from mergesearch.build.contents import Contents, built_in_contents
from mergesearch.build.estimate import Estimate, estimate
from mergesearch.build.files import OnProgress, in_one_pass, scratch_file, write_pieces
from mergesearch.build.folder import open_shards
from mergesearch.build.gguf_file import GgufOutput, file_layout, write_gguf
from mergesearch.build.label import Label
from mergesearch.errors import InputError
from mergesearch.merge import MergedModel, plan_merge
from mergesearch.merge.differences import differences, unmatched_filters
from mergesearch.parents import ParentFiles, StoredCheckpoint, open_parents
from mergesearch.recipe import Quantization, Recipe


class Workshop:
    """Builds recipes over one set of parents: in memory, as a GGUF file, or as a folder.

    Every method raises RecipeError or CheckpointError where a recipe does not fit the parents; the
    building ones raise BuildError where the merge gives numbers that are not finite, or where
    memory or disk run out, and ParentChanged where a file of a parent is no longer what it was.

    Attributes:
        parents: Opened parents by id.
        blueprint: Model for an architecture that is not built in, whose parents are opened as they
            are found; None where all are built in.
        files: Files of the parents.
        threads: Number of threads that build; None for one per processor. The bytes that are built
            do not depend on it.
        spare: Room for what is needed again: products of adapters, rows of stages.
    """

    def __init__(
        self,
        parents: Mapping[str, StoredCheckpoint],
        blueprint: Blueprint | None = None,
        threads: int | None = None,
        spare: Spare | None = None,
    ) -> None:
        self.parents = parents
        self.blueprint = blueprint
        self.threads = threads
        self.spare = Spare.of_machine() if spare is None else spare
        self.files = ParentFiles(parents)
        self._memo = Memo()

    @classmethod
    def open(
        cls,
        refs: Iterable[str],
        *,
        stages: Iterable[str] = (),
        overrides: Mapping[str, Path] | None = None,
        pins: Mapping[str, str] | None = None,
        template: Path | None = None,
        threads: int | None = None,
        scratch: Path | None = None,
    ) -> Workshop:
        """Open parents by their ids, and prove a template on one of them.

        Args:
            refs: Ids of the parents.
            stages: Names of merges that feed others, for the message about an unknown parent.
            overrides: Folders or GGUF files that take the place of ids.
            pins: Commits that ids of the hub stand for: id -> `ID@COMMIT`.
            template: GGUF of one parent, for an architecture that is not built in.
            threads: Number of threads that build.
            scratch: Folder for what is needed again and does not fit in memory; None for the
                system's temporary one.

        Raises:
            RecipeError, CheckpointError: A parent cannot be opened, or no parent explains the
                template.
        """
        spare = Spare.of_machine(scratch)
        pinned = {ref: (pins or {}).get(ref, ref) for ref in refs}
        opened = open_parents(
            pinned.values(), tuple(stages), overrides, as_found=template is not None, spare=spare
        )
        parents = dict(zip(pinned, opened.values(), strict=True))
        blueprint = None if template is None else read_blueprint(template, parents)
        return cls(parents, blueprint, threads, spare)

    @classmethod
    def for_recipe(
        cls,
        recipe: Recipe,
        overrides: Mapping[str, Path] | None = None,
        *,
        template: Path | None = None,
        threads: int | None = None,
    ) -> Workshop:
        """Open the parents of one recipe, those of its stages too; see `open`."""
        return cls.open(
            recipe.parents(),
            stages=recipe.stages(),
            overrides=overrides,
            template=template,
            threads=threads,
        )

    def plan(self, recipe: Recipe, stop: threading.Event | None = None) -> MergedModel:
        """Return every tensor of a recipe's model, computed on demand.

        Args:
            stop: Event that ends the reading of blocks once it is set.
        """
        return plan_merge(recipe, self.parents, stop, self._memo, self.spare)

    def notes(self, recipe: Recipe) -> list[str]:
        """Return what a person should know of the recipe and its parents, one sentence each.

        What was left out of the recipe and of a parent comes first, with filters that no tensor's
        name contains; then settings in which parents differ from the model that the recipe makes,
        as it takes those of one parent.
        """
        left_out = [
            f"{ref}: {note}" for ref, parent in self.parents.items() for note in parent.notes
        ]
        merged = self.plan(recipe)
        unmatched = unmatched_filters(recipe, merged)
        return [*recipe.notes(), *unmatched, *left_out, *differences(merged, self.parents)]

    def size(self, recipe: Recipe) -> int:
        """Return the size in bytes of a recipe's GGUF, without building it."""
        return file_layout(self._contents(recipe, self.plan(recipe)), recipe.quantize).size

    def estimate(self, recipe: Recipe) -> Estimate:
        """Return what building a recipe's GGUF takes, measured on one layer of it."""
        merged = self.plan(recipe)
        return estimate(merged, self._contents(recipe, merged), recipe.quantize, self.threads)

    def candidate(
        self,
        recipe: Recipe,
        stop: threading.Event | None = None,
        on_progress: OnProgress | None = None,
    ) -> Candidate:
        """Build a recipe's GGUF in memory, in the recipe's own mix.

        Args:
            stop: Event that ends the build soon after another thread sets it.
            on_progress: Function that takes the numbers of blocks written and of all blocks.

        Raises:
            Interrupted: `stop` was set.
        """
        started = time.perf_counter()
        fd, path, temporary = scratch_file()
        try:
            size, digest = self._write(fd, recipe, recipe.quantize, stop, on_progress)
        except BaseException:
            Candidate(fd, path, 0, "", 0.0, temporary).close()
            raise
        return Candidate(fd, path, size, digest, time.perf_counter() - started, temporary)

    def gguf(
        self,
        recipe: Recipe,
        path: Path,
        quant: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> str:
        """Build a recipe's GGUF as a file, whole or not at all, and return its SHA-256 (hex).

        Args:
            path: File to write; an existing one is replaced.
            quant: Key of `quantize.MIXES`; None for the recipe's own mix.
            on_progress: Function that takes the numbers of blocks written and of all blocks.
        """
        quantization = recipe.quantize if quant is None else Quantization(quant)
        with new_file(path) as fd:
            _, digest = self._write(fd, recipe, quantization, on_progress=on_progress)
        return digest

    def safetensors(
        self,
        recipe: Recipe,
        folder: Path,
        *,
        replace: bool = False,
        on_progress: OnProgress | None = None,
    ) -> None:
        """Build a recipe as a Hugging Face folder in its own `dtype`, whole or not at all.

        Weights are cut into shards of at most 4 GB; the tokenizer's files are copied from the
        parent that the recipe takes it from, or written where it is a new one.

        Args:
            replace: Whether another model in the folder's place is removed.
            on_progress: Function that takes the numbers of blocks written and of all blocks.

        Raises:
            InputError: Something is in the folder's place that may not be replaced.
        """
        refuse_folder(folder, replace)
        with new_folder(folder, replace=replace) as unfinished:
            self.write_all(recipe, unfinished, {}, None, on_progress)

    def write_all(
        self,
        recipe: Recipe,
        folder: Path,
        mixes: Mapping[str, Path],
        label: Label | None,
        on_progress: OnProgress | None = None,
    ) -> dict[str, str]:
        """Write a recipe's model as safetensors and GGUFs, in one pass over the parents.

        Args:
            folder: Empty folder for the safetensors.
            mixes: File to write for each key of `quantize.MIXES`.
            label: What the files say of themselves; None for nothing.
            on_progress: Function that takes the numbers of blocks written and of all blocks.

        Returns:
            SHA-256 (hex) of the candidate in each mix.
        """
        with self._unchanged(), ExitStack() as stack:
            merged = self.plan(recipe)
            shards = stack.enter_context(open_shards(folder, merged, recipe.last.dtype, label))
            contents = self._contents(recipe, merged) if mixes else None
            files: dict[str, GgufOutput] = {}
            for mix, path in mixes.items():
                assert contents is not None
                own = mix == recipe.quantize.mix
                quantization = recipe.quantize if own else Quantization(mix)
                fd = stack.enter_context(new_file(path))
                files[mix] = GgufOutput(fd, merged, contents, quantization, label)
            pieces = in_one_pass([*(output.pieces for output in files.values()), *shards])
            write_pieces(pieces, self.threads, merged.stopping, on_progress)
            return {mix: output.close()[1] for mix, output in files.items()}

    def _write(
        self,
        fd: int,
        recipe: Recipe,
        quantization: Quantization,
        stop: threading.Event | None = None,
        on_progress: OnProgress | None = None,
    ) -> tuple[int, str]:
        with self._unchanged():
            merged = self.plan(recipe, stop)
            contents = self._contents(recipe, merged)
            return write_gguf(fd, merged, contents, quantization, self.threads, on_progress)

    @contextmanager
    def _unchanged(self) -> Iterator[None]:
        """Refuse what is built of a parent that was changed before or meanwhile."""
        self.files.check()
        try:
            yield
        except Exception:
            self.files.check()  # which explains what went wrong
            raise
        self.files.check()

    def _contents(self, recipe: Recipe, merged: MergedModel) -> Contents:
        if self.blueprint is not None:
            return self.blueprint.contents(merged)
        return built_in_contents(recipe, merged, self._memo)


def refuse_folder(folder: Path, replace: bool) -> None:
    """Refuse a folder that is not empty, unless it holds nothing but a model to be replaced.

    Raises:
        InputError: Something is in the folder's place that may not be replaced.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not folder.is_dir():
        raise InputError("is not a folder", where=folder)
    if not replace:
        raise InputError(
            "is not empty", where=folder, fix="name another folder, or replace it: --force"
        )
    if not (folder / "config.json").is_file() or any(path.is_dir() for path in folder.iterdir()):
        raise InputError("holds more than a model, so it is left alone", where=folder)
