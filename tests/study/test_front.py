"""The front of a run, from records alone."""

import time
from datetime import UTC, datetime
from typing import Any

import pytest

from mergesearch.errors import InputError
from mergesearch.objectives import Score
from mergesearch.study.confirming import ConfirmedFront, ConfirmedMember
from mergesearch.study.front import Front
from mergesearch.study.records import Axis, Measurement, RaceRecord, State, TrialRecord

AXES = (Axis("accuracy", "maximize", 0.0), Axis("loss", "minimize", 4.0))
NOW = datetime(2030, 1, 1, tzinfo=UTC)


def trial(number: int, accuracy: float, loss: float, **changes: Any) -> TrialRecord:
    scores = {"accuracy": Score(accuracy, 0.04, 120, 1), "loss": Score(loss, 0.1, 120, 0)}
    parts = {
        "number": number,
        "state": State.COMPLETE,
        "attempt": 1,
        "parameters": {},
        "recipe": {"merge_method": "linear"},
        "recipe_digest": f"r{number}",
        "shares": {"a": 0.75, "b": 0.25},
        "candidate_digest": f"c{number}",
        "candidate_size": 1,
        "reused_from": None,
        "failure": None,
        "started": NOW,
        "ended": NOW,
        "rungs": {"search": Measurement(scores, (), 0.5, 3.0, None, NOW)},
        "words": ("a : b = 3 : 1",),
    }
    return TrialRecord(**(parts | changes))


TRIALS = (
    trial(0, 0.5, 1.0),
    trial(1, 0.9, 3.0),
    trial(2, 0.8, 1.5),
    trial(3, 0.7, 3.5),
    trial(4, 0.9, 3.0, reused_from=1),
    trial(5, 0, 0, state=State.FAILED, rungs={}, failure="no"),
    trial(6, 0, 0, state=State.RUNNING, rungs={}, ended=None),
)


def test_members_are_undominated_own_complete_and_sorted() -> None:
    assert [member.trial for member in Front.of(AXES, TRIALS).members] == [1, 2, 0]
    turned = (Axis("loss", "minimize", 4.0), AXES[0])
    assert [member.trial for member in Front.of(turned, TRIALS).members] == [0, 2, 1]


def test_the_best_member_in_each_objective() -> None:
    front = Front.of(AXES, TRIALS)
    assert (front.best("accuracy").trial, front.best("loss").trial) == (1, 0)


@pytest.mark.parametrize(
    ("pick", "number"),
    [
        ("knee", 2),
        ("best:loss", 0),
        ("max:accuracy where loss<=2", 2),
        ("weighted:accuracy=10,loss=1", 2),
    ],
)
def test_an_expression_picks_a_member(pick: str, number: int) -> None:
    assert Front.of(AXES, TRIALS).pick(pick) == number


def test_limits_that_no_member_holds_are_answered_with_what_can_be_had() -> None:
    with pytest.raises(InputError, match="no member of the front holds the limits") as caught:
        Front.of(AXES, TRIALS).pick("max:accuracy where loss<=0.5 and accuracy>=0.95")
    assert caught.value.expected == "limits such as loss<=1 or accuracy>=0.9"


def test_an_empty_front_has_nothing_to_pick() -> None:
    with pytest.raises(InputError, match="no front yet"):
        Front.of(AXES, ()).pick("knee")


def test_the_document_has_the_promised_keys_in_their_order() -> None:
    document = Front.of(AXES, TRIALS).to_dict()
    assert list(document) == [
        "objectives",
        "directions",
        "reference_point",
        "hypervolume",
        "knee",
        "front",
        "trials",
        "failed",
    ]
    assert document["objectives"] == ["accuracy", "loss"]
    assert document["directions"] == {"accuracy": "maximize", "loss": "minimize"}
    assert document["reference_point"] == {"accuracy": 0.0, "loss": 4.0}
    assert document["hypervolume"] == pytest.approx(0.5 * 3.0 + 0.3 * 2.5 + 0.1 * 1.0)
    assert document["knee"] == 2
    assert (document["trials"], document["failed"]) == (6, 1)
    assert document["front"][0] == {
        "trial": 1,
        "values": {
            "accuracy": {"value": 0.9, "stderr": 0.04, "n": 120, "n_unscored": 1},
            "loss": {"value": 3.0, "stderr": 0.1, "n": 120, "n_unscored": 0},
        },
        "validated": None,
        "shares": {"a": 0.75, "b": 0.25},
        "words": ["a : b = 3 : 1"],
        "digest": "c1",
        "recipe": {"merge_method": "linear"},
    }


