"""The generated task data: repeatable, held out from training, and consistent with its checks."""

import json
import random
from pathlib import Path

import pytest

from mergesearch.tasks.checks import answer_results, instruct_results
from mergesearch.zoo.instructions import CLAUSES, GROUPS, OPENERS, make_instruction
from mergesearch.zoo.reasoning import TEMPLATES, make_reasoning
from mergesearch.zoo.tasks import SIZES, build_tasks, write_tasks
from mergesearch.zoo.vocabulary import is_held_out_combination, joined, phrasings

DATA = Path(__file__).parents[2] / "objectives" / "demo"


def test_the_committed_data_is_what_the_seed_gives(tmp_path: Path) -> None:
    """Writing the data anew gives the same bytes."""
    write_tasks(tmp_path)
    for name in SIZES:
        assert (tmp_path / f"{name}.jsonl").read_bytes() == (DATA / f"{name}.jsonl").read_bytes()


def test_another_seed_gives_other_items() -> None:
    """The seed decides."""
    assert build_tasks(1) != build_tasks(2)


def test_sizes_and_distinct_questions() -> None:
    """Each task has its number of items, and asks nothing twice."""
    tasks = build_tasks()
    assert {name: len(items) for name, items in tasks.items()} == SIZES
    assert all(len({i["question"] for i in items}) == len(items) for items in tasks.values())


def test_reference_answers_pass_their_own_checks() -> None:
    """A perfect model would score 1."""
    tasks = build_tasks()
    for item in tasks["demo_instruct"]:
        assert instruct_results(item, [item["answer"]])["prompt_strict"] == 1.0, item
    for item in tasks["demo_answer"]:
        assert answer_results(item, [item["answer"]]) == {"exact": 1.0}, item
    for item in tasks["demo_choice"]:
        assert len(set(item["choices"])) == len(item["choices"]) in (3, 4)
        assert 0 <= item["label"] < len(item["choices"])


def test_the_prompt_alone_does_not_pass() -> None:
    """Copying the question is not an answer."""
    items = build_tasks()["demo_instruct"]
    assert not any(instruct_results(i, [i["question"]])["prompt_strict"] for i in items)


def test_every_grid_has_phrasings_on_both_sides() -> None:
    """No phrasing is both trained and held out, and every part of a held-out one is trained."""
    for frames, fillers in (*CLAUSES.values(), *TEMPLATES.values(), OPENERS):
        trained, held_out = phrasings(frames, fillers, False), phrasings(frames, fillers, True)
        assert held_out
        assert not set(trained) & set(held_out)
        for part in (*fillers, *(frame.split("_")[-1] for frame in frames)):
            assert any(part in phrasing for phrasing in trained)


def test_phrasings_are_literal() -> None:
    """The fourth diagonal of the grid is held out."""
    assert phrasings(("x _", "y _"), ("a", "b", "c", "d"), True) == ("x d", "y c")


@pytest.mark.parametrize("held_out", [False, True])
def test_instructions_keep_to_their_side(held_out: bool) -> None:
    """Templates and combinations of a drawn item are all of the side asked for."""
    rng = random.Random(3)
    sides = {t: False for f in (OPENERS, *CLAUSES.values()) for t in phrasings(*f, False)}
    for _ in range(300):
        item = make_instruction(rng, held_out)
        assert is_held_out_combination(item.kinds) is held_out
        assert all((template not in sides) is held_out for template in item.templates)
        assert all(sum(k in item.kinds for k in kinds) <= 1 for kinds in GROUPS.values())


@pytest.mark.parametrize("held_out", [False, True])
def test_reasoning_keeps_to_its_side(held_out: bool) -> None:
    """Templates of a drawn item are all of the side asked for; the answer is a choice."""
    rng = random.Random(3)
    trained = {t for f in TEMPLATES.values() for t in phrasings(*f, False)}
    for _ in range(300):
        item = make_reasoning(rng, held_out)
        assert all((template not in trained) is held_out for template in item.templates)
        assert item.answer in item.choices


def test_enough_combinations_are_held_out() -> None:
    """About a quarter of pairs and triples is left to the tests."""
    names = sorted(CLAUSES)
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    share = sum(map(is_held_out_combination, pairs)) / len(pairs)
    assert 0.15 < share < 0.4
    assert not is_held_out_combination(("upper",))


def test_joined() -> None:
    """English lists."""
    assert joined(("a", "b", "c"), "and") == "a, b and c"
    assert joined(("a", "b"), "or") == "a or b"


def test_the_data_has_one_type_per_field() -> None:
    """Arrow reads the lines with one type per column."""
    for name in SIZES:
        rows = [json.loads(line) for line in (DATA / f"{name}.jsonl").read_text().splitlines()]
        assert len({tuple((k, type(v)) for k, v in row.items()) for row in rows}) == 1
