"""What is computed once, and what is not."""

from __future__ import annotations

from mergesearch._system.memo import Memo


def test_a_result_is_computed_once_for_the_same_arguments() -> None:
    calls = []

    def double(number: int) -> int:
        calls.append(number)
        return 2 * number

    memo = Memo()
    assert [memo(double, number) for number in (1, 2, 1)] == [2, 4, 2]
    assert calls == [1, 2]
    assert Memo()(double, 1) == 2
    assert calls == [1, 2, 1]


def test_functions_do_not_share_results() -> None:
    memo = Memo()
    assert (memo(abs, -1), memo(str, -1), memo(abs, -1)) == (1, "-1", 1)
