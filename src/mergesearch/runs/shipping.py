"""A model as it goes out into the world: files that say what they are, and a card beside them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from mergesearch._system.files import new_folder, write_text
from mergesearch.build import Workshop
from mergesearch.build.label import Label
from mergesearch.build.workshop import refuse_folder
from mergesearch.errors import InputError
from mergesearch.parents.card import hub_ids, read_cards
from mergesearch.quantize import MIXES
from mergesearch.recipe import Recipe
from mergesearch.report.card import Card, Found, card_text
from mergesearch.report.modelfile import modelfile
from mergesearch.report.plot import front_svg
from mergesearch.runs.export import recipe_header
from mergesearch.runs.run import Run
from mergesearch.study.records import TrialRecord

PICTURE = "front.svg"
_TAGS = ("merge", "mergesearch", "gguf")


def label_of(workshop: Workshop, recipe: Recipe, name: str) -> tuple[Label, list[str]]:
    """Return what the files of a model say of themselves, and what a person should check of it.

    The license is the one that the parents name; where they name several it is `other`.
    """
    cards = {ref: read_cards(parent) for ref, parent in workshop.parents.items()}
    known = [card for found in cards.values() for card in found]
    licenses = dict.fromkeys(card.license for card in known if card.license)
    silent = [ref for ref, found in cards.items() if not any(card.license for card in found)]
    notes = []
    if len(licenses) > 1:
        named = ", ".join(licenses)
        notes.append(f"the parents have different licenses ({named}): the card says `other`")
    if silent:
        notes.append(f"no license is named by {', '.join(silent)}: look it up before you publish")
    base_models = dict.fromkeys(name for ref in recipe.parents() for name in hub_ids(ref))
    label = Label(
        name=name,
        recipe=recipe,
        parents=workshop.files.digest,
        base_models=tuple(base_models),
        license="other" if len(licenses) > 1 else next(iter(licenses), ""),
        languages=tuple(dict.fromkeys(code for card in known for code in card.languages)),
        tags=_TAGS,
    )
    return label, notes


def found_by(run: Run, trial: TrialRecord, picture: str = "") -> Found:
    """Return a trial in the run that found it, for its card."""
    return Found(run.record, trial, run.standing(trial.number), run.front().trials, picture)


def ship(
    workshop: Workshop,
    recipe: Recipe,
    folder: Path,
    mixes: Sequence[str],
    *,
    origin: tuple[Run, TrialRecord] | None = None,
    replace: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[str]:
    """Write a folder that can be uploaded, whole or not at all; return what to check of licenses.

    It holds safetensors with config and tokenizer, one GGUF for each mix, the recipe, README.md,
    a Modelfile for Ollama, and the picture of the front where a run found the recipe.

    Args:
        folder: Folder to write; its name is the model's.
        mixes: Keys of `quantize.MIXES`.
        origin: Run and trial that the recipe is from.
        replace: Whether another model in the folder's place is removed.
        on_progress: Function that takes the numbers of blocks written and of all blocks.

    Raises:
        InputError: Something is in the folder's place that may not be replaced; an unknown mix.
    """
    for mix in mixes:
        if mix not in MIXES:
            raise InputError(f"unknown mix {mix!r}", where="--quants", expected=", ".join(MIXES))
    refuse_folder(folder, replace)
    name = folder.resolve().name
    label, notes = label_of(workshop, recipe, name)
    files = {mix: f"{name}-{mix}.gguf" for mix in mixes}
    with new_folder(folder, replace=replace) as place:
        paths = {mix: place / file for mix, file in files.items()}
        digests = workshop.write_all(recipe, place, paths, label, on_progress)
        header = "" if origin is None else recipe_header(origin[1], origin[0].record)
        write_text(place / "recipe.yaml", header + recipe.to_yaml())
        found = None
        if origin is not None:
            found = found_by(*origin, write_picture(place, origin[0]))
        named = {files[mix]: digest for mix, digest in digests.items()}
        write_text(
            place / "README.md", card_text(Card(label, found, named, workshop.notes(recipe)))
        )
        if files:
            first = next(iter(files.values()))
            write_text(place / "Modelfile", modelfile_of(workshop, label, first))
    return notes


def modelfile_of(workshop: Workshop, label: Label, file: str) -> str:
    """Return the Modelfile of a GGUF beside it.

    Raises:
        InputError: The model has no tokenizer that it could be made from.
    """
    merged = workshop.plan(label.recipe)
    if merged.tokenizer is None:
        raise InputError("the model has no tokenizer.json, so there is no Modelfile")
    context = int(merged.config["max_position_embeddings"])
    comments = [f"{label.name}: ollama create {label.name.lower()} -f Modelfile"]
    return modelfile(
        f"./{file}", merged.tokenizer, context, license=label.license, comments=comments
    )


def write_picture(folder: Path, run: Run) -> str:
    """Write the picture of a run's front into a folder; return its name, "" for one objective."""
    try:
        write_text(folder / PICTURE, front_svg(run.front(), run.trials(), run.record.name))
    except InputError:
        return ""
    return PICTURE
