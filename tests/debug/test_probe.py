"""Figures of the probe against direct computation, and planted damage."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from edgesr.debug.figures import Probe
from edgesr.debug.probe import num_runs, probe
from edgesr.debug.remedies import remedy
from edgesr.errors import DataError, GraphError
from edgesr.graph.execute import execute
from edgesr.graph.ops import Conv2D, Op
from edgesr.metrics import psnr
from edgesr.quant.affine import choose_qparams, dequantize, quantize
from edgesr.quant.scheme import QParams, QuantizedGraph
from edgesr.quant.simulate import simulate

Images = list[NDArray[np.uint8]]
Damage = Callable[[QuantizedGraph, str], QuantizedGraph]
Regrid = Callable[[QuantizedGraph, str, QParams], QuantizedGraph]
KINDS = ("tighter_range", "wider_range", "bias_correction", "weights")


@pytest.fixture(scope="module")
def found(small: QuantizedGraph, images: Images) -> Probe:
    return probe(small, images).probe


def floats(graph: QuantizedGraph, lr: NDArray[np.uint8]) -> dict[str, NDArray[np.float64]]:
    values: dict[str, NDArray[np.float64]] = {}
    execute(
        graph.graph,
        torch.from_numpy(lr).float()[None],
        observe=lambda name, value: values.update({name: value.double().numpy()}),
    )
    return values


@pytest.mark.parametrize(
    ("kind", "layer"),
    [
        *((kind, layer) for kind in KINDS for layer in ("head", "mix", "skip")),
        # the last convolution writes grey levels, whose grid is fixed
        ("bias_correction", "tail"),
        ("weights", "tail"),
    ],
)
def test_a_damaged_layer_is_ranked_first_and_its_remedy_named(
    kind: str, layer: str, small: QuantizedGraph, images: Images, damage: dict[str, Damage]
) -> None:
    graph = damage[kind](small, layer)
    first = probe(graph, images[:2]).probe.suspects[0]
    assert layer in first.layers
    assert first.kind == ("tensor" if kind.endswith("range") else "weights")
    assert remedy(first).kind == kind
    assert first.gain_db > 3


@pytest.mark.parametrize("kind", KINDS)
def test_damage_to_the_shipped_network_is_found(
    kind: str, shipped: QuantizedGraph, photographs: Images, damage: dict[str, Damage]
) -> None:
    first = probe(damage[kind](shipped, "body.6"), photographs).probe.suspects[0]
    assert first.layers == ("body.6",)
    assert remedy(first).kind == kind


def test_in_the_undamaged_shipped_network_nothing_costs_as_much(
    shipped: QuantizedGraph, photographs: Images
) -> None:
    gains = [one.gain_db for one in probe(shipped, photographs).probe.suspects]
    assert max(gains) < 3
    assert min(gains) > -0.5


def test_branches_on_one_grid_are_one_suspect(
    small: QuantizedGraph, images: Images, damage: dict[str, Damage]
) -> None:
    first = probe(damage["tighter_range"](small, "left"), images[:2]).probe.suspects[0]
    assert set(first.layers) == {"left", "right"}
    assert remedy(first).kind == "tighter_range"


def test_totals_are_those_of_simulation_and_float_network(
    small: QuantizedGraph, images: Images, found: Probe
) -> None:
    codes = (torch.from_numpy(np.stack(images)).float() - 128).to(torch.int8)
    int8 = simulate(small, codes).numpy().astype(np.float64) + 128
    wanted = np.stack(
        [execute(small.graph, torch.from_numpy(lr).float()[None])[0].numpy() for lr in images]
    )
    wanted = wanted.clip(0, 255).astype(np.float64)
    assert found.totals.psnr == pytest.approx(psnr(int8, wanted), abs=1e-3)
    assert found.totals.psnr_ceiling == pytest.approx(psnr(np.rint(wanted), wanted), abs=1e-3)
    bias = (int8 - wanted).mean(axis=(0, 1, 2))
    assert found.totals.colour_bias == pytest.approx(tuple(bias), abs=1e-4)
    assert found.totals.max_error == pytest.approx(np.abs(int8 - wanted).max(), abs=1e-3)
    assert found.totals.values == int8.size


def test_local_figures_are_those_of_rounding_float_values(
    small: QuantizedGraph, images: Images, regrid: Regrid
) -> None:
    old = small.qparams["mix"]
    graph = regrid(small, "mix", choose_qparams(old.low, 0.6 * old.high))
    grid = graph.qparams["mix"]
    tensor = next(one for one in probe(graph, images).probe.tensors if one.name == "mix")
    values = np.concatenate([floats(graph, lr)["mix"] for lr in images])
    error = np.square(dequantize(quantize(values, grid), grid) - values)
    outside = (values > grid.high + grid.scale / 2) | (values < grid.low - grid.scale / 2)
    assert tensor.sqnr_db == pytest.approx(
        10 * np.log10(np.square(values).sum() / error.sum()), abs=1e-3
    )
    assert tensor.saturated == pytest.approx(outside.mean(), abs=1e-4)
    assert tensor.clipped == pytest.approx(error[outside].sum() / error.sum(), abs=1e-3)
    assert (tensor.low, tensor.high) == pytest.approx((values.min(), values.max()))
    assert tensor.grid_high == pytest.approx(grid.high)
    assert tensor.bits == 8
    assert tensor.used == pytest.approx(1.0, abs=0.02)


def test_a_better_range_and_a_corrected_bias_are_tried_and_not_guessed(
    small: QuantizedGraph, images: Images, damage: dict[str, Damage]
) -> None:
    wide = probe(damage["tighter_range"](small, "mix"), images[:2]).probe.suspects[0]
    assert wide.range_trial is not None
    assert wide.range_trial.gain_db > 0.8 * wide.gain_db
    assert wide.range_trial.high < wide.high / 6
    shifted = probe(damage["bias_correction"](small, "mix"), images[:2]).probe.suspects[0]
    assert shifted.bias_trial is not None
    assert shifted.bias_trial.gain_db > 0.8 * shifted.gain_db


def test_the_mean_error_of_a_shifted_channel_is_its_shift(
    small: QuantizedGraph, images: Images, damage: dict[str, Damage], found: Probe
) -> None:
    graph = damage["bias_correction"](small, "head")
    op = next(op for op in small.graph.ops if op.name == "head")
    step = float(small.qparams["lr"].scale) * float(small.weights["head"].scales[1])
    shift = step * (int(graph.weights["head"].bias[1]) - int(small.weights["head"].bias[1]))
    before = next(one for one in found.layers if one.name == op.name)
    after = next(one for one in probe(graph, images).probe.layers if one.name == op.name)
    assert after.mean_error[1] - before.mean_error[1] == pytest.approx(shift, rel=1e-5)
    assert after.mean_error[0] == pytest.approx(before.mean_error[0])


def test_the_output_is_listed_last_and_needs_no_remedy(found: Probe) -> None:
    fixed = [one for one in found.suspects if one.fixed]
    assert found.suspects[-len(fixed) :] == tuple(fixed)
    assert {remedy(one).kind for one in fixed} == {"none"}
    gains = [one.gain_db for one in found.suspects if not one.fixed]
    assert gains == sorted(gains, reverse=True)


def test_what_rounding_leaves_alone_gains_nothing(shipped: QuantizedGraph, images: Images) -> None:
    found = probe(shipped, images[:1]).probe
    anchor = [one for one in found.suspects if one.name in {"anchor", "lr"}]
    assert len(anchor) == 3
    assert [one.gain_db for one in anchor] == [0.0] * 3
    assert [one.sqnr_db for one in anchor] == [np.inf] * 3


def test_dead_channels_are_counted(small: QuantizedGraph, images: Images) -> None:
    old = small.weights["mix"]
    bias = old.bias.copy()
    bias[2:5] = -(2**28)
    graph = replace(small, weights={**small.weights, "mix": replace(old, bias=bias)})
    layer = next(one for one in probe(graph, images[:1]).probe.layers if one.name == "mix")
    assert (layer.dead, layer.dead_float) == (layer.dead_float + 3, layer.dead_float)


def test_a_narrow_tensor_asks_for_8_bits(
    small: QuantizedGraph, images: Images, regrid: Regrid
) -> None:
    old = small.qparams["mix"]
    graph = regrid(small, "mix", choose_qparams(old.low, old.high, bits=4))
    first = probe(graph, images[:2]).probe.suspects[0]
    assert (first.layers, first.bits) == (("mix",), 4)
    assert remedy(first).kind == "more_bits"
    assert remedy(first).text.startswith("8 bits for this tensor")


def test_progress_never_exceeds_what_was_promised(small: QuantizedGraph, images: Images) -> None:
    ticks: list[None] = []
    probe(small, images[:2], tick=lambda: ticks.append(None))
    assert num_runs(small, 2) / 2 <= len(ticks) <= num_runs(small, 2)


def test_no_images_are_refused(small: QuantizedGraph) -> None:
    with pytest.raises(DataError, match="no image to debug with"):
        probe(small, [])


def test_a_tensor_with_nan_is_named(small: QuantizedGraph, images: Images) -> None:
    def broken(op: Op) -> Op:
        if isinstance(op, Conv2D) and op.name == "mix":
            return replace(op, bias=np.full_like(op.bias, np.nan))
        return op

    ops = tuple(map(broken, small.graph.ops))
    graph = replace(small, graph=replace(small.graph, ops=ops))
    with pytest.raises(GraphError, match=r"tensor 'mix' \(layer mix\) takes NaN or infinity"):
        probe(graph, images)
