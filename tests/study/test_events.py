"""What a run tells, and whom."""

from __future__ import annotations

from mergesearch.study.events import Event, Noted, Observer, broadcast


def test_every_observer_is_told_every_event_in_order() -> None:
    told: list[tuple[str, Event]] = []

    def observer(name: str) -> Observer:
        return lambda event: told.append((name, event))

    first, second = Noted("one"), Noted("two")
    tell = broadcast(observer("log"), observer("view"))
    tell(first)
    tell(second)
    assert told == [("log", first), ("view", first), ("log", second), ("view", second)]


def test_nobody_need_listen() -> None:
    broadcast()(Noted("one"))
