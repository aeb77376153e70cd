"""Searches for the best merges of language models, each scored as the Q4 GGUF that would ship.

Build a merge from a recipe (mergekit's YAML):

    recipe = mergesearch.Recipe.from_yaml(open("merge.yaml").read())
    workshop = mergesearch.open_workshop(recipe)       # a Workshop holds the opened parents
    workshop.gguf(recipe, Path("merge.gguf"))          # a file; returns its SHA-256
    workshop.safetensors(recipe, Path("merge"))        # a Hugging Face folder
    with workshop.candidate(recipe) as candidate:      # in memory
        print(candidate.size, candidate.digest)

Score a GGUF, or the candidate of a recipe, on the items of an objectives file:

    scored = mergesearch.score("merge.gguf", "objectives.yaml")
    print(scored.scores["reasoning"].value, scored.scores["reasoning"].stderr)

Check a space and its objectives before the night, and learn what it takes:

    report = mergesearch.check("space.yaml", "objectives.yaml")
    print(report.building.seconds, report.scoring.trials_per_hour)

Search a space. The same call with the same folder resumes where the run stopped:

    def tell(event):
        match event:
            case mergesearch.events.TrialFinished(trial):
                print(trial.number, trial.scores())

    folder = "results/night"
    run = mergesearch.search("space.yaml", "objectives.yaml", folder, hours=8, on_event=tell)

Read a run, also while it works:

    run = mergesearch.Run("results/night")
    for member in run.front().members:
        print(member.trial, member.values, member.validated, member.shares)
    run.to_pandas()                                    # one row a trial; needs pandas
    run.items(17)                                      # every item's result of trial 17
    run.compare(17, 3)                                 # differences on the same items
    run.recipe("knee").to_yaml()                       # rebuilds the knee byte for byte

Score what anybody could try without a search, and learn whether the search earned its night:

    swept = mergesearch.sweep("results/night")         # the line between two parents
    difference = run.against(swept)                    # of the hypervolumes
    print(difference.value, difference.interval())

Wherever a file is named, an object does too: a `Recipe`, a `Space`, `Objectives`; each has
`from_yaml` and `to_dict`. `search` is also the name of the command; `search --help` lists what it
can do.

The names below, with their public attributes and methods, follow semantic versioning: what they
mean changes in a major version only. Everything else in the package may change at any time.
Errors are `MergeSearchError` or a subclass of it from `mergesearch.errors`. Modules are loaded
when a name is first used, so that importing the package takes no time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.3.0.dev0"

if TYPE_CHECKING:
    from mergesearch.build import Workshop
    from mergesearch.errors import MergeSearchError
    from mergesearch.objectives import Objectives
    from mergesearch.recipe import Recipe
    from mergesearch.runs.check import check
    from mergesearch.runs.inputs import open_workshop
    from mergesearch.runs.run import Run
    from mergesearch.runs.score import score
    from mergesearch.runs.start import search
    from mergesearch.runs.sweep import sweep
    from mergesearch.space import Space
    from mergesearch.study import events

__all__ = [
    "MergeSearchError",
    "Objectives",
    "Recipe",
    "Run",
    "Space",
    "Workshop",
    "check",
    "events",
    "open_workshop",
    "score",
    "search",
    "sweep",
]

_HOMES = {
    "MergeSearchError": "mergesearch.errors",
    "Objectives": "mergesearch.objectives",
    "Recipe": "mergesearch.recipe",
    "Run": "mergesearch.runs.run",
    "Space": "mergesearch.space",
    "Workshop": "mergesearch.build",
    "check": "mergesearch.runs.check",
    "events": "mergesearch.study",
    "open_workshop": "mergesearch.runs.inputs",
    "score": "mergesearch.runs.score",
    "search": "mergesearch.runs.start",
    "sweep": "mergesearch.runs.sweep",
}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module 'mergesearch' has no attribute {name!r}")
    value = getattr(__import__(_HOMES[name], fromlist=[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
