"""Shared computation: one result, in order, however many threads ask for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from mergesearch.merge.shared_computation import SharedComputation


def test_all_threads_help_and_get_the_one_result() -> None:
    """Three threads meet inside one map, which no thread alone could finish."""
    meet = threading.Barrier(3, timeout=20)
    computed = []

    def compute(spread: Callable[..., Any]) -> list[int]:
        computed.append(threading.get_ident())

        def square(item: int) -> int:
            meet.wait()
            return item * item

        return [*spread(square, range(9)), *spread(square, range(3))]

    computation = SharedComputation(compute)
    with ThreadPoolExecutor(3) as pool:
        results = [
            future.result() for future in [pool.submit(computation.result) for _ in range(3)]
        ]
    assert results == [[0, 1, 4, 9, 16, 25, 36, 49, 64, 0, 1, 4]] * 3
    assert len(computed) == 1
    assert computation.result() is results[0]


def test_one_thread_alone() -> None:
    computation = SharedComputation(lambda spread: sum(spread(lambda item: item + 1, [1, 2, 3])))
    assert computation.result() == 9


def test_an_error_reaches_every_thread() -> None:
    def fail(item: int) -> int:
        raise ValueError(f"item {item}")

    computation = SharedComputation(lambda spread: spread(fail, [5]))
    with ThreadPoolExecutor(3) as pool:
        for future in [pool.submit(computation.result) for _ in range(3)]:
            with pytest.raises(ValueError, match="item 5"):
                future.result()
