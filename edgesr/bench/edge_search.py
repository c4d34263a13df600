"""The measured search that sized the edge family: depth, width and anchor against INT8 time.

Every candidate is exported untrained as edgesr exports it, and timed in turn with NCNet's graph.
Time depends on shapes, not on weights. How well integers follow the fresh float network stands
beside it, for the anchors differ there. Run it as ``python -m edgesr.bench.edge_search``.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import cyclopts
import numpy as np
from numpy.typing import NDArray

from edgesr.bench.environment import environment
from edgesr.bench.runtime import Contender, open_work
from edgesr.bench.timing import Timing, interleave, quantile
from edgesr.errors import DataError
from edgesr.files import write_json

if TYPE_CHECKING:
    from torch import nn

SCHEMA = "edgesr/edge_search/1"
DEFAULT_OUTPUT = Path("benchmarks/results/edge_search.json")
SCALE = 3
REFERENCE = "ncnet"
BUDGETS: Mapping[str, float] = MappingProxyType({"edge_s": 0.45, "edge_m": 0.80, "edge_l": 1.20})
"""Largest time as a share of NCNet's."""

MIN_RECEPTIVE_FIELD = 11
"""That of the smallest published networks of this class which keep up: XLSR, PureConv, FSRCNN."""

_IMAGE_SIZE = 48
_SEED = 0
_OFFSET = 128
_PEAK = 255.0


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One network of the search.

    Attributes:
        width: channels of the features.
        depth: hidden layers between the first and the last.
        anchor: ``added``, as a 1x1 convolution and an ADD, or ``carried`` in three of the channels.
    """

    width: int
    depth: int
    anchor: Literal["added", "carried"] = "added"

    @property
    def name(self) -> str:
        """Such as ``32x3 added``."""
        return f"{self.width}x{self.depth} {self.anchor}"

    @property
    def receptive_field(self) -> int:
        """In low-resolution pixels."""
        return 2 * self.depth + 5

    def build(self) -> "nn.Module":
        """Return the network with fresh weights."""
        from edgesr.models.edge import EdgeNet
        from edgesr.models.pureconv import PureConv

        network = EdgeNet if self.anchor == "added" else PureConv
        return network(SCALE, width=self.width, depth=self.depth)


@dataclass(frozen=True, kw_only=True)
class Found:
    """What was measured of a candidate.

    Attributes:
        name: of the candidate.
        width: see ``Candidate``.
        depth: see ``Candidate``.
        anchor: see ``Candidate``.
        receptive_field: in low-resolution pixels.
        params: trainable parameters.
        macs_per_pixel: multiply-accumulates per low-resolution pixel.
        cpu_ms: median processor time of one image.
        ratio: median over repetitions of its processor time to NCNet's in the same one.
        ratio_quartiles: of the same.
        psnr_to_float: of the integers against the float network, both fresh, in dB.
    """

    name: str
    width: int
    depth: int
    anchor: str
    receptive_field: int
    params: int
    macs_per_pixel: int
    cpu_ms: float
    ratio: float
    ratio_quartiles: tuple[float, float]
    psnr_to_float: float


@dataclass(frozen=True, kw_only=True)
class Export:
    """An exported candidate.

    Attributes:
        content: the .tflite file.
        psnr_to_float: of its integers against the float network, in dB.
    """

    content: bytes
    psnr_to_float: float


_ADDED = {16: (5, 6, 7), 32: (1, 2, 3, 4, 5, 6, 7), 48: (2, 3), 64: (2,)}
_CARRIED = {16: (6,), 32: (3, 6)}
CANDIDATES = (
    *(Candidate(width=w, depth=d) for w, depths in _ADDED.items() for d in depths),
    *(
        Candidate(width=w, depth=d, anchor="carried")
        for w, depths in _CARRIED.items()
        for d in depths
    ),
)


def search(
    candidates: Sequence[Candidate], *, shape: tuple[int, int], repeats: int
) -> dict[str, Any]:
    """Time every candidate in turn with NCNet on one thread and choose the family.

    Args:
        candidates: what to time.
        shape: height and width of the low-resolution image.
        repeats: counted repetitions.

    Raises:
        DataError: fewer than one repetition.
    """
    if repeats < 1:
        raise DataError(f"repeats = {repeats}: want 1 or more")
    import torch

    from edgesr.models import build_model

    torch.manual_seed(_SEED)
    exports = {REFERENCE: export(build_model(REFERENCE, SCALE), shape)}
    exports |= {one.name: export(one.build(), shape) for one in candidates}
    works = {
        name: open_work(Contender(name=name, source=made.content, runtime="xnnpack"), shape)
        for name, made in exports.items()
    }
    timings = {one.name: one for one in interleave(works, repeats=repeats, warmup=1)}
    reference = timings[REFERENCE]
    found = [
        _found(one, timings[one.name], reference, exports[one.name].psnr_to_float)
        for one in candidates
    ]
    return {
        "schema": SCHEMA,
        "scale": SCALE,
        "shape": f"{shape[0]}x{shape[1]}",
        "threads": 1,
        "repeats": repeats,
        "environment": environment(),
        "reference": {
            "name": REFERENCE,
            "cpu_ms": round(statistics.median(reference.cpu_ms), 3),
        },
        "budgets": dict(BUDGETS),
        "min_receptive_field": MIN_RECEPTIVE_FIELD,
        "candidates": [asdict(one) for one in found],
        "chosen": {name: choose(found, budget) for name, budget in BUDGETS.items()},
    }


def choose(found: Sequence[Found], budget: float) -> str | None:
    """Return the candidate with most multiply-accumulates within ``budget``; None without one.

    Only those with an added anchor, whose channels are all free, and a receptive field of at least
    ``MIN_RECEPTIVE_FIELD`` take part.
    """
    able = [
        one
        for one in found
        if one.ratio <= budget
        and one.anchor == "added"
        and one.receptive_field >= MIN_RECEPTIVE_FIELD
    ]
    return max(able, key=lambda one: one.macs_per_pixel).name if able else None


def export(network: "nn.Module", shape: tuple[int, int]) -> Export:
    """Export an untrained network as edgesr does, for one input size, uint8 in and out."""
    import torch

    from edgesr.export.tflite import write_int8
    from edgesr.graph.capture import capture
    from edgesr.graph.execute import execute
    from edgesr.graph.passes import lower
    from edgesr.quant.calibrate import CalibrationBatch
    from edgesr.quant.ptq import quantize_graph
    from edgesr.quant.recipe import PtqRecipe
    from edgesr.quant.simulate import simulate

    levels = torch.from_numpy(_pictures())
    # time does not depend on the values, so nothing is spent on choosing them
    recipe = PtqRecipe(rounding="nearest", bias_correction="none", equalize=False)
    graph = lower(capture(network.eval(), name="candidate"))
    quantized = quantize_graph(graph, [CalibrationBatch(inputs=levels)], recipe).quantized
    found = simulate(quantized, (levels - _OFFSET).to(torch.int8)).double() + _OFFSET
    error = float((found - execute(graph, levels)).square().mean())
    return Export(
        content=write_int8(quantized, io="uint8", shape=shape),
        psnr_to_float=round(10 * math.log10(_PEAK**2 / error), 2),
    )


def _pictures() -> NDArray[np.float32]:
    """Return two pictures ``(2, h, w, 3)`` in [0, 255] with flat, smooth and busy parts."""
    random = np.random.default_rng(_SEED)
    y, x = np.arange(_IMAGE_SIZE)[:, None, None], np.arange(_IMAGE_SIZE)[None, :, None]
    waves = [np.sin(x / (3 + np.arange(3))) + np.cos(y / (4 + one)) for one in range(2)]
    noise = random.normal(0, 6, (2, _IMAGE_SIZE, _IMAGE_SIZE, 3))
    return np.clip(_OFFSET + 60 * np.stack(waves) + noise, 0, _PEAK).round().astype(np.float32)


def _found(candidate: Candidate, timing: Timing, reference: Timing, psnr_to_float: float) -> Found:
    ratios = [a / b for a, b in zip(timing.cpu_ms, reference.cpu_ms, strict=True)]
    network = candidate.build()
    weights = [p for p in network.parameters() if p.requires_grad]
    return Found(
        name=candidate.name,
        width=candidate.width,
        depth=candidate.depth,
        anchor=candidate.anchor,
        receptive_field=candidate.receptive_field,
        params=sum(p.numel() for p in weights),
        macs_per_pixel=sum(p.numel() for p in network.state_dict().values() if p.ndim > 1),
        cpu_ms=round(statistics.median(timing.cpu_ms), 3),
        ratio=round(statistics.median(ratios), 4),
        ratio_quartiles=(round(quantile(ratios, 0.25), 4), round(quantile(ratios, 0.75), 4)),
        psnr_to_float=psnr_to_float,
    )


def main(
    *, output: Path = DEFAULT_OUTPUT, height: int = 180, width: int = 320, repeats: int = 11
) -> None:
    """Measure the search and write it.

    Args:
        output: JSON file to write.
        height: of the low-resolution image.
        width: of the low-resolution image.
        repeats: counted repetitions.
    """
    document = search(CANDIDATES, shape=(height, width), repeats=repeats)
    write_json(output, document)
    for one in sorted(document["candidates"], key=lambda one: float(one["ratio"])):
        print(
            f"{one['name']:<14} {one['ratio']:.3f} {one['params']:>7,} {one['psnr_to_float']:.1f}"
        )
    for name, chosen in document["chosen"].items():
        print(f"{name}: {chosen or 'none within the budget'}")


if __name__ == "__main__":
    cyclopts.run(main)
