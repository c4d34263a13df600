"""What is wrong with a calibration, in sentences with numbers."""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from edgesr.export.calibration import CalibrationSet
from edgesr.export.calibration_coverage import (
    DeadChannel,
    TensorCoverage,
    dead_channels,
    tensor_coverage,
)
from edgesr.quant.calibrate import Calibration
from edgesr.quant.layerwise import trained_layers
from edgesr.quant.ptq import PtqResult

FEW_IMAGES = 8
FLAT_DEVIATION = 2.0
"""Grey levels: a crop whose every colour deviates less from its mean is flat."""
FLAT_SHARE = 0.5
MAX_OUTSIDE = 1e-3
"""Largest share of held-out values that may be clipped, where calibration clipped less than half
of that share."""

_CLIPPED_TWICE = 2.0
_NAMED = 4


def calibration_warnings(
    crops: CalibrationSet, ptq: PtqResult, held_out: Sequence[NDArray[np.uint8]]
) -> tuple[str, ...]:
    """Return every warning about the calibration of one network; none when it is sound.

    Args:
        crops: images that were calibrated with.
        ptq: what came of it.
        held_out: low-resolution images ``(h, w, 3)`` that were not.

    Raises:
        DataError: there are no held-out images.
    """
    graph = ptq.quantized.graph
    dead = dead_channels(graph, (batch.inputs for batch in crops.batches), held_out)
    return (
        *set_warnings(crops),
        *seen_warnings(ptq.calibration, ptq.quantized.qparams),
        *range_warnings(tensor_coverage(ptq, held_out)),
        *dead_warnings(dead, num_channels(ptq)),
    )


def set_warnings(crops: CalibrationSet) -> tuple[str, ...]:
    """Return warnings about the images: too few, or flat."""
    found = []
    count = len(crops.images)
    if count < FEW_IMAGES:
        images = "1 image" if count == 1 else f"{count} images"
        found.append(
            f"calibrated on {images} ({crops.count} crops), want {FEW_IMAGES} or more; ranges "
            "depend on the few that were chosen, add images or name --calibration"
        )
    deviations = np.concatenate(
        [batch.inputs.numpy().std(axis=(1, 2)).max(axis=-1) for batch in crops.batches]
    )
    flat = int((deviations < FLAT_DEVIATION).sum())
    if flat >= FLAT_SHARE * len(deviations):
        found.append(
            f"{flat} of {len(deviations)} calibration crops are flat (colours deviate by less than "
            f"{FLAT_DEVIATION:g} grey levels, median {np.median(deviations):.2f}); use photographs "
            "with edges and texture"
        )
    return tuple(found)


def seen_warnings(calibration: Calibration, tensors: Iterable[str]) -> tuple[str, ...]:
    """Return warnings about tensors that calibration never saw, or saw as nothing but 0.

    Args:
        calibration: what was seen.
        tensors: names of all tensors that have a grid.
    """
    names = list(tensors)
    unseen = [name for name in names if name not in calibration.observers]
    empty = [
        name
        for name, one in calibration.observers.items()
        if one.histogram.low == 0.0 == one.histogram.high
    ]
    found = []
    if unseen:
        found.append(
            f"{_some(unseen)}: never seen in calibration ({len(unseen)} of {len(names)} tensors); "
            "the grid is that of a neighbour"
        )
    if empty:
        found.append(
            f"{_some(empty)}: 0 on all {calibration.count} calibration crops ({len(empty)} of "
            f"{len(names)} tensors), so that the range is a guess; look at the weights before it"
        )
    return tuple(found)


def range_warnings(tensors: Sequence[TensorCoverage]) -> tuple[str, ...]:
    """Return a warning where grids clip more of the held-out values than they should.

    Input and output are left out: what they clip is what 8-bit images clip.
    """
    free = [one for one in tensors if not one.fixed]
    bad = [one for one in free if is_outside(one)]
    if not bad:
        return ()
    worst = min(bad, key=lambda one: one.coverage)
    text = (
        f"held-out values lie outside the grids of {len(bad)} of {len(free)} tensors; worst is "
        f"{worst.name}: {1 - worst.coverage:.2%} outside [{worst.grid_low:.4g}, "
        f"{worst.grid_high:.4g}], up to {worst.farthest:.0f} steps (calibration "
        f"{worst.saturation:.3%}); calibrate on images like those that will be upscaled"
    )
    return (text,)


def is_outside(tensor: TensorCoverage) -> bool:
    """Return whether held-out values leave the grid beyond the limit."""
    outside = 1.0 - tensor.coverage
    return outside > MAX_OUTSIDE and outside > _CLIPPED_TWICE * tensor.saturation


def dead_warnings(dead: Sequence[DeadChannel], channels: int) -> tuple[str, ...]:
    """Return warnings about channels that carry nothing.

    Args:
        dead: those channels.
        channels: number of output channels of all trained layers.
    """
    found = []
    if dead:
        weightless = sum(one.weightless for one in dead)
        found.append(
            f"{len(dead)} of {channels} channels are dead, one value on all calibration images "
            f"({_by_layer(dead)}; {weightless} with no weights); they cost time and carry nothing"
        )
    missed = [one for one in dead if one.alive_held_out]
    if missed:
        found.append(
            f"{len(missed)} of these change on held-out images ({_by_layer(missed)}): calibration "
            "missed what they see; add images"
        )
    return tuple(found)


def num_channels(ptq: PtqResult) -> int:
    """Return the number of output channels of all trained layers."""
    return sum(
        len(ptq.quantized.weights[name].bias) for name in trained_layers(ptq.quantized.graph)
    )


def _by_layer(dead: Sequence[DeadChannel]) -> str:
    counts = Counter(one.layer for one in dead)
    parts = []
    for layer, count in list(counts.items())[:_NAMED]:
        first = [str(one.channel) for one in dead if one.layer == layer][:_NAMED]
        more = ", ..." if count > _NAMED else ""
        parts.append(f"{layer}: channel{'' if count == 1 else 's'} {', '.join(first)}{more}")
    left = len(counts) - _NAMED
    return "; ".join([*parts, *([f"{left} more layers"] if left > 0 else [])])


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    kind = "tensor" if len(names) == 1 else "tensors"
    return f"{kind} {', '.join(names[:_NAMED])}{more}"
