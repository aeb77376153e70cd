"""A model as it goes out into the world: files that say what they are, and a card beside them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from mergesearch._system import resources
from mergesearch._system.documents import read_json_object
from mergesearch._system.files import new_folder, write_json, write_text
from mergesearch.build import Workshop
from mergesearch.build.label import Label
from mergesearch.build.workshop import refuse_folder
from mergesearch.errors import BuildError, InputError
from mergesearch.parents.card import origins, public_name, read_cards
from mergesearch.parents.opening import ids_in, is_place
from mergesearch.quantize import MIXES
from mergesearch.recipe import Recipe
from mergesearch.recipe.references import ADAPTER
from mergesearch.report.card import Card, Found, card_text
from mergesearch.report.modelfile import modelfile
from mergesearch.report.plot import front_svg
from mergesearch.runs.run import Run, recipe_header
from mergesearch.study.records import TrialRecord

PICTURE = "front.svg"
_TAGS = ("merge", "mergesearch", "gguf")
_SETTINGS = ("config.json", "tokenizer_config.json")
_PLACES = ("_name_or_path", "name_or_path", "special_tokens_map_file", "tokenizer_file")
"""Keys of settings that may hold a path."""


def label_of(workshop: Workshop, recipe: Recipe, name: str) -> tuple[Label, list[str]]:
    """Return what the files of a model say of themselves, and what a person should check of it.

    The license is the one that the parents name; where they name several it is `other`. The recipe
    names no place of this machine.
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
    known_origins = {ref: origins(ref, parent) for ref, parent in workshop.parents.items()}
    strangers = [ref for ref, found in known_origins.items() if not found and is_place(ref)]
    if strangers:
        what = "fill in where they come from, as ORG/NAME"
        notes.append(f"base_model on the card leaves out {', '.join(strangers)}: {what}")
    base_models = dict.fromkeys(name for ref in recipe.parents() for name in known_origins[ref])
    label = Label(
        name=name,
        recipe=recipe.renamed(public_names(recipe)),
        parents=workshop.files.digest,
        base_models=tuple(base_models),
        license="other" if len(licenses) > 1 else next(iter(licenses), ""),
        languages=tuple(dict.fromkeys(code for card in known for code in card.languages)),
        tags=_TAGS,
    )
    return label, notes


def public_names(recipe: Recipe) -> dict[str, str]:
    """Return other names for a recipe's parents that are named by places on this machine.

    Where a name is taken already, it is numbered.
    """
    names: dict[str, str] = {}
    taken = {*recipe.stages(), *recipe.parents()}
    for ref in recipe.parents():
        name = public_name(ref)
        if name != ref:
            endings = itertools.chain([""], (f"-{number}" for number in itertools.count(2)))
            names[ref] = next(name + end for end in endings if name + end not in taken)
            taken.add(names[ref])
    return names


def card_of(
    workshop: Workshop,
    recipe: Recipe,
    label: Label,
    origin: tuple[Run, TrialRecord] | None,
    *,
    picture: str = "",
    files: Mapping[str, str] | None = None,
) -> str:
    """Return the text of a model's card, which names no place of this machine.

    Args:
        origin: Run and trial that the recipe is from, None for none.
        picture: Name of the picture of the front beside the card; empty for none.
        files: SHA-256 (hex) of the candidate in each GGUF, by the file's name.
    """
    names = public_names(recipe)
    found = None
    if origin is not None:
        run, trial = origin
        standing = run.standing(trial.number)
        parents = (
            replace(against, parent=names.get(against.parent, against.parent))
            for against in standing.parents
        )
        found = Found(
            run.record,
            replace(trial, words=tuple(_public(line, names) for line in trial.words)),
            replace(standing, parents=tuple(parents)),
            run.front().trials,
            picture,
        )
    notes = [_public(note, names) for note in workshop.notes(recipe)]
    parts = [part for ref in label.recipe.parents() for part in ids_in(ref) if ADAPTER not in part]
    unknown = [part for part in dict.fromkeys(parts) if is_place(part)]
    return card_text(Card(label, found, files or {}, notes, unknown))


def _public(text: str, names: Mapping[str, str]) -> str:
    """A text with the names of parents in place of their paths, long ones first."""
    for ref in sorted(names, key=len, reverse=True):
        text = text.replace(ref, names[ref])
    return text


def ship(
    workshop: Workshop,
    recipe: Recipe,
    folder: Path,
    mixes: Sequence[str],
    *,
    origin: tuple[Run, TrialRecord] | None = None,
    overwrite: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[str]:
    """Write a folder that can be uploaded, whole or not at all; return what to check of licenses.

    It holds safetensors with config and tokenizer, one GGUF for each mix, the recipe, README.md,
    a Modelfile for Ollama, and the picture of the front where a run found the recipe.

    Args:
        folder: Folder to write; its name is the model's.
        mixes: Keys of `quantize.MIXES`.
        origin: Run and trial that the recipe is from.
        overwrite: Whether another model in the folder's place is removed.
        on_progress: Function that takes the numbers of blocks written and of all blocks.

    Raises:
        InputError: Something is in the folder's place that may not be replaced; an unknown mix.
    """
    for mix in mixes:
        if mix not in MIXES:
            raise InputError(f"unknown mix {mix!r}", where="--quants", expected=", ".join(MIXES))
    refuse_folder(folder, overwrite)
    name = folder.resolve().name
    label, notes = label_of(workshop, recipe, name)
    files = {mix: f"{name}-{mix}.gguf" for mix in mixes}
    with new_folder(folder, replace=overwrite) as place:
        paths = {mix: place / file for mix, file in files.items()}
        digests = workshop.write_all(recipe, place, paths, label, on_progress)
        header = "" if origin is None else recipe_header(origin[1], origin[0].record)
        header = _public(header, public_names(recipe))
        write_text(place / "recipe.yaml", header + label.recipe.to_yaml())
        picture = "" if origin is None else write_picture(place, origin[0])
        named = {files[mix]: digest for mix, digest in digests.items()}
        card = card_of(workshop, recipe, label, origin, picture=picture, files=named)
        write_text(place / "README.md", card)
        for file in _SETTINGS:
            _drop_places(place / file)
        if files:
            first = next(iter(files.values()))
            write_text(place / "Modelfile", modelfile_of(workshop, recipe, label, first))
    return notes


def _drop_places(file: Path) -> None:
    """Drop from a file of settings where the model was loaded from when it was saved."""
    document = read_json_object(file, BuildError) if file.is_file() else {}
    kept = {key: value for key, value in document.items() if key not in _PLACES}
    if kept != document:
        write_json(file, kept)


def modelfile_of(workshop: Workshop, recipe: Recipe, label: Label, file: str) -> str:
    """Return the Modelfile of a GGUF beside it.

    Raises:
        InputError: The model has no tokenizer that it could be made from.
    """
    merged = workshop.plan(recipe)
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
