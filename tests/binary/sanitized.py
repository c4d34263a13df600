"""Run by test_sanitized.py in a process whose allocator is the address sanitizer's; no torch.

Random layers, images and mutated files go through the parser, the arrangement of weights and every
kernel of this machine, and sums are compared with NumPy's. Arguments: seed, number of layers.
"""

import random
import sys
from pathlib import Path

import numpy as np

from edgesr.binary.esb import EsbFile, from_bytes, to_bytes
from edgesr.binary.packed_kernel import Tables, available_kernels, packed_convolve, packed_sums
from edgesr.binary.packed_weights import arrange
from edgesr.errors import CheckpointError

CHANNELS = (1, 2, 7, 8, 9, 31, 32, 33, 40, 63, 64, 65, 96, 127, 128, 129, 200, 256, 320)


def tables(inputs: int, padded: int, generator: np.random.Generator) -> Tables:
    def row(count: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
        return generator.normal(size=count).astype(np.float32)

    return Tables(
        shift=row(inputs),
        factor=row(padded),
        before=row(padded),
        bend=row(padded),
        after=row(padded),
        shortcut=1.0,
    )


def one(dice: random.Random, generator: np.random.Generator) -> None:
    channels, side = dice.choice(CHANNELS), dice.choice((1, 3))
    height, width = dice.randint(1, 9), dice.randint(1, 11)
    content = EsbFile(
        about={}, tensors={"w": generator.random((channels, channels, side, side)) < 0.5}
    )
    data = bytearray(to_bytes(content))
    for _ in range(dice.choice((0, 1, 3))):
        data[dice.randrange(len(data))] = dice.randrange(256)
    try:
        minus = from_bytes(bytes(data), "file").tensors["w"]
    except (CheckpointError, KeyError):
        minus = content.tensors["w"]
    features = generator.normal(size=(height, width, channels)).astype(np.float32)
    features[generator.random(features.shape) < 0.02] = dice.choice((0.0, -0.0, np.nan, np.inf))
    gain = generator.random((height, width), np.float32) if dice.random() < 0.3 else None
    for kernel in available_kernels():
        weights = arrange(minus, kernel, zero_outside=dice.random() < 0.5)
        made = tables(channels, weights.padded, np.random.default_rng(channels))
        again = arrange(minus, "numpy", zero_outside=bool(weights.border.any()))
        threads = dice.choice((1, 2, 3))
        sums = packed_sums(weights, features, made, threads=threads)
        assert np.array_equal(sums, packed_sums(again, features, made)), (kernel, channels, side)
        found = packed_convolve(weights, features, made, gain=gain, threads=threads)
        wanted = packed_convolve(again, features, made, gain=gain)
        assert np.array_equal(found, wanted, equal_nan=True), (kernel, channels, side)


def main() -> None:
    seed, count = int(sys.argv[1]), int(sys.argv[2])
    dice, generator = random.Random(seed), np.random.default_rng(seed)  # noqa: S311
    np.seterr(all="ignore")
    assert len(available_kernels()) > 1, "no C kernel was built"
    for _ in range(count):
        one(dice, generator)
    assert "libasan" in Path("/proc/self/maps").read_text()
    print(f"{count} layers on {', '.join(available_kernels())}")


if __name__ == "__main__":
    main()
