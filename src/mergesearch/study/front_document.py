"""The front as a document: a pure function of the ledger's records."""

from collections.abc import Mapping, Sequence
from typing import Any

from mergesearch.objectives import Score
from mergesearch.study.front import hypervolume, knee, non_dominated
from mergesearch.study.ledger import COMPLETE, FAILED, Axis, TrialRecord
from mergesearch.study.proxies import agreements

FRONT_NAME = "front.json"
"""Name of the document in a run folder."""


def front_members(axes: Sequence[Axis], trials: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Return the complete trials that no other dominates on the search items.

    Where there are proxies, these are among the promoted trials. A trial that reused another's
    scores is that other one again, so it is left out. The best in the first objective comes first;
    of equals the earlier trial.
    """
    own = [
        one for one in trials if one.state == COMPLETE and one.reused_from is None and one.scores()
    ]
    values = [[one.scores()[axis.name].value for axis in axes] for one in own]
    members = [own[index] for index in non_dominated(values, _directions(axes))]
    sign = -1 if axes[0].direction == "maximize" else 1
    return sorted(members, key=lambda one: (sign * one.scores()[axes[0].name].value, one.number))


def front_document(axes: Sequence[Axis], trials: Sequence[TrialRecord]) -> dict[str, Any]:
    """Return the front of a run's trials as it stands in `front.json`.

    Keys: `objectives` (names in order), `directions` and `reference_point` (by objective),
    `hypervolume` (of the search values), `knee` (a trial's number, null for an empty front),
    `front` (members, see `front_members`), `trials` (finished ones), `failed` (among them).
    `validated` is null where a member was not scored on the validate items. Where objectives have
    proxies also `proxies`, by objective: the rank `correlation` of proxy and metric (null where it
    is not known yet) over so many promoted `trials`.
    """
    members = front_members(axes, trials)
    values = [[one.scores()[axis.name].value for axis in axes] for one in members]
    directions = _directions(axes)
    reference = [axis.reference for axis in axes]
    proxies = {name: vars(one) for name, one in agreements(axes, trials).items()}
    return {
        "objectives": [axis.name for axis in axes],
        "directions": {axis.name: axis.direction for axis in axes},
        "reference_point": {axis.name: axis.reference for axis in axes},
        "hypervolume": hypervolume(values, reference, directions),
        "knee": members[knee(values, directions)].number if members else None,
        "front": [_member(one) for one in members],
        "trials": sum(one.finished for one in trials),
        "failed": sum(one.state == FAILED for one in trials),
        **({"proxies": proxies} if proxies else {}),
    }


def _directions(axes: Sequence[Axis]) -> list[str]:
    return [axis.direction for axis in axes]


def _member(trial: TrialRecord) -> dict[str, Any]:
    validated = _scores(trial.scores("validate"))
    return {
        "trial": trial.number,
        "values": _scores(trial.scores()),
        "validated": validated or None,
        "shares": dict(trial.shares),
        "digest": trial.candidate_digest,
        "recipe": dict(trial.recipe),
    }


def _scores(scores: Mapping[str, Score]) -> dict[str, dict[str, float]]:
    return {
        name: {
            "value": score.value,
            "stderr": score.stderr,
            "n": score.n,
            "n_unscored": score.n_unscored,
        }
        for name, score in scores.items()
    }
