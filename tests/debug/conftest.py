"""A small network that behaves like a trained one, the shipped network, and damage to plant."""

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from edgesr.export.calibration import (
    ImageChoice,
    choose_images,
    held_out_pair,
)
from edgesr.export.read import read_model
from edgesr.graph.ops import Conv2D, DepthwiseConv2D
from edgesr.models.checkpoint import load_model
from edgesr.models.quantized import float_graph
from edgesr.quant.affine import choose_qparams
from edgesr.quant.calibrate import CalibrationBatch
from edgesr.quant.ptq import quantize_graph
from edgesr.quant.scheme import QParams, QuantizedGraph
from edgesr.zoo import DEFAULT, ZOO

Damage = Callable[[QuantizedGraph, str], QuantizedGraph]


class Small(nn.Module):
    """Two branches on one grid, a residual on a finer one, and ReLUs."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, 12, 3, padding=1)
        self.left = nn.Conv2d(12, 8, 3, padding=1)
        self.right = nn.Conv2d(12, 8, 1)
        self.mix = nn.Conv2d(16, 12, 3, padding=1)
        self.skip = nn.Conv2d(12, 12, 3, padding=1)
        self.tail = nn.Conv2d(12, 12, 3, padding=1)

    def forward(self, lr: Tensor) -> Tensor:
        first = functional.relu(self.head(lr))
        joined = torch.cat([self.left(first), self.right(first)], dim=1)
        mixed = functional.relu(self.mix(joined))
        total = functional.relu(self.skip(mixed) + mixed)
        return functional.pixel_shuffle(self.tail(total), 2).clamp(0, 255)


def pictures(size: int, count: int) -> list[NDArray[np.uint8]]:
    """Smooth and busy parts, as in the ``photo`` fixture."""
    made = []
    for seed in range(count):
        y, x = np.arange(size)[:, None, None], np.arange(size)[None, :, None]
        waves = np.sin(x / (3 + seed + np.arange(3))) + np.cos(y / (4 + seed))
        noise = np.random.default_rng(seed).normal(0, 6, (size, size, 3))
        made.append(np.clip(128 + 50 * waves + noise, 0, 255).astype(np.uint8))
    return made


def quantized(module: nn.Module) -> QuantizedGraph:
    batch = CalibrationBatch(inputs=torch.from_numpy(np.stack(pictures(48, 4))).float())
    return quantize_graph(float_graph(module, "net"), [batch]).quantized


@pytest.fixture(scope="session")
def small() -> QuantizedGraph:
    torch.manual_seed(0)
    module = Small().eval()
    with torch.no_grad():
        for layer in (module.left, module.right, module.mix, module.skip):
            layer.weight.mul_(1.5)
            nn.init.uniform_(layer.get_parameter("bias"), -8.0, 8.0)
        # the output shall fill the range of images without leaving it
        lr = torch.from_numpy(np.stack(pictures(32, 2))).permute(0, 3, 1, 2).float()
        first = functional.relu(module.head(lr))
        mixed = functional.relu(module.mix(torch.cat([module.left(first), module.right(first)], 1)))
        out = module.tail(functional.relu(module.skip(mixed) + mixed))
        gain = 40.0 / out.std(dim=(0, 2, 3))
        module.tail.weight.mul_(gain.view(-1, 1, 1, 1))
        bias = module.tail.get_parameter("bias")
        bias.copy_((bias - out.mean(dim=(0, 2, 3))) * gain + 128.0)
    return quantized(module)


@pytest.fixture(scope="session")
def choice() -> ImageChoice:
    """The photographs of scikit-image: made pictures hardly move the shipped network's layers."""
    return choose_images(ZOO[DEFAULT].weights, 3, calibration=None, held_out=None)


