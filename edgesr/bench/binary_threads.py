"""Wall-clock time of float and packed convolutions by size and number of threads.

Processor time says nothing about threads, and a mean is ruled by the moments when another program
had the core. So all contenders take many short turns, thread counts alternate within seconds, and
the least time is shown beside the median: on a quiet machine they are near each other, and where
they are not the median tells of the others' load.
"""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from edgesr.bench.load import moment, other_cores, refuse_load
from edgesr.bench.timing import Work, interleave
from edgesr.bench.verdict import paired_ratio
from edgesr.binary.conv import BinaryConv2d
from edgesr.binary.packed import PackedConv2d, parts_of
from edgesr.binary.style import find_style

FLOAT, BLOCK = "float32 convolution", "1-bit block"
_SIDE, _SEED, _TURN = 3, 0, 5


def thread_works(channels: int, size: int) -> dict[str, Work]:
    """Return a float and a packed 3x3 layer on ``(1, channels, size, size)``, by torch's threads.

    The packed one does more: signs, factor, RPReLU and identity, float32 in and out.
    """
    generator = torch.Generator().manual_seed(_SEED)
    image = torch.randn(1, channels, size, size, generator=generator)
    image = image.contiguous(memory_format=torch.channels_last)
    weight = torch.randn(channels, channels, _SIDE, _SIDE, generator=generator)
    weight = weight.contiguous(memory_format=torch.channels_last)
    packed = PackedConv2d(parts_of(BinaryConv2d(channels, style=find_style("bbcu"))))

    def convolve() -> Tensor:
        with torch.inference_mode():
            return functional.conv2d(image, weight, padding=1)

    def block() -> Tensor:
        with torch.inference_mode():
            made: Tensor = packed(image)
            return made

    return {FLOAT: convolve, BLOCK: block}


def measure_threads(
    sizes: Sequence[tuple[int, int]], counts: Sequence[int], repeats: int, *, loaded: bool
) -> dict[str, Any]:
    """Return times by size and number of threads, and the load under which they were measured.

    Args:
        sizes: ``(channels, side of the image)``.
        counts: numbers of threads, the first of which the others are compared with.
        repeats: turns of each contender at each number of threads, rounded up to whole rounds.
        loaded: measure even where other programs leave no core for each thread.

    Raises:
        DataError: they leave none, and ``loaded`` is not set.
    """
    if not loaded:
        refuse_load(max(counts))
    before, began = torch.get_num_threads(), moment()
    rows = []
    try:
        for channels, size in sizes:
            works = thread_works(channels, size)
            rows += [
                {"channels": channels, "size": size, **row} for row in _size(works, counts, repeats)
            ]
    finally:
        torch.set_num_threads(before)
    found = other_cores(began, moment())
    return {"rows": rows, "other_cores": None if found is None else round(found, 2)}


def _size(works: Mapping[str, Work], counts: Sequence[int], repeats: int) -> list[dict[str, Any]]:
    """Measure one size, changing the number of threads once a round: a change costs time itself."""
    wall: dict[tuple[str, int], list[float]] = {(n, c): [] for n in works for c in counts}
    for _ in range(-(-repeats // _TURN)):
        for count in counts:
            torch.set_num_threads(count)
            for timing in interleave(works, repeats=_TURN, warmup=1):
                wall[timing.name, count] += timing.wall_ms
    rows = []
    for (name, count), times in wall.items():
        ratio = paired_ratio(wall[name, counts[0]], times)
        rows.append(
            {
                "name": name,
                "threads": count,
                "min_ms": min(times),
                "median_ms": statistics.median(times),
                "gain_of_min": min(wall[name, counts[0]]) / min(times),
                "gain": [round(x, 2) for x in (ratio.median, ratio.low, ratio.high)],
                "wall_ms": [round(value, 4) for value in times],
            }
        )
    return rows
