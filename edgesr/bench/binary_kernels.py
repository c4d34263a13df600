"""Time of packed one-bit convolutions against float32 and int8 ones, taking turns.

Float32 is torch's (oneDNN), in channels_last order; int8 is a file of one convolution that edgesr
wrote, on LiteRT's XNNPACK kernels, its inputs already set. A one-bit convolution turns packed bits
into whole numbers; a block turns float32 into float32: signs, convolution, factor, RPReLU and sum.
Run it as ``python -m edgesr.bench.binary_kernels``.
"""

import os
import statistics
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cyclopts
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from edgesr.bench.binary_page import MARKS, binary_section
from edgesr.bench.diffusion_page import with_section
from edgesr.bench.environment import environment
from edgesr.bench.results import read_document
from edgesr.bench.timing import Timing, Work, interleave
from edgesr.bench.verdict import paired_ratio
from edgesr.binary.conv import BinaryConv2d
from edgesr.binary.packed import PackedConv2d, parts_of
from edgesr.binary.packed_kernel import PackedJob, available_kernels
from edgesr.binary.style import find_style
from edgesr.export.op_cases import grid, near, sum_scale, weight_of
from edgesr.export.tflite import write_int8
from edgesr.files import write_json, write_text
from edgesr.graph.graph import Graph, TensorSpec
from edgesr.graph.ops import Conv2D
from edgesr.litert import open_interpreter, version
from edgesr.models.bidiffsr import bidiffsr
from edgesr.models.denoiser import Denoiser
from edgesr.quant.scheme import QuantizedGraph
from edgesr.upscalers.packed import binary_layers

SCHEMA = "edgesr/binary-kernels/1"
DEFAULT_OUTPUT = Path("benchmarks/results/binary_kernels.json")
FLOAT, FLOAT_BLOCK, INT8 = "float32 convolution", "float32 block", "int8 convolution"
BLOCK, PACK = "1-bit block", "1-bit packing"
SIZES = ((64, 128), (128, 64), (256, 32), (64, 256))
_SIDE, _SEED = 3, 0
_SLOW = ("portable", "numpy")


def layer_works(channels: int, size: int) -> dict[str, Work]:
    """Return the contenders for one 3x3 convolution of ``channels`` on ``size x size`` pixels."""
    generator = torch.Generator().manual_seed(_SEED)
    image = torch.randn(1, channels, size, size, generator=generator)
    image = image.contiguous(memory_format=torch.channels_last)
    weight = torch.randn(channels, channels, _SIDE, _SIDE, generator=generator)
    weight = weight.contiguous(memory_format=torch.channels_last)
    slope = torch.full((channels,), 0.25)

    def convolve() -> Tensor:
        with torch.inference_mode():
            return functional.conv2d(image, weight, padding=1)

    def block() -> Tensor:
        with torch.inference_mode():
            return functional.prelu(functional.conv2d(image, weight, padding=1), slope) + image

    works: dict[str, Work] = {FLOAT: convolve, INT8: _int8(channels, size), FLOAT_BLOCK: block}
    pixels = image[0].permute(1, 2, 0).contiguous().numpy()
    conv = BinaryConv2d(channels, style=find_style("bbcu"))
    for kernel in (name for name in available_kernels() if name not in _SLOW):
        layer = PackedConv2d(parts_of(conv), kernel=kernel)
        sums = np.empty(pixels.shape, np.int32)
        made = np.empty(pixels.shape, np.float32)
        parts = (layer.weights, pixels, layer.tables[0])
        counting = PackedJob(*parts, rows=range(size), sums=sums)
        counting.pack()
        whole = PackedJob(*parts, rows=range(size), made=made)
        works[f"1-bit convolution, {kernel}"] = counting.convolve
        works[f"{PACK}, {kernel}"] = counting.pack
        works[f"{BLOCK}, {kernel}"] = whole
    return works


def measure_layers(sizes: Sequence[tuple[int, int]], repeats: int) -> list[dict[str, Any]]:
    """Return times of every contender for every ``(channels, side of the image)``, one thread."""
    torch.set_num_threads(1)
    rows = []
    for channels, size in sizes:
        timings = interleave(layer_works(channels, size), repeats=repeats)
        macs = _SIDE**2 * channels**2 * size**2
        rows.append({"channels": channels, "size": size, "macs": macs, **_figures(timings)})
    return rows


def measure_threads(counts: Sequence[int], repeats: int) -> list[dict[str, Any]]:
    """Return times of a float and of a packed layer of the first size by number of threads."""
    channels, size = SIZES[0]
    image = torch.randn(1, channels, size, size).contiguous(memory_format=torch.channels_last)
    weight = torch.randn(channels, channels, _SIDE, _SIDE)
    packed = PackedConv2d(parts_of(BinaryConv2d(channels, style=find_style("bbcu"))))

    def run(layer: nn.Module | None, threads: int) -> Work:
        def work() -> Tensor:
            torch.set_num_threads(threads)
            with torch.inference_mode():
                made: Tensor = (
                    functional.conv2d(image, weight, padding=1) if layer is None else layer(image)
                )
            return made

        return work

    works = {}
    for count in counts:
        works[f"{FLOAT}, {count}"] = run(None, count)
        works[f"{BLOCK}, {count}"] = run(packed, count)
    rows = [_row(timing) for timing in interleave(works, repeats=repeats)]
    torch.set_num_threads(1)
    return rows


