"""From a recipe to the tensors of its result: what is read from which parent, and how merged."""

from mergesearch.merge.merged_model import MergedModel, PlannedTensor
from mergesearch.merge.plan import plan_merge

__all__ = ["MergedModel", "PlannedTensor", "plan_merge"]
