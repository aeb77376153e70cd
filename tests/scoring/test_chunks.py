from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mergesearch.scoring.chunks import (
    DoesNotFit,
    PackPlan,
    common_prefix,
    cut_chunks,
    fit_pair,
    fit_prompt,
    group_pairs,
    pack_groups,
    rolling_windows,
    shared_header,
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
            (tuple(before), tuple(after))
            for before, after in map(utils.make_disjoint_window, theirs)
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
    assert group.sequences == ((1, 2, 3, 9, 4), (1, 2, 3, 9), (1, 2, 3))
    assert group.shared == (0, 3, 3)
    assert group.targets == (((2, 9), (3, 4), (4, 5)), ((2, 9), (3, 6)), ((2, 9),))
    assert group.cells == 6
    (two,) = group_pairs(pairs[:2], 8, 100)
    assert two.shared == (0, 4)
    assert two.cells == 5


def test_questions_on_one_text_share_it_and_texts_their_header():
    header, first, second = (1,) * 40, (2,) * 50, (3,) * 60
    pairs = [
        ((*header, *text, question), (choice, 0))
        for text in (second, first)
        for question in (7, 8)
        for choice in (4, 5)
    ]
    (group,) = group_pairs(pairs, 64, 200)
    assert group.requests == (4, 5, 6, 7, 0, 1, 2, 3)  # texts in the order of their tokens
    assert group.shared == (0, 91, 90, 91, 40, 101, 100, 101)
    assert group.cells == 40 + (50 + 2 * (1 + 2)) + (60 + 2 * (1 + 2))
    assert [group.shared[0] for group in group_pairs(pairs, 64, 60)] == [0, 0]  # a text each
    assert [len(group.requests) for group in group_pairs(pairs, 2, 200)] == [2, 2, 2, 2]


def test_a_header_is_what_all_prompts_begin_with():
    header = (1,) * 70
    assert shared_header([(*header, 2, 3), (*header, 4), (*header, 2)]) == 70
    assert shared_header([(*header, 2), header]) == 69  # each keeps a token of its own
    assert shared_header([header]) == 0
    assert shared_header([(*header[:63], 2), (*header[:63], 3)]) == 0


def test_contexts_that_begin_with_little_in_common_stand_alone():
    pairs = [((1,) * 31 + (token, token), (0,)) for token in range(5)]
    assert len(group_pairs(pairs, 64, 500)) == 5


@given(
    st.lists(
        st.tuples(st.lists(st.integers(0, 1), min_size=1, max_size=6), st.integers(0, 2)),
        min_size=1,
        max_size=12,
    ),
    st.integers(1, 8),
    st.integers(8, 60),
)
def test_every_sequence_reads_its_own_tokens_at_their_positions(contexts, sequences, cells):
    """What llama.cpp is given, taken apart again sequence by sequence."""
    pairs = [((*[9] * 33, *context), (token, 3, token)) for context, token in contexts]
    seen = []
    for pack in pack_groups(group_pairs(pairs, sequences, cells), sequences, cells):
        plan = PackPlan(pack)
        for seq, (request, begin, end) in enumerate(plan.spans):
            mine = (plan.first_seq <= seq) & (seq < plan.first_seq + plan.n_seq)
            context, continuation = pairs[request]
            assert tuple(plan.tokens[mine]) == context + continuation[:-1]
            assert plan.positions[mine].tolist() == list(range(mine.sum()))
            assert tuple(plan.want_token[begin:end]) == continuation
            predicted_from = plan.positions[plan.want_at[begin:end]]
            assert predicted_from.tolist() == [len(context) - 1 + n for n in range(3)]
            assert mine[plan.want_at[begin:end]].all()
            seen.append(request)
    assert sorted(seen) == list(range(len(pairs)))


def test_groups_respect_sequences_and_cells():
    pairs = [((1, 2), (token, 0)) for token in range(5)]
    assert [group.requests for group in group_pairs(pairs, 2, 100)] == [(0, 1), (2, 3), (4,)]
    assert [group.requests for group in group_pairs(pairs, 9, 2)] == [(0, 1), (2,), (3, 4)]


def test_packs_are_filled_largest_first():
    pairs = [((token,) * length, (0,)) for token, length in enumerate((3, 6, 2, 5, 4))]
    groups = group_pairs(pairs, 8, 10)
    packs = pack_groups(groups, 8, 10)
    assert [[group.requests[0] for group in pack] for pack in packs] == [[1, 4], [3, 0, 2]]
    assert len(pack_groups(groups, 1, 10)) == 5
