"""Run a float graph over calibration images and find the grid of every tensor."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

from edgesr.errors import DataError
from edgesr.graph.execute import execute
from edgesr.graph.graph import Graph
from edgesr.quant.observers import OBSERVERS, Observer
from edgesr.quant.scheme import BITS, QParams

_EIGHT: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True, eq=False)
class CalibrationBatch:
    """Images to calibrate with.

    Attributes:
        inputs: float32 ``(n, h, w, c)`` in the network's range.
        timestep: diffusion step that the batch was fed at, or None for a plain network.
    """

    inputs: Tensor
    timestep: int | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Calibration:
    """What calibration found.

    Attributes:
        observer: name of the estimator.
        count: number of images.
        qparams: best grid by tensor name.
        observers: what was seen, by tensor name.
    """

    observer: str
    count: int
    qparams: Mapping[str, QParams]
    observers: Mapping[str, Observer]

    def saturation(self, qparams: Mapping[str, QParams]) -> dict[str, float]:
        """Return the share of values, 0 to 1, that lie outside the grids ``qparams``, by tensor."""
        return {
            name: seen.histogram.saturation(qparams[name]) for name, seen in self.observers.items()
        }


def calibrate(
    graph: Graph,
    batches: Iterable[CalibrationBatch],
    *,
    observer: str = "histogram_mse",
    bits: Mapping[str, int] = _EIGHT,
) -> Calibration:
    """Observe every tensor of a lowered graph.

    Args:
        graph: network in float32.
        batches: images.
        observer: estimator of ranges, a key of ``OBSERVERS``.
        bits: width of the codes by tensor, where it is not 8.

    Raises:
        DataError: there is no batch, or no such observer.
        GraphError: a tensor takes a value that is NaN or infinite.
    """
    if observer not in OBSERVERS:
        raise DataError(f"observer {observer!r} is unknown; choose one of {', '.join(OBSERVERS)}")
    seen: dict[str, Observer] = {}
    count = 0

    def observe(name: str, values: Tensor) -> None:
        seen.setdefault(name, OBSERVERS[observer]()).update(values)

    for batch in batches:
        count += len(batch.inputs)
        execute(graph, batch.inputs.to(torch.float32), observe=observe)
    if not count:
        raise DataError("calibration got no image; name a folder with training images")
    qparams = {name: one.qparams(bits.get(name, BITS)) for name, one in seen.items()}
    return Calibration(observer=observer, count=count, qparams=qparams, observers=seen)


def some_of(batches: Sequence[CalibrationBatch], pixels: int) -> CalibrationBatch:
    """Take images of the first one's size, spread evenly, about as many pixels as asked for."""
    size = batches[0].inputs.shape[1:]
    found = torch.cat([batch.inputs for batch in batches if batch.inputs.shape[1:] == size])
    count = min(len(found), max(1, pixels // size[:2].numel()))
    return CalibrationBatch(inputs=found[torch.arange(count) * len(found) // count])
