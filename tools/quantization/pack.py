"""Levels of a few bits, packed as ggml's blocks hold them (`ggml/src/ggml-common.h`)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]


def as_bytes(values: npt.NDArray[Any]) -> Bytes:
    """Bytes of values, one row per row; a vector has one value per row."""
    return np.ascontiguousarray(values.reshape(len(values), -1)).view(np.uint8)


def nibbles(levels: Bytes) -> Bytes:
    """Two halves of a row side by side: the first in the low four bits."""
    half = levels.shape[1] // 2
    first, second = levels[:, :half], levels[:, half:]
    return np.asarray((first & 15) | (second & 15) << 4, dtype=np.uint8)


def fifth_bits(levels: Bytes) -> Bytes:
    """The fifth bits of 32 levels in four bytes, the first level's lowest."""
    return np.packbits(levels >> 4 & 1, axis=1, bitorder="little")


def k_fifth_bits(levels: Bytes) -> Bytes:
    """The fifth bits of 256 levels: bit j of byte i belongs to element i of sub-block j."""
    by_element = (levels >> 4 & 1).reshape(-1, 8, 32).transpose(0, 2, 1)
    return np.packbits(by_element, axis=2, bitorder="little")[:, :, 0]


def pack_scales(scales: Bytes, minimums: Bytes) -> Bytes:
    """Eight scales and eight minimums of six bits in twelve bytes.

    The last four of each are split: low four bits in bytes of their own, the others above the
    first four.
    """
    return np.concatenate(
        [
            scales[:, :4] | (scales[:, 4:] >> 4 << 6),
            minimums[:, :4] | (minimums[:, 4:] >> 4 << 6),
            (scales[:, 4:] & 15) | ((minimums[:, 4:] & 15) << 4),
        ],
        axis=1,
    )


def unpack_scales(packed: Bytes) -> tuple[Bytes, Bytes]:
    """Scales and minimums that `pack_scales` packed."""
    scales, minimums, low = packed[:, :4], packed[:, 4:8], packed[:, 8:]
    return (
        np.concatenate([scales & 63, (low & 15) | (scales >> 6 << 4)], axis=1),
        np.concatenate([minimums & 63, (low >> 4) | (minimums >> 6 << 4)], axis=1),
    )


def pack_six_bits(levels: Bytes) -> Bytes:
    """256 levels of six bits: their low four bits in 128 bytes, their high two in 64.

    In each half, levels i, 32 + i, 64 + i and 96 + i share bytes.
    """
    quarters = levels.reshape(-1, 2, 4, 32)
    first, second, third, fourth = (quarters[:, :, i] for i in range(4))
    low = np.concatenate(
        [(first & 15) | ((third & 15) << 4), (second & 15) | ((fourth & 15) << 4)], axis=2
    )
    high = first >> 4 | second >> 4 << 2 | third >> 4 << 4 | fourth >> 4 << 6
    return np.concatenate([low.reshape(-1, 128), high.reshape(-1, 64)], axis=1)
