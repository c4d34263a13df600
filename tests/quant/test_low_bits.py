"""Schemes below 8 bits: widths, rounding that is learned, training, and what stays 8 bits."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgesr.errors import DataError
from edgesr.graph.capture import capture
from edgesr.graph.execute import execute
from edgesr.graph.graph import Graph
from edgesr.graph.ops import Conv2D, is_selection
from edgesr.graph.passes import drop_clip, lower
from edgesr.models.abpn import ABPN
from edgesr.quant.calibrate import CalibrationBatch
from edgesr.quant.equalize import equalize
from edgesr.quant.ptq import quantize_graph
from edgesr.quant.qat import QatNetwork
from edgesr.quant.recipe import OURS, UNPROTECTED, PtqRecipe, default_recipe
from edgesr.quant.reconstruction import blocks_of
from edgesr.quant.scheme import GREY_LEVELS, SCHEMES, QuantizedGraph
from edgesr.quant.simulate import simulate
from edgesr.quant.widths import layer_bits, tensor_bits

Photo = Callable[..., NDArray[np.uint8]]
TRAINED = [name for name, scheme in SCHEMES.items() if scheme.activation_bits <= 8]
NARROW = [name for name, scheme in SCHEMES.items() if scheme.activation_bits < 8]


@pytest.fixture(scope="module")
def graph() -> Graph:
    torch.manual_seed(0)
    module = ABPN(2, width=8)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.ndim == 1:
                nn.init.uniform_(parameter, -3.0, 3.0)
        module.get_parameter("body.12.weight").mul_(20.0)
    graph = lower(capture(module.eval(), name="abpn"))
    return drop_clip(graph, low=0.0, high=255.0)


@pytest.fixture
def batch(photo: Photo) -> CalibrationBatch:
    crops = np.stack([photo(24, 24, seed) for seed in range(6)])
    return CalibrationBatch(inputs=torch.from_numpy(crops).float())


def output_error(quantized: QuantizedGraph, graph: Graph, batch: CalibrationBatch) -> float:
    codes = simulate(quantized, (batch.inputs - 128).to(torch.int8))
    wanted = execute(graph, batch.inputs)
    return float((codes.float() + 128 - wanted).square().mean())


@pytest.mark.parametrize("name", NARROW)
def test_codes_between_the_layers_fit_their_width(
    name: str, graph: Graph, batch: CalibrationBatch
) -> None:
    scheme = SCHEMES[name]
    quantized = quantize_graph(graph, [batch], default_recipe(scheme)).quantized
    bits = tensor_bits(quantized.graph, scheme)
    seen: dict[str, tuple[float, float]] = {}

    def observe(tensor: str, codes: Tensor) -> None:
        seen[tensor] = (float(codes.min()), float(codes.max()))

    simulate(quantized, (batch.inputs - 128).to(torch.int8), observe=observe)
    narrow = [tensor for tensor in seen if bits[tensor] < 8]
    assert len(narrow) >= 6
    for tensor in narrow:
        end = 2 ** (scheme.activation_bits - 1)
        assert -end <= seen[tensor][0] <= seen[tensor][1] < end
    assert quantized.scheme == name
    assert scheme.label.endswith("(simulated)")


def test_images_the_residual_and_the_outer_layers_keep_8_bits(graph: Graph) -> None:
    scheme = SCHEMES["wi4_ai4"]
    tensors, layers = tensor_bits(graph, scheme), layer_bits(graph, scheme)
    assert {tensors[spec.name] for spec in graph.inputs} == {8}
    assert tensors[graph.outputs[0]] == 8
    trained = [op for op in graph.ops if isinstance(op, Conv2D) and not is_selection(op)]
    inner = [4] * (len(trained) - 2)
    assert [layers[op.name] for op in trained] == [8, *inner, 8]
    assert [tensors[op.output] for op in trained] == [4, *inner, 8]


@pytest.mark.parametrize("rounding", ["gptq", "adaround", "block"])
def test_weights_of_4_bits_that_are_fitted_beat_the_nearest_ones(
    rounding: str, graph: Graph, batch: CalibrationBatch
) -> None:
    recipe = PtqRecipe(scheme=SCHEMES["wi4_ai8"], rounding="nearest", iterations=100)
    errors = {}
    for name in ("nearest", rounding):
        chosen = replace(recipe, rounding=name)  # type: ignore[arg-type]
        errors[name] = output_error(quantize_graph(graph, [batch], chosen).quantized, graph, batch)
    assert errors[rounding] < 0.9 * errors["nearest"]


def test_learned_rounding_takes_one_of_the_two_codes_next_to_the_weight(
    graph: Graph, batch: CalibrationBatch
) -> None:
    recipe = PtqRecipe(scheme=SCHEMES["wi4_ai8"], rounding="adaround", iterations=30)
    quantized = quantize_graph(graph, [batch], recipe).quantized
    moved = 0
    for op in quantized.graph.ops:
        if isinstance(op, Conv2D) and not is_selection(op):
            found = quantized.weights[op.name]
            real = op.weight.astype(np.float64) / found.scales[:, None, None, None]
            end = 2 ** (found.bits - 1) - 1
            real = real.clip(-end, end)
            assert (np.abs(found.values - real) < 1.0 + 1e-6).all()
            moved += int((found.values != np.rint(real)).sum())
    assert moved > 0


@pytest.mark.parametrize("layers", [1, 3])
def test_blocks_hold_every_operation_once_and_in_order(layers: int, graph: Graph) -> None:
    blocks = blocks_of(graph, layers=layers)
    assert [op.name for block in blocks for op in block.ops] == [op.name for op in graph.ops]
    assert all(len(block.layers) <= layers for block in blocks)
    assert blocks[-1].output == graph.outputs[0]


@pytest.mark.parametrize("name", TRAINED)
def test_training_starts_with_the_simulated_integers(
    name: str, graph: Graph, batch: CalibrationBatch
) -> None:
    quantized = quantize_graph(graph, [batch], default_recipe(SCHEMES[name])).quantized
    network = QatNetwork(quantized).eval()
    codes = simulate(quantized, (batch.inputs - 128).to(torch.int8)).permute(0, 3, 1, 2)
    assert torch.equal(network(batch.inputs.permute(0, 3, 1, 2)), codes.float() + 128)
    again = network.to_quantized()
    assert {key: grid.bits for key, grid in again.qparams.items()} == {
        key: grid.bits for key, grid in quantized.qparams.items()
    }


def test_equalization_leaves_the_network_as_it_was(graph: Graph, batch: CalibrationBatch) -> None:
    spread = []
    for one in (graph, equalized := equalize(graph, [batch])):
        ranges: dict[str, Tensor] = {}

        def observe(name: str, values: Tensor, ranges: dict[str, Tensor] = ranges) -> None:
            ranges[name] = values.amax(dim=(0, 2, 3))

        execute(one, batch.inputs, observe=observe)
        alive = ranges["body.6"][ranges["body.6"] > 0]
        spread.append(float(alive.max() / alive.min()))
    before, after = execute(graph, batch.inputs), execute(equalized, batch.inputs)
    assert float((before - after).abs().max()) < 1e-2
    assert spread[1] < 0.5 * spread[0]


def test_calibrated_ends_are_not_on_grey_levels(graph: Graph, batch: CalibrationBatch) -> None:
    found = quantize_graph(graph, [batch], UNPROTECTED).quantized
    assert found.qparams[graph.outputs[0]] != GREY_LEVELS
    ours = quantize_graph(graph, [batch], OURS).quantized
    assert output_error(ours, graph, batch) < 0.5 * unprotected_error(found, graph, batch)


def unprotected_error(quantized: QuantizedGraph, graph: Graph, batch: CalibrationBatch) -> float:
    source, target = quantized.qparams["lr"], quantized.qparams[quantized.graph.outputs[0]]
    codes = (batch.inputs / float(source.scale)).round() + source.zero_point
    found = simulate(quantized, codes.clamp(-128, 127).to(torch.int8)).double()
    real = ((found - target.zero_point) * float(target.scale)).clamp(0, 255).round()
    return float((real - execute(graph, batch.inputs)).square().mean())


@pytest.mark.parametrize(
    "choice", [{"observer": "best"}, {"rounding": "up"}, {"bias_correction": "some"}]
)
def test_a_choice_that_does_not_exist_is_named_with_those_that_do(choice: dict[str, str]) -> None:
    with pytest.raises(DataError, match="choose one of"):
        PtqRecipe(**choice)  # type: ignore[arg-type]


def test_16_bit_activations_are_sent_to_their_own_quantization() -> None:
    with pytest.raises(DataError, match="quantize_graph_int16"):
        PtqRecipe(scheme=SCHEMES["wi8_ai16"])
