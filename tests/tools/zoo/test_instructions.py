"""Instruction items of the demo: which combinations are held out."""

import random

import pytest

from tools.zoo.instructions import CLAUSES, GROUPS, OPENERS, make_instruction
from tools.zoo.vocabulary import is_held_out_combination, phrasings


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


def test_enough_combinations_are_held_out() -> None:
    """About a quarter of pairs and triples is left to the tests."""
    names = sorted(CLAUSES)
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    share = sum(map(is_held_out_combination, pairs)) / len(pairs)
    assert 0.15 < share < 0.4
    assert not is_held_out_combination(("upper",))
