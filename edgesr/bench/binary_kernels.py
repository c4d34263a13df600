"""Time of packed one-bit convolutions against float32 and int8 ones, taking turns.

Float32 is torch's (oneDNN), in channels_last order; int8 is a file of one convolution that edgesr
wrote, on LiteRT's XNNPACK kernels, its inputs already set. A one-bit convolution turns packed bits
into whole numbers; a block turns float32 into float32: signs, convolution, factor, RPReLU and sum.
Run it as ``python -m edgesr.bench.binary_kernels``.
"""

import statistics
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Literal

import cyclopts
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from edgesr.bench.binary_page import MARKS, binary_section
from edgesr.bench.binary_threads import BLOCK, FLOAT, measure_threads
from edgesr.bench.diffusion_page import with_section
from edgesr.bench.environment import environment
from edgesr.bench.load import moment, one_core, other_cores
from edgesr.bench.results import read_document
from edgesr.bench.timing import Timing, Work, interleave
from edgesr.bench.verdict import paired_ratio
from edgesr.binary.conv import BinaryConv2d
from edgesr.binary.packed import PackedConv2d, parts_of
from edgesr.binary.packed_kernel import PackedJob, available_kernels
from edgesr.binary.style import find_style
from edgesr.errors import EdgesrError
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

SCHEMA = "edgesr/binary-kernels/2"
DEFAULT_OUTPUT = Path("benchmarks/results/binary_kernels.json")
FLOAT_BLOCK, INT8, PACK = "float32 block", "int8 convolution", "1-bit packing"
SIZES = ((64, 128), (128, 64), (256, 32), (64, 256))
_SIDE, _SEED = 3, 0
_SLOW = ("portable", "numpy")
Part = Literal["layers", "threads", "network"]


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


def measure_network(side: int, repeats: int) -> dict[str, Any]:
    """Return the time of one step of BI-DiffSR, as published, against its float twin."""
    torch.set_num_threads(1)
    network = bidiffsr(4).eval()
    works: dict[str, Work] = {"packed": _step(_swapped(network, is_packed=True), side)}
    works["float32 twin"] = _step(_swapped(bidiffsr(4).eval(), is_packed=False), side)
    timings = interleave(works, repeats=repeats, warmup=1)
    return {"side": side, **_figures(timings, against="float32 twin")}


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
    part: tuple[Part, ...] = (),
    repeats: int = 25,
    sizes: int = len(SIZES),
    threads: tuple[int, ...] = (1, 2),
    network: int = 5,
    loaded: bool = False,
) -> None:
    """Measure, and write the results; or write a page of them.

    Args:
        output: results (JSON), whose other parts are kept; with --docs they are read instead.
        docs: page (Markdown) to write the results into.
        part: what to measure, may be repeated: layers, threads, network. Default is all.
        repeats: counted repetitions of a layer; threads take four times as many.
        sizes: only the first so many sizes of layers.
        threads: numbers of threads to compare.
        network: repetitions of a step of BI-DiffSR for 256x256 pixels.
        loaded: compare threads even where other programs leave no core for each.
    """
    stored = read_document(output, {SCHEMA}) if docs or output.exists() else {}
    if docs is not None:
        page = docs.read_text(encoding="utf-8")
        write_text(docs, with_section(page, binary_section(stored), str(docs), marks=MARKS))
        return
    parts = dict(stored.get("parts", {}))
    measures: dict[Part, Callable[[], dict[str, Any]]] = {
        "threads": lambda: measure_threads(SIZES[:sizes], threads, 4 * repeats, loaded=loaded),
        "layers": lambda: {"rows": measure_layers(SIZES[:sizes], repeats)},
        "network": lambda: measure_network(256, network),
    }
    for name, measure in measures.items():
        if part and name not in part:
            continue
        about, began = environment(), moment()
        with nullcontext() if name == "threads" else one_core():
            found = measure()
        parts[name] = {
            "environment": about,
            "litert": version(),
            "kernels": available_kernels(),
            "other_cores": other_cores(began, moment()),
            **found,
        }
        write_json(output, {"schema": SCHEMA, "parts": parts})
    print(binary_section({"parts": parts}))


if __name__ == "__main__":
    try:
        cyclopts.run(main)
    except EdgesrError as error:
        sys.exit(f"error: {error}")
