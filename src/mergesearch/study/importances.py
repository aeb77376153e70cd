"""How much each dimension of a space decides about each objective, by functional ANOVA.

A random forest stands for an objective over the whole space, and the importance of a dimension is
its share in the forest's variance (Hutter, Hoos and Leyton-Brown, "An Efficient Approach for
Assessing Hyperparameter Importance", 2014), as Optuna computes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import optuna
from optuna.trial import FrozenTrial, create_trial

from mergesearch.study.records import Axis, TrialRecord
from mergesearch.study.samplers.from_optuna import quiet

FEWEST = 10
"""Complete trials below which a forest says nothing."""
_TREES, _SEED = 32, 0

Importances = Mapping[str, Mapping[str, float]]
"""Share of each dimension in the variance of each objective; empty where it is not known."""


def importances(
    axes: Sequence[Axis], trials: Sequence[FrozenTrial], records: Sequence[TrialRecord]
) -> Importances:
    """Return the importance of every dimension for each objective, the largest first.

    It is empty for all objectives before `FEWEST` trials are complete, and for one that is the same
    for all trials, which nothing decides about.

    Args:
        trials: Optuna's trials, by number.
        records: Records of the same trials; the objectives' values are theirs.
    """
    scored = [(trials[record.number], record.scores()) for record in records if record.scores()]
    found: dict[str, Mapping[str, float]] = {}
    for axis in axes:
        values = [(trial, scores[axis.name].value) for trial, scores in scored]
        enough = len(values) >= FEWEST and len({value for _, value in values}) > 1
        found[axis.name] = _of_one(values) if enough else {}
    return found


def _of_one(values: Sequence[tuple[FrozenTrial, float]]) -> dict[str, float]:
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    with quiet():
        study = optuna.create_study()
        study.add_trials(
            [
                create_trial(params=trial.params, distributions=trial.distributions, value=value)
                for trial, value in values
            ]
        )
        evaluator = FanovaImportanceEvaluator(n_trees=_TREES, seed=_SEED)
        shares = get_param_importances(study, evaluator=evaluator)
    return {name: float(share) for name, share in shares.items()}


def constant_objectives(axes: Sequence[Axis], records: Sequence[TrialRecord]) -> list[str]:
    """Return the objectives that have the same value in every one of several candidates."""
    scored = [record.scores() for record in records if record.scores()]
    candidates = {record.candidate_digest for record in records if record.scores()}
    return [
        axis.name
        for axis in axes
        if len(candidates) > 1 and len({scores[axis.name].value for scores in scored}) == 1
    ]
