"""A trial as a file to be shared: our recipe, or YAML for mergekit, with where it comes from."""

from __future__ import annotations

from collections.abc import Sequence

from mergesearch._system import resources
from mergesearch.recipe import Recipe
from mergesearch.report.tables import scores_line
from mergesearch.study.records import Axis, TrialRecord


def recipe_header(trial: TrialRecord, axes: Sequence[Axis]) -> str:
    """Return comment lines that say where a recipe comes from, what it is and what it scored."""
    lines = [f"# mergesearch: trial {trial.number}", *(f"# {line}" for line in trial.words)]
    for rung, record in trial.rungs.items():
        if record.scores:
            lines.append(f"# {rung} items: {scores_line(record.scores, axes, rung)}")
    lines.append(f"# sha256 of the GGUF: {trial.candidate_digest}")
    return "\n".join(lines) + "\n"


def mergekit_yaml(recipe: Recipe) -> str:
    """Return a recipe as mergekit runs it, with folders for the bundled parents.

    Raises:
        RecipeError: mergekit does not have a method.
    """
    folders = {
        ref: str(resources.parent_folder(ref))
        for ref in recipe.parents()
        if ref.startswith(resources.DEMO_PREFIX)
    }
    return recipe.to_mergekit(folders)
