"""The reference of files follows from the declarations."""

from __future__ import annotations

import re
from dataclasses import fields

from mergesearch.methods import METHODS
from mergesearch.objectives import Runtime, TaskUse
from mergesearch.recipe.parse import RECIPE_KEYS
from tools.reference_page import DOCUMENT, page

RECIPES = DOCUMENT.with_name("recipes.md")


def test_the_page_is_current() -> None:
    assert page() == DOCUMENT.read_text(encoding="utf-8"), "run python -m tools.reference_page"


def test_every_method_parameter_and_key_is_there() -> None:
    text = page()
    for method in METHODS.values():
        section = text.partition(f"\n### {method.name}\n")[2].partition("\n### ")[0]
        assert section, method.name
        for parameter in method.parameters:
            named = f"\n| `{parameter.name}` |" in section
            assert named is not parameter.only_in_mergekit, parameter.name
    for record in (Runtime, TaskUse):
        for field in fields(record):
            assert f"\n| `{field.name}` |" in text


def test_rows_say_default_range_and_meaning() -> None:
    text = page()
    assert "\n| `density` | 1 | number, 0 to 1 | a parent | 0.2 to 1 |\n" in text
    assert "\n| `normalize` | true | true or false | the merge |  |\n" in text
    assert (
        "\n| `n_parallel` | 32 | whole number, 1 to 255 | Number of sequences decoded together |\n"
    ) in text
    assert "\n| `task` | needed | text | Name of an installed lm-eval task" in text
    assert "\n| `direction` | maximize | `maximize` or `minimize` |" in text


def test_the_page_on_recipes_explains_every_key() -> None:
    head = RECIPES.read_text(encoding="utf-8").partition("**Values.**")[0]
    rows = " ".join(line.split("|")[1] for line in head.splitlines() if line.startswith("| `"))
    assert set(re.findall(r"`(\w+)`", rows)) == set(RECIPE_KEYS)
