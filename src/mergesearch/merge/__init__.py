"""Merge methods on blocks of float32 rows, and the plan that walks a recipe with them."""

from mergesearch.merge.methods import METHODS, Method, Settings
from mergesearch.merge.plan import MergePlan, PlannedTensor, plan_merge

__all__ = ["METHODS", "MergePlan", "Method", "PlannedTensor", "Settings", "plan_merge"]
