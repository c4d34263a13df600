"""The numbers of one block of noise, without PyTorch: a phone or the core install can draw them.

The generator is MT19937 with its 2002 seeding; 24 bits of each output become a uniform number, and
eight pairs at a time a normal one by Box and Muller. These are the numbers that ``torch.randn``
draws on the CPU for the same seed, but for float32 rounding of its logarithm and cosine.

Source: Matsumoto and Nishimura 1998, doi:10.1145/272991.272995; Box and Muller 1958,
doi:10.1214/aoms/1177706645.
"""

import math

import numpy as np
from numpy.typing import NDArray

BLOCK = 64
"""Side of a block in pixels."""

_PAIRS = 8
_WORDS = 2**32
_FRACTION = 2**24


def block_noise(seed: int, place: tuple[int, int, int, int], channels: int) -> NDArray[np.float32]:
    """Return standard normal noise ``(channels, 64, 64)``.

    Args:
        seed: of the whole plane, 0 or more.
        place: state, image of the batch, row and column of the block.
        channels: colours.
    """
    mixed = int(np.random.SeedSequence((seed, *place)).generate_state(1, np.uint64)[0])
    # the low word of the number that the seed and the place are mixed to, without its last bit
    twister = np.random.RandomState((mixed >> 1) % _WORDS)
    words = twister.randint(0, _WORDS, channels * BLOCK**2, dtype=np.uint32)
    uniform = (words % _FRACTION / _FRACTION).reshape(-1, 2, _PAIRS)
    radius = np.sqrt(-2.0 * np.log(1.0 - uniform[:, 0]))
    angle = 2.0 * math.pi * uniform[:, 1]
    pairs = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return pairs.reshape(channels, BLOCK, BLOCK).astype(np.float32)


def frame_noise(seed: int, state: int, shape: tuple[int, int, int]) -> NDArray[np.float32]:
    """Return the noise that leads to a state, for a frame ``(h, w, c)``.

    ``edgesr.diffusion.noise.Noise(seed=seed).draw`` gives the same numbers as ``(1, c, h, w)``.
    """
    height, width, channels = shape
    rows, columns = -(-height // BLOCK), -(-width // BLOCK)
    plane = np.empty((rows * BLOCK, columns * BLOCK, channels), np.float32)
    for row in range(rows):
        for column in range(columns):
            block = block_noise(seed, (state, 0, row, column), channels)
            top, left = row * BLOCK, column * BLOCK
            plane[top : top + BLOCK, left : left + BLOCK] = block.transpose(1, 2, 0)
    return plane[:height, :width]
