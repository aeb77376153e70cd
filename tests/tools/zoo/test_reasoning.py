"""Reasoning items of the demo: which phrasings are held out."""

import random

import pytest

from tools.zoo.instructions import CLAUSES, OPENERS
from tools.zoo.reasoning import TEMPLATES, make_reasoning
from tools.zoo.vocabulary import phrasings


def test_every_grid_has_phrasings_on_both_sides() -> None:
    """No phrasing is both trained and held out, and every part of a held-out one is trained."""
    for frames, fillers in (*CLAUSES.values(), *TEMPLATES.values(), OPENERS):
        trained, held_out = phrasings(frames, fillers, False), phrasings(frames, fillers, True)
        assert held_out
        assert not set(trained) & set(held_out)
        for part in (*fillers, *(frame.split("_")[-1] for frame in frames)):
            assert any(part in phrasing for phrasing in trained)


@pytest.mark.parametrize("held_out", [False, True])
def test_reasoning_keeps_to_its_side(held_out: bool) -> None:
    """Templates of a drawn item are all of the side asked for; the answer is a choice."""
    rng = random.Random(3)
    trained = {t for f in TEMPLATES.values() for t in phrasings(*f, False)}
    for _ in range(300):
        item = make_reasoning(rng, held_out)
        assert all((template not in trained) is held_out for template in item.templates)
        assert item.answer in item.choices
