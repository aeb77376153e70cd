"""Which GPU a worker uses."""

from __future__ import annotations

import os
import re

from mergesearch.errors import InputError

_SWITCHES = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "GGML_VK_VISIBLE_DEVICES")


def check_gpu(gpu: str) -> str:
    """Return a GPU as it was named, by its number or by the id that its driver shows.

    Raises:
        InputError: It is neither.
    """
    if not re.fullmatch(r"\d+|[A-Za-z]+-[0-9a-fA-F-]+", gpu):
        raise InputError(f"{gpu!r} is not a GPU", where="--gpu", expected="a number such as 1")
    return gpu


def use_gpu(gpu: str) -> None:
    """Let scoring processes that start from now on see one GPU only."""
    os.environ |= dict.fromkeys(_SWITCHES, gpu)
