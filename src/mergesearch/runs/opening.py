"""How the commands that take a space open its parents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mergesearch.build import Template
    from mergesearch.parents import Checkpoint


def open_with_template(
    refs: Iterable[str],
    stages: Sequence[str],
    overrides: Mapping[str, Path],
    template: Path | None,
    pins: Mapping[str, str] | None = None,
) -> tuple[dict[str, Checkpoint], Template | None]:
    """Open parents by their ids, and prove a template on one of them.

    Args:
        refs: ids of the parents.
        stages: names of merges that feed others, for the message about an unknown parent.
        overrides: folders or GGUF files in the place of ids.
        template: of an architecture that is not built in.
        pins: the commits that ids of the hub stand for: id -> `ID@COMMIT`.

    Raises:
        RecipeError, CheckpointError: a parent cannot be opened, or no parent explains the template.
    """
    from mergesearch.build import read_template
    from mergesearch.parents import open_all

    pinned = {ref: (pins or {}).get(ref, ref) for ref in refs}
    opened = open_all(pinned.values(), stages, overrides, as_found=template is not None)
    parents = dict(zip(pinned, opened.values(), strict=True))
    return parents, None if template is None else read_template(template, parents)
