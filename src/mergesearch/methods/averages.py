"""Methods that merge whole parents, without a base: the weighted mean, and a single parent."""

from __future__ import annotations

from mergesearch.methods.combination import Combination
from mergesearch.methods.declaration import WEIGHT, Method, Parameter, switch
from mergesearch.methods.inputs import InputRows, Settings, sum32
from mergesearch.methods.shares import weight_shares


def linear(rows: InputRows, settings: Settings, statistics: None = None) -> Combination:
    """Return the weighted sum of the inputs, divided by the sum of weights if `normalize`."""
    divisor = float(sum32(settings["weight"])) if settings["normalize"] else 1.0
    return Combination(rows, settings["weight"], divisor=divisor)


def passthrough(rows: InputRows, settings: Settings, statistics: None = None) -> Combination:
    """Return the one input times its `scale` (mergekit `merge_methods/passthrough.py`)."""
    return Combination(rows, settings["scale"])


METHODS = (
    Method(
        "linear",
        linear,
        (WEIGHT, switch("normalize", True)),
        shares=weight_shares,
        formula="sum(w_i x_i), divided by sum(w_i) where `normalize`",
        in_mergekit=True,
    ),
    Method(
        "passthrough",
        passthrough,
        (Parameter("scale", 1.0, per_parent=True, search=(0.5, 1.5)),),
        most=1,
        formula="one parent's tensors times `scale`; for slices",
        in_mergekit=True,
    ),
)
