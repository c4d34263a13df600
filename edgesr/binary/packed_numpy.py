"""One-bit convolutions in NumPy: what runs without a C compiler, and what the C code must equal."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesr.binary.packed_weights import PackedWeights

_WORD = 64
_TABLE = np.array([value.bit_count() for value in range(256)], np.uint8)


def numpy_sums(
    weights: PackedWeights, features: NDArray[np.float32], shift: NDArray[np.float32]
) -> NDArray[np.int32]:
    """Return the sums of products of signs.

    Args:
        weights: arranged for ``numpy``.
        features: ``(h, w, inputs)``.
        shift: ``(inputs,)``, added before the sign.

    Returns:
        int32 ``(h, w, outputs)``.
    """
    height, width = features.shape[:2]
    edge, words = weights.side // 2, weights.stride // 8
    minus = np.zeros((height, width, words * _WORD), np.bool_)
    minus[..., : weights.inputs] = ~(features + shift >= 0)
    packed = np.packbits(minus, axis=-1, bitorder="little").view("<u8")
    inside = np.pad(packed, ((edge, edge), (edge, edge), (0, 0)))
    kernel = weights.bits.view("<u8").reshape(weights.padded, -1)[: weights.outputs]
    made = np.empty((height, width, weights.outputs), np.int32)
    for y in range(height):
        rows = [inside[y + r, c : c + width] for r in range(weights.side) for c in _sides(weights)]
        window = np.concatenate(rows, axis=-1)
        made[y] = weights.terms - 2 * _popcount(window[:, None] ^ kernel)
    across = _edges(height)[:, None]
    return made - weights.border[4 * across + _edges(width), : weights.outputs]


def _sides(weights: PackedWeights) -> range:
    return range(weights.side)


def _edges(size: int) -> NDArray[np.intp]:
    place = np.arange(size)
    found: NDArray[np.intp] = (place == 0) + 2 * (place == size - 1)
    return found


def _popcount(words: NDArray[np.uint64]) -> NDArray[Any]:
    if hasattr(np, "bitwise_count"):
        counted: NDArray[Any] = np.bitwise_count(words).sum(axis=-1, dtype=np.int32)
        return counted
    each: NDArray[Any] = _TABLE[words.view(np.uint8)].sum(axis=-1, dtype=np.int32)
    return each