@pytest.fixture(scope="session")
def shipped() -> QuantizedGraph:
    """The integers of the shipped file on the float weights that they were made from."""
    graph = float_graph(load_model(ZOO[DEFAULT].weights).module, "net")
    file = read_model(ZOO[DEFAULT].tflite).quantized
    names = {
        theirs.output: ours.output
        for ours, theirs in zip(graph.ops, file.graph.ops, strict=True)
        if type(ours) is type(theirs)
    } | {file.graph.inputs[0].name: graph.inputs[0].name}
    layers = {
        theirs.name: ours.name for ours, theirs in zip(graph.ops, file.graph.ops, strict=True)
    }
    return QuantizedGraph(
        graph=graph,
        qparams={names[name]: grid for name, grid in file.qparams.items()},
        weights={layers[name]: weight for name, weight in file.weights.items()},
    )


@pytest.fixture(scope="session")
def photographs(choice: ImageChoice) -> list[NDArray[np.uint8]]:
    """Pieces of photographs that calibration did not see."""
    return [
        np.ascontiguousarray(held_out_pair(pair, 3)[0][40:96, 60:116]) for pair in choice.held_out
    ]


@pytest.fixture(scope="session")
def images() -> list[NDArray[np.uint8]]:
    """Three low-resolution images that calibration did not see."""
    return [np.ascontiguousarray(one[:40, ::-1]) for one in pictures(44, 6)[3:]]


class Regrid(Protocol):
    def __call__(self, graph: QuantizedGraph, tensor: str, grid: QParams) -> QuantizedGraph: ...


@pytest.fixture(scope="session")
def regrid() -> Regrid:
    """Put a tensor, and all on its grid, on another one; biases behind it keep their values."""
    from edgesr.quant.grids import shared_grids

    def moved(graph: QuantizedGraph, tensor: str, grid: QParams) -> QuantizedGraph:
        groups = shared_grids(graph.graph)
        members = [name for name, group in groups.items() if group == groups[tensor]]
        ratio = float(graph.qparams[tensor].scale) / float(grid.scale)
        weights = dict(graph.weights)
        for op in graph.graph.ops:
            if isinstance(op, (Conv2D, DepthwiseConv2D)) and op.inputs[0] in members:
                old = weights[op.name]
                bias = np.rint(old.bias * ratio).astype(np.int32)
                weights[op.name] = replace(old, bias=bias)
        grids = {**graph.qparams, **dict.fromkeys(members, grid)}
        return replace(graph, qparams=grids, weights=weights)

    return moved


@pytest.fixture(scope="session")
def damage(regrid: Regrid) -> dict[str, Damage]:
    """Damage by the remedy that fits it; each takes a graph and a convolution."""

    def ranged(factor: float) -> Damage:
        def damaged(graph: QuantizedGraph, layer: str) -> QuantizedGraph:
            tensor = next(op.output for op in graph.graph.ops if op.name == layer)
            old = graph.qparams[tensor]
            return regrid(graph, tensor, choose_qparams(old.low * factor, old.high * factor))

        return damaged

    def biased(graph: QuantizedGraph, layer: str) -> QuantizedGraph:
        op = next(op for op in graph.graph.ops if op.name == layer)
        old, target = graph.weights[layer], graph.qparams[op.output]
        step = float(graph.qparams[op.inputs[0]].scale) * float(old.scales[1])
        bias = old.bias.copy()
        bias[1] += round(0.2 * (target.high - target.low) / step)
        return replace(graph, weights={**graph.weights, layer: replace(old, bias=bias)})

    def three_bits(graph: QuantizedGraph, layer: str) -> QuantizedGraph:
        old = graph.weights[layer]
        values = np.rint(np.rint(old.values / 127 * 3) / 3 * 127).astype(np.int8)
        return replace(graph, weights={**graph.weights, layer: replace(old, values=values)})

    return {
        "tighter_range": ranged(8.0),
        "wider_range": ranged(1 / 8),
        "bias_correction": biased,
        "weights": three_bits,
    }
