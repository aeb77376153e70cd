from __future__ import annotations

import pytest

from mergesearch.scoring.chunks import (
    DoesNotFit,
    common_prefix,
    cut_chunks,
    fit_pair,
    fit_prompt,
    group_pairs,
    pack_groups,
    rolling_windows,
)


def test_chunks_hold_whole_items_of_one_task():
    owners = [("a", 0), ("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 1), ("b", 1)]
    assert cut_chunks(owners, 2) == [range(3), range(3, 4), range(4, 7)]
    assert cut_chunks(owners, 9) == [range(4), range(4, 7)]
    assert cut_chunks([], 2) == []


def test_a_prompt_is_cut_on_the_left():
    assert fit_prompt([1, 2, 3, 4, 5], 3, 8) == ((1, 2, 3, 4, 5), 0)
    assert fit_prompt([1, 2, 3, 4, 5], 5, 8) == ((3, 4, 5), 2)


@pytest.mark.parametrize(("tokens", "max_tokens"), [([1, 2], 8), ([], 2)])
def test_a_prompt_that_cannot_fit_is_said_so(tokens, max_tokens):
    with pytest.raises(DoesNotFit):
        fit_prompt(tokens, max_tokens, 8)


def test_the_last_token_of_a_continuation_takes_no_room():
    assert fit_pair([1, 2, 3], [4, 5], 4) == ((1, 2, 3), (4, 5), 0)
    assert fit_pair([1, 2, 3], [4, 5], 3) == ((2, 3), (4, 5), 1)
    with pytest.raises(DoesNotFit, match="continuation of 5 tokens"):
        fit_pair([1, 2, 3], [4, 5, 6, 7, 8], 4)
    with pytest.raises(DoesNotFit, match="no tokens"):
        fit_pair([1], [], 4)


def test_rolling_windows_are_those_of_lm_eval():
    from lm_eval import utils

    for length in range(1, 14):
        tokens = list(range(100, 100 + length))
        theirs = utils.get_rolling_token_windows(tokens, 7, 4, 1)
        expected = [
            (tuple(one), tuple(other)) for one, other in map(utils.make_disjoint_window, theirs)
        ]
        assert rolling_windows(tokens, 7, 4) == expected
    assert rolling_windows([], 7, 4) == []


def test_common_prefix():
    assert common_prefix([(1, 2, 3), (1, 2), (1, 2, 4)]) == 2
    assert common_prefix([(1, 2)]) == 2
    assert common_prefix([(1,), (2,)]) == 0


def test_choices_share_their_question_and_more():
    context = (1, 2, 3)
    pairs = [(context, (9, 4, 5)), (context, (9, 6)), (context, (9,))]
    (group,) = group_pairs(pairs, 8, 100)
    assert group.prefix == (1, 2, 3)
    assert group.endings == ((9, 4), (9,), ())
    assert group.targets == (((2, 9), (3, 4), (4, 5)), ((2, 9), (3, 6)), ((2, 9),))
    assert group.cells == 6
    (two,) = group_pairs(pairs[:2], 8, 100)
    assert two.prefix == (1, 2, 3, 9)
    assert two.endings == ((4,), ())


def test_groups_respect_sequences_and_cells():
    pairs = [((1, 2), (token, 0)) for token in range(5)]
    assert [one.requests for one in group_pairs(pairs, 2, 100)] == [(0, 1), (2, 3), (4,)]
    assert [one.requests for one in group_pairs(pairs, 9, 4)] == [(0, 1), (2,), (3, 4)]


def test_packs_are_filled_largest_first():
    pairs = [((token,) * length, (0,)) for token, length in enumerate((3, 6, 2, 5, 4))]
    groups = group_pairs(pairs, 8, 10)
    packs = pack_groups(groups, 8, 10)
    assert [[one.requests[0] for one in pack] for pack in packs] == [[1, 4], [3, 0, 2]]
    assert len(pack_groups(groups, 1, 10)) == 5
