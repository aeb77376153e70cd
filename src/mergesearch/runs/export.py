"""A trial as a file to be shared: our recipe, or YAML for mergekit, with where it comes from."""

from __future__ import annotations

from mergesearch._system import resources
from mergesearch.recipe import Recipe
from mergesearch.study.records import TrialRecord


def recipe_header(trial: TrialRecord) -> str:
    """Return comment lines that say where a recipe comes from and what it scored."""
    lines = [f"# mergesearch: trial {trial.number}"]
    for rung in trial.rungs.values():
        scores = ", ".join(
            f"{name} {score.value:.4f} ± {score.stderr:.4f}" for name, score in rung.scores.items()
        )
        lines.append(f"# {rung.rung} items: {scores}")
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
