"""A trial as a file to be shared: our recipe, or YAML for mergekit, with where it comes from."""

from __future__ import annotations

from mergesearch._system import resources
from mergesearch._system.terminal import printable
from mergesearch.recipe import Recipe
from mergesearch.report.tables import scores_line
from mergesearch.study.records import RunRecord, TrialRecord


def recipe_header(trial: TrialRecord, run: RunRecord) -> str:
    """Return comment lines that say where a recipe comes from, what it is and what it scored."""
    lines = [f"mergesearch: trial {trial.number} of {run.name}", *trial.words]
    for rung, record in trial.rungs.items():
        if record.scores:
            lines.append(f"{rung} items: {scores_line(record.scores, run.axes, rung)}")
    lines.append(f"sha256 of the GGUF: {trial.candidate_digest}")
    if "parents" in run.fingerprints:
        lines.append(f"sha256 of the parents: {run.fingerprints['parents']}")
    lines.append(f"found by {run.sampler}, seed {run.seed}")
    lines.append(", ".join(f"{name} {version}" for name, version in run.versions.items()))
    return "".join(f"# {printable(' '.join(line.split()))}\n" for line in lines if line)


def mergekit_yaml(recipe: Recipe) -> str:
    """Return a recipe as mergekit runs it, with folders for the bundled parents.

    Raises:
        RecipeError: Mergekit does not have a method.
    """
    folders = {
        ref: str(resources.parent_folder(ref))
        for ref in recipe.parents()
        if ref.startswith(resources.DEMO_PREFIX)
    }
    return recipe.to_mergekit(folders)