CONFIRMED = ConfirmedFront(
    members=(
        ConfirmedMember(
            1, {"accuracy": Score(0.85, 0.02, 400, 0), "loss": Score(2.9, 0.1, 400, 3)}, 0.97, (3,)
        ),
        ConfirmedMember(
            0, {"accuracy": Score(0.55, 0.02, 400, 0), "loss": Score(1.1, 0.1, 400, 3)}, 0.9, ()
        ),
    ),
    dropped=(2,),
    hypervolume=1.75,
    knee=0,
)


def test_a_confirmed_front_is_what_confirmation_says_beside_that_of_the_search() -> None:
    searched, front = Front.of(AXES, TRIALS), Front.of(AXES, TRIALS, CONFIRMED)
    assert [member.trial for member in front.members] == [1, 0]
    assert (front.hypervolume, front.knee, front.dropped) == (1.75, 0, (2,))
    assert front.search == searched
    document = front.to_dict()
    assert (document["hypervolume"], document["knee"], document["dropped"]) == (1.75, 0, [2])
    assert document["search"] == {
        key: searched.to_dict()[key] for key in ("hypervolume", "knee", "front")
    }
    member = document["front"][0]
    assert member["values"]["accuracy"]["value"] == 0.9
    assert member["confirmed"]["accuracy"]["value"] == 0.85
    assert (member["chance"], member["twins"]) == (0.97, [3])


def test_members_are_picked_by_what_is_confirmed_of_them() -> None:
    """By its search items the first member has a loss of 3."""
    expression = "max:accuracy where loss<=2.95"
    assert Front.of(AXES, TRIALS).pick(expression) == 2
    assert Front.of(AXES, TRIALS, CONFIRMED).pick(expression) == 1


def test_how_far_proxies_are_known_to_agree_is_told() -> None:
    axes = (Axis("accuracy", "maximize", 0.0, proxy=True), AXES[1])
    assert Front.of(axes, TRIALS).to_dict()["proxies"] == {
        "accuracy": {"correlation": None, "trials": 0}
    }


def test_a_trial_that_racing_stopped_is_no_member() -> None:
    races = [RaceRecord(2, 200, 0.8, False, False), RaceRecord(1, 90, 0.1, False, True)]
    trials = [trial(number, 0.5 + number / 10, 1.0, race=race) for number, race in enumerate(races)]
    front = Front.of(AXES, trials)
    assert [member.trial for member in front.members] == [0]
    assert front.to_dict()["racing"]["stopped"] == 1


def test_a_member_whose_file_is_unknown_has_an_empty_digest() -> None:
    (member,) = Front.of(AXES, [trial(0, 0.5, 1.0, candidate_digest=None)]).members
    assert member.digest == ""


def test_a_run_without_a_complete_trial_has_an_empty_front() -> None:
    front = Front.of(AXES, TRIALS[5:])
    assert (front.members, front.knee, front.hypervolume) == ((), None, 0.0)
    assert front.to_dict()["front"] == []


@pytest.mark.long
def test_a_thousand_times_more_trials_do_not_take_a_million_times_longer() -> None:
    """A front of ten thousand trials, all of them members, in a moment."""
    many = [trial(number, number / 10_000, 4.0 * number / 10_000) for number in range(10_000)]
    start = time.perf_counter()
    assert len(Front.of(AXES, many).members) == 10_000
    assert time.perf_counter() - start < 5
