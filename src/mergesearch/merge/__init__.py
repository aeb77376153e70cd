"""From a recipe to the tensors of its result: what is read from which parent, and how merged."""

from mergesearch.merge.plan import MergePlan, PlannedTensor, plan_merge

__all__ = ["MergePlan", "PlannedTensor", "plan_merge"]
