"""Keys of random numbers that depend on where an entry stands, not on when it is drawn.

The kernels draw the numbers by Philox, a counter-based generator (Salmon et al., "Parallel random
numbers: as easy as 1, 2, 3", 2011): those of any stretch of a tensor can be drawn without those
before it, so that a mask is the same however a tensor is cut and whoever computes it.
"""

from __future__ import annotations

import hashlib
import json
import re

_COMMIT = re.compile(r"@[0-9a-f]{40}(?=\+|$)")


def noise_key(seed: int, stage: str, parent: str, tensor: str) -> int:
    """Return the 128-bit key of the random numbers of one parent's tensor.

    Whether the parent's id is pinned to a commit makes no difference.
    """
    text = json.dumps([seed, stage, _COMMIT.sub("", parent), tensor])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "little")