def measure_network(side: int, repeats: int) -> dict[str, Any]:
    """Return the time of one step of BI-DiffSR, as published, against its float twin."""
    torch.set_num_threads(1)
    network = bidiffsr(4).eval()
    works: dict[str, Work] = {"packed": _step(_swapped(network, is_packed=True), side)}
    works["float32 twin"] = _step(_swapped(bidiffsr(4).eval(), is_packed=False), side)
    timings = interleave(works, repeats=repeats, warmup=1)
    return {"side": side, **_figures(timings, against="float32 twin")}


@contextmanager
def _one_core() -> Iterator[None]:
    """Stay on the last core that this process may use, where the system can do that."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def _swapped(network: Denoiser, *, is_packed: bool) -> Denoiser:
    """Put packed or float convolutions where the ones of one bit are."""
    for name, conv in binary_layers(network).items():
        parent, _, last = name.rpartition(".")
        made = PackedConv2d(parts_of(conv)) if is_packed else _Twin(conv)
        setattr(network.get_submodule(parent), last, made)
    module: nn.Module = network
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


class _Twin(nn.Module):
    """A float convolution that is called as one of one bit."""

    def __init__(self, conv: BinaryConv2d) -> None:
        super().__init__()
        self.conv = nn.Conv2d(conv.channels, conv.channels, conv.size, padding=conv.size // 2)

    def forward(self, features: Tensor, group: Tensor | None = None) -> Tensor:
        del group
        made: Tensor = self.conv(features)
        return made


def _step(network: Denoiser, side: int) -> Work:
    generator = torch.Generator().manual_seed(_SEED)
    noisy = torch.randn(1, 3, side, side, generator=generator)
    lr = torch.rand(1, 3, side // 4, side // 4, generator=generator)

    def work() -> Tensor:
        with torch.inference_mode():
            made: Tensor = network(noisy, torch.tensor([500]), lr)
        return made

    return work


def _int8(channels: int, size: int) -> Work:
    random = np.random.default_rng(_SEED)
    shape = (channels, _SIDE, _SIDE, channels)
    weight = weight_of(random, shape, channels)
    source = grid(random)
    target = near(random, sum_scale(source, weight, _SIDE**2 * channels))
    layer = Conv2D(
        name="layer",
        inputs=("x",),
        output="y",
        weight=np.zeros(shape, np.float32),
        bias=np.zeros(channels, np.float32),
        stride=(1, 1),
        padding="same",
        activation="none",
    )
    inputs = (TensorSpec(name="x", channels=channels),)
    graph = Graph(name="layer", inputs=inputs, outputs=("y",), ops=(layer,))
    quantized = QuantizedGraph(
        graph=graph, qparams={"x": source, "y": target}, weights={"layer": weight}
    )
    interpreter = open_interpreter(write_int8(quantized, shape=(size, size)), kernels="xnnpack")
    interpreter.allocate_tensors()
    codes = random.integers(-128, 128, (1, size, size, channels), np.int8)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], codes)
    work: Work = interpreter.invoke
    return work


def _figures(timings: Sequence[Timing], against: str | None = None) -> dict[str, Any]:
    """Return rows, and by how much each is faster in processor time than the references."""
    found = {timing.name: timing for timing in timings}
    rows = []
    for timing in timings:
        row = _row(timing)
        for key, name in _measures(against):
            if name in found:
                ratio = paired_ratio(found[name].cpu_ms, timing.cpu_ms)
                row[f"times_{key}"] = [round(x, 2) for x in (ratio.median, ratio.low, ratio.high)]
        rows.append(row)
    return {"timings": rows}


def _measures(against: str | None) -> tuple[tuple[str, str], ...]:
    return (("float32", against or FLOAT), ("block", FLOAT_BLOCK), ("int8", INT8))


def _row(timing: Timing) -> dict[str, Any]:
    return {
        "name": timing.name,
        "median_cpu_ms": statistics.median(timing.cpu_ms),
        "median_ms": timing.median_ms,
        "min_ms": timing.min_ms,
        "cpu_ms": [round(value, 4) for value in timing.cpu_ms],
        "wall_ms": [round(value, 4) for value in timing.wall_ms],
    }


def main(  # noqa: PLR0913 - one parameter a flag
    *,
    output: Path = DEFAULT_OUTPUT,
    docs: Path | None = None,
    repeats: int = 25,
    sizes: int = len(SIZES),
    threads: tuple[int, ...] = (1,),
    network: int = 0,
) -> None:
    """Measure, and write the results; or write a page of them.

    Args:
        output: results (JSON); with --docs they are read instead.
        docs: page (Markdown) to write the results into.
        repeats: counted repetitions.
        sizes: only the first so many sizes of layers.
        threads: numbers of threads to compare.
        network: repetitions of a step of BI-DiffSR for 256x256 pixels; 0 leaves it out.
    """
    if docs is not None:
        stored = read_document(output, {SCHEMA})
        page = docs.read_text(encoding="utf-8")
        write_text(docs, with_section(page, binary_section(stored), str(docs), marks=MARKS))
        return
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "environment": environment(),
        "litert": version(),
        "kernels": available_kernels(),
    }
    with _one_core():
        document["layers"] = measure_layers(SIZES[:sizes], repeats)
        document["network"] = measure_network(256, network) if network else None
    document["threads"] = measure_threads(threads, repeats) if len(threads) > 1 else []
    write_json(output, document)
    print(binary_section(document))


if __name__ == "__main__":
    cyclopts.run(main)
