"""Cards of merged models: the hub's client reads their metadata back."""

from __future__ import annotations

from dataclasses import replace

from helpers.records import AXES, RUN, TRIALS

from mergesearch.build.label import Label
from mergesearch.objectives import Rung
from mergesearch.recipe import Recipe
from mergesearch.report.card import Card, Found, card_text
from mergesearch.study.standing import Standing

RECIPE = Recipe.from_dict(
    {
        "merge_method": "linear",
        "models": [
            {"model": "org/one", "parameters": {"weight": 0.7}},
            {"model": "org/two@main", "parameters": {"weight": 0.3}},
        ],
    }
)
LABEL = Label("Night", RECIPE, "ab" * 32, ("org/one", "org/two"), "mit", ("en", "no"), ("merge",))
OBJECTIVES = {"objectives": {"instruction": {"tasks": [{"task": "if_eval", "metric": "acc"}]}}}
TRIAL = replace(TRIALS[0], words=("instruct : reason = 3 : 1",))
FOUND = Found(
    replace(RUN, objectives=OBJECTIVES, versions={"mergesearch": "0.3.0"}),
    TRIAL,
    Standing(0, Rung.VALIDATE, TRIAL.scores(Rung.VALIDATE), ()),
    60,
    "front.svg",
)


def test_the_hubs_client_reads_the_metadata() -> None:
    from huggingface_hub import ModelCard, ModelCardData

    text = card_text(Card(LABEL, FOUND, {"Night-Q4_0.gguf": "cd" * 32}))
    data = ModelCard(text).data
    assert isinstance(data, ModelCardData)
    assert data.to_dict() == {
        "base_model": ["org/one", "org/two"],
        "base_model_relation": "merge",
        "language": ["en", "no"],
        "library_name": "transformers",
        "license": "mit",
        "pipeline_tag": "text-generation",
        "tags": ["merge"],
    }
    assert ModelCardData(**data.to_dict()).to_yaml() == data.to_yaml()


def test_scores_of_both_splits_stand_with_their_intervals() -> None:
    text = card_text(Card(LABEL, FOUND))
    assert (
        "| objective | search items | validate items |\n"
        "|---|---|---|\n"
        "| instruction | 70.8 % (62.3 to 79.4), 120 items | 68.8 % (60.3 to 77.4), 300 items |\n"
        "| reasoning | 30.0 % (21.2 to 38.8), 120 items | 31.0 % (22.2 to 39.8), 300 items |\n"
    ) in text
    assert (
        "- instruct : reason = 3 : 1\n- trial 0 of 60 trials, proposed by gp with seed 7\n" in text
    )
    assert "- instruction: if\\_eval (acc)" in text
    assert "![Pareto front of the run](front.svg)" in text
    assert [axis.name for axis in AXES] == ["instruction", "reasoning"]


def test_what_is_not_known_is_left_out() -> None:
    text = card_text(Card(Label("x", RECIPE, "")))
    assert text.startswith("---\nlibrary_name: transformers\npipeline_tag: text-generation\n---\n")
    assert "## Scores" not in text


def test_texts_of_others_are_no_markup() -> None:
    notes = ["<script>x</script> [a](b) *c*"]
    text = card_text(Card(Label("x", RECIPE, ""), notes=notes))
    assert "- \\<script\\>x\\</script\\> \\[a\\](b) \\*c\\*" in text


def test_the_recipe_cannot_end_its_block() -> None:
    recipe = Recipe.from_dict(RECIPE.to_dict() | {"chat_template": "{{ '```\n# x' }}"})
    text = card_text(Card(Label("x", recipe, "")))
    assert "````yaml\n" in text
