"""Tasks, prompts and metrics as lm-eval defines them: the only user of lm_eval.

lm-eval's objects, documents and prompts are made once. For each candidate only the requests are
run; answers go through the task's own filters, `process_results` and aggregation.
"""

from mergesearch.scoring.harness.items import Item, apply_filters, build_items, process_item
from mergesearch.scoring.harness.lm import CandidateLM
from mergesearch.scoring.harness.tasks import LoadedTask, Member, load_tasks

__all__ = [
    "CandidateLM",
    "Item",
    "LoadedTask",
    "Member",
    "apply_filters",
    "build_items",
    "load_tasks",
    "process_item",
]
