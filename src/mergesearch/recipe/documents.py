"""One or several YAML documents as one mapping: the last merge, with its `stages` before it.

Several documents that feed each other are mergekit's format for `mergekit-multi`
(`scripts/multimerge.py`): a document takes the result of another by its `name`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from mergesearch._system.yaml_text import as_written, read_documents
from mergesearch.errors import RecipeError
from mergesearch.recipe.reading import Location
from mergesearch.recipe.references import references, with_plain_references

_MOST_STAGES = 50
"""Stages of a recipe: each takes some calls inside the calls of the next one."""
_MOST_MERGES = 1000
"""Merges that one block of the result may take, those that two stages need counted twice."""


def load_document(text: str, where: str | Path) -> dict[str, Any]:
    """Parse a recipe's or a space's YAML into one mapping.

    Of several documents the one that no other uses is the mapping itself; the others are the list
    under `stages`, each after those that it uses.

    Raises:
        RecipeError: Not YAML, no mapping, a document without a name that others could use, or
            documents that do not lead to one model.
    """
    documents = [found for found in read_documents(text, RecipeError, where) if found is not None]
    if not documents or not all(isinstance(document, dict) for document in documents):
        raise RecipeError(
            "not a mapping" if documents else "no YAML document",
            where=where,
            expected="documents with `merge_method` and `models` or `slices`",
        )
    documents = with_plain_references(documents, Location(str(where)))
    if len(documents) == 1:
        return documents[0]
    used = {ref for document in documents for ref in references(document)}
    last = [document for document in documents if not _is_used(document, used)]
    if len(last) > 1:
        names = [document.get("name", "the unnamed one") for document in last]
        shown = ", ".join(name if isinstance(name, str) else as_written(name) for name in names)
        raise RecipeError(
            f"no document uses the results of {shown}",
            where=where,
            expected="one last document, which all others lead to",
        )
    stages = [document for document in documents if not last or document is not last[0]]
    ordered = in_order(stages, where)
    assert last, "without a last document there is a cycle"
    return {**last[0], "stages": ordered}


def _is_used(document: Mapping[str, Any], used: set[str]) -> bool:
    name = document.get("name")
    return isinstance(name, str) and name in used


def in_order(stages: Sequence[Mapping[str, Any]], where: str | Path) -> list[dict[str, Any]]:
    """Return stages so that each comes after those that it uses, otherwise in their order.

    Raises:
        RecipeError: A stage without a name, two of one name, stages that use each other, or more of
            them than can be merged in one go.
    """
    if len(stages) > _MOST_STAGES:
        raise RecipeError(
            f"{len(stages)} stages",
            where=where,
            expected=f"at most {_MOST_STAGES}",
            fix="build some of them to safetensors, and name the folders as parents",
        )
    by_name: dict[str, dict[str, Any]] = {}
    for stage in stages:
        name = stage.get("name")
        if not isinstance(name, str) or not name:
            raise RecipeError(
                f"a stage's `name` is {as_written(name)}", where=where, expected="a string"
            )
        if name in by_name:
            raise RecipeError(f"two stages have the name {name!r}", where=where)
        by_name[name] = dict(stage)
    graph = {}
    for name, stage in by_name.items():
        used = set(references(stage))
        graph[name] = [other for other in by_name if other in used]
    try:
        order = list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        circle = " -> ".join(map(repr, reversed(error.args[1])))
        raise RecipeError(f"the stages use each other in a circle: {circle}", where=where) from None
    merges: dict[str, int] = {}
    for name in order:
        merges[name] = 1 + sum(merges[other] for other in graph[name])
        if merges[name] > _MOST_MERGES:
            raise RecipeError(
                f"the stage {name!r} takes {merges[name]} merges of the stages before it",
                where=where,
                expected=f"at most {_MOST_MERGES}",
                fix="build one of them to safetensors, and name the folder as a parent",
            )
    return [by_name[name] for name in order]
