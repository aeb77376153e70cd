"""From a recipe to the finished model: read, merge, quantize and write, block by block.

Every block of rows is an independent piece of work with a fixed place in the file, so the bytes do
not depend on the number of threads. A candidate lives in memory (a memfd) on Linux, in a temporary
file elsewhere.
"""

from mergesearch.build.blueprint import Blueprint, read_blueprint
from mergesearch.build.candidate import Candidate, open_gguf
from mergesearch.build.estimate import Estimate
from mergesearch.build.workshop import Workshop

__all__ = [
    "Blueprint",
    "Candidate",
    "Estimate",
    "Workshop",
    "open_gguf",
    "read_blueprint",
]
