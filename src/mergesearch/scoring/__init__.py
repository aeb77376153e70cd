"""Scores candidates through lm-eval and llama.cpp, in a process of their own.

Importing this package is cheap; lm_eval and llama_cpp are loaded by what needs them.
"""

from mergesearch.scoring.process import ScoringProcess
from mergesearch.scoring.protocol import OnProgress, Progress
from mergesearch.scoring.rehearsal import Rehearsal, at_depth

__all__ = ["OnProgress", "Progress", "Rehearsal", "ScoringProcess", "at_depth"]
