"""A merge method that somebody adds from outside is one as any other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from helpers.command import search
from helpers.shared_run import front_of

from mergesearch.methods import (
    LAMBDA,
    METHODS,
    WEIGHT,
    Base,
    InputRows,
    Method,
    Parameter,
    Settings,
    add_method,
    weight_shares,
)
from mergesearch.space import Space


def loudest(rows: InputRows, settings: Settings, statistics: None = None) -> np.ndarray:
    """Return b + lambda * the weighted delta of largest magnitude, where it is above `floor`."""
    deltas = np.stack([rows.delta(index) for index in range(len(rows.inputs))])
    deltas *= np.array(settings["weight"], np.float32)[:, None, None]
    largest = np.take_along_axis(deltas, np.abs(deltas).argmax(axis=0)[None], axis=0)[0]
    largest[np.abs(largest) < np.float32(settings["floor"])] = 0
    return rows.base + np.float32(settings["lambda"]) * largest


LOUDEST = Method(
    "loudest",
    loudest,
    (WEIGHT, LAMBDA, Parameter("floor", 0.0, low=0.0, search=(0.0, 0.01))),
    Base.REQUIRED,
    shares=weight_shares,
    formula="b + lambda * the w_i d_i of largest magnitude, per element",
)

RECIPE = """
merge_method: loudest
base_model: demo:base
models:
  - {model: demo:instruct, parameters: {weight: 1.0}}
  - {model: demo:reason, parameters: {weight: 0.5}}
parameters: {floor: 0.001}
"""


@pytest.fixture(autouse=True)
def added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    Path("merge.yaml").write_text(RECIPE, encoding="utf-8")
    add_method(LOUDEST)
    yield
    del METHODS["loudest"]


def test_it_takes_less_than_20_lines() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    lines = text[text.index("def loudest(") : text.index("RECIPE =")].splitlines()
    assert 10 < sum(line != "" for line in lines) < 20


def test_it_is_checked_opened_searched_and_exported(objectives: Path) -> None:
    """From a recipe to a space, a run and the recipe that rebuilds its trial."""
    assert search("init", "--from", "merge.yaml", "--open", "weight,lambda,floor").code == 2
    opened = search("init", "--from", "merge.yaml", "--open", "weight,floor")
    assert opened.code == 0, opened.err
    space = Space.from_yaml(Path("merge-space.yaml").read_text(encoding="utf-8"))
    assert [(dimension.name, dimension.high) for dimension in space.dimensions] == [
        ("demo:instruct.weight", 1.5),
        ("demo:reason.weight", 1.5),
        ("floor", 0.01),
    ]
    assert search("check", "merge-space.yaml").code == 0

    arguments = ("--objectives", objectives, "--trials", 1, "--out", "run")
    assert search("run", "merge-space.yaml", *arguments).code == 0
    (member,) = front_of(Path("run"))["front"]
    assert member["shares"] == {"demo:base": -0.5, "demo:instruct": 1.0, "demo:reason": 0.5}
    assert search("export", "run", "--pick", "knee", "-o", "knee.yaml").code == 0
    exported = yaml.safe_load(Path("knee.yaml").read_text(encoding="utf-8"))
    assert exported["merge_method"] == "loudest"
    assert exported["parameters"] == {"floor": 0.001}
    built = search("build", "knee.yaml", "-o", "knee.gguf")
    assert member["digest"] in built.out


def test_wrong_values_are_refused_as_of_any_method() -> None:
    for change, message in (
        ({"parameters": {"floor": -1}}, "floor -1 is out of range"),
        ({"parameters": {"flor": 0.5}}, "takes no parameter 'flor': did you mean `floor`"),
        ({"base_model": None}, "loudest needs `base_model`"),
    ):
        document = {key: value for key, value in (yaml.safe_load(RECIPE) | change).items() if value}
        Path("wrong.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
        outcome = search("check", "wrong.yaml")
        assert outcome.code == 2
        assert message in outcome.err


def test_mergekit_does_not_have_it() -> None:
    from mergesearch.errors import RecipeError
    from mergesearch.recipe import Recipe

    with pytest.raises(RecipeError, match="mergekit has no loudest"):
        Recipe.from_yaml(RECIPE).to_mergekit()


def test_a_name_is_given_once() -> None:
    with pytest.raises(ValueError, match="there is a merge method 'loudest' already"):
        add_method(LOUDEST)
    with pytest.raises(ValueError, match="two parameters of 'louder' have the same name"):
        add_method(Method("louder", loudest, (WEIGHT, WEIGHT)))
    steps = Parameter("steps", 10, int, search=(1, 20))
    with pytest.raises(ValueError, match="'steps' of 'louder' has no range to search"):
        add_method(Method("louder", loudest, (steps,)))
