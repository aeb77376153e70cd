from collections import Counter

import numpy as np

from mergesearch.study.parts import BLOCK, REPEATS, next_items

ORDER = {"answers": [number * 7 % 1000 for number in range(1000)]}


def scored(trials, size=100, order=ORDER):
    """How many of so many trials were scored on each item, a part each."""
    seen = Counter()
    for trial in range(trials):
        rng = np.random.default_rng(trial)
        part = next_items(order, {"answers": size}, {"answers": seen}, {}, rng)["answers"]
        seen.update(part)
    return seen


def test_a_part_is_whole_blocks_of_the_order():
    part = list(scored(1))
    order = ORDER["answers"]
    starts = [order.index(part[index]) for index in range(0, len(part), BLOCK)]
    assert all(start % BLOCK == 0 for start in starts)
    assert part == [item for start in starts for item in order[start : start + BLOCK]]


def test_the_first_trials_share_the_first_items():
    seen = scored(4)
    assert set(seen) == set(ORDER["answers"][:200])
    assert set(seen.values()) == {2}


def test_more_items_come_into_use_as_more_is_scored():
    seen = scored(60)
    assert len(seen) == 60 * 100 // REPEATS
    assert max(seen.values()) <= REPEATS + 4


def test_a_trial_that_goes_on_gets_items_it_has_not_seen():
    rng = np.random.default_rng(0)
    first = next_items(ORDER, {"answers": 100}, {}, {}, rng)["answers"]
    second = next_items(ORDER, {"answers": 900}, {}, {"answers": first}, rng)["answers"]
    assert sorted(first + second) == list(range(1000))


def test_what_is_left_is_all_there_is():
    rng = np.random.default_rng(0)
    part = next_items({"few": [3, 1, 2]}, {"few": 10}, {}, {}, rng)
    assert part == {"few": [3, 1, 2]}
