"""Random numbers that depend on where an entry stands, not on when it is drawn.

Philox is a counter-based generator (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
2011): the numbers of any stretch of a tensor can be drawn without those before it, so that a mask
is the same however a tensor is cut and whoever computes it.
"""

from __future__ import annotations

import hashlib
import json
import re

import numpy as np
import numpy.typing as npt

_COMMIT = re.compile(r"@[0-9a-f]{40}(?=\+|$)")
_PER_COUNT = 8  # 32-bit numbers of one step of the counter: four 64-bit words


def noise_key(seed: int, stage: str, parent: str, tensor: str) -> int:
    """Return the 128-bit key of the random numbers of one parent's tensor.

    Whether the parent's id is pinned to a commit makes no difference.
    """
    text = json.dumps([seed, stage, _COMMIT.sub("", parent), tensor])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "little")


def noise(key: int, offset: int, size: int) -> npt.NDArray[np.uint32]:
    """Return `size` uniform 32-bit numbers, those of the flat indices from `offset` on."""
    first, skip = divmod(offset, _PER_COUNT)
    counts = -(-(skip + size) // _PER_COUNT)
    words = np.random.Philox(key=key, counter=first).random_raw(counts * _PER_COUNT // 2)
    return words.astype("<u8", copy=False).view("<u4")[skip : skip + size]
