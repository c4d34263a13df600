"""Mixed precision of a network: what is tied, what is measured, what simulation and files do."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from edgesr.errors import DataError, GraphError
from edgesr.export.tflite import write_int8
from edgesr.graph.capture import capture
from edgesr.graph.graph import Graph, TensorSpec
from edgesr.graph.ops import Add, Concatenation, Conv2D
from edgesr.graph.passes import drop_clip, lower
from edgesr.models.ncnet import NCNet
from edgesr.quant.calibrate import CalibrationBatch
from edgesr.quant.grids import grey_ends
from edgesr.quant.mixed import (
    CANDIDATES,
    assigned_tensor_bits,
    assignment_of,
    choices,
    everywhere,
    from_text,
    refusal,
    slots,
    to_text,
)
from edgesr.quant.mixed_ptq import Prepared, prepare, quantize_assigned
from edgesr.quant.mixed_sensitivity import (
    Sensitivities,
    measure_sensitivities,
    measured_error,
)
from edgesr.quant.scheme import INT8, MIXED, SCHEMES, Scheme

Photo = Callable[..., NDArray[np.uint8]]
W4A8, W8A16, W6A6 = (SCHEMES[name] for name in ("wi4_ai8", "wi8_ai16", "wi6_ai6"))


@pytest.fixture(scope="module")
def graph() -> Graph:
    torch.manual_seed(0)
    module = NCNet(2, width=8)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.ndim == 1:
                nn.init.uniform_(parameter, -3.0, 3.0)
        # a residual of many grey levels, so that its layers cost more than rounding the output
        module.get_parameter("body.12.weight").mul_(60.0)
    return drop_clip(lower(capture(module.eval(), name="ncnet")), low=0.0, high=255.0)


@pytest.fixture(scope="module")
def prepared(graph: Graph) -> Prepared:
    random = np.random.default_rng(0)
    y, x = np.mgrid[0:24, 0:24]
    waves = 128 + 60 * np.sin(x / 3.0) + 40 * np.cos(y / 4.0)
    noise = random.normal(0, 8, (6, 24, 24, 3))
    crops = np.clip(waves[None, :, :, None] + noise, 0, 255).round()
    batch = CalibrationBatch(inputs=torch.from_numpy(crops).float())
    return prepare(
        {0: graph}, [batch], widths=(6, 16), ends=grey_ends(graph), observer="percentile"
    )


@pytest.fixture(scope="module")
def found(prepared: Prepared) -> Sensitivities:
    return measure_sensitivities(prepared, [SCHEMES[name] for name in CANDIDATES])


def joined() -> Graph:
    """A concatenation of two layers, read by two more."""

    def conv(name: str, source: str, channels: int) -> Conv2D:
        weight = np.full((4, 3, 3, channels), 0.1, np.float32)
        return Conv2D(
            name=name, inputs=(source,), output=name, weight=weight, bias=np.zeros(4, np.float32)
        )

    ops = (
        conv("a", "lr", 3),
        conv("b", "lr", 3),
        Concatenation(name="join", inputs=("a", "b"), output="join"),
        conv("c", "join", 8),
        conv("d", "join", 8),
        Add(name="sum", inputs=("c", "d"), output="sum"),
    )
    return Graph(
        name="joined", inputs=(TensorSpec(name="lr", channels=3),), outputs=("sum",), ops=ops
    )


def test_layers_that_read_one_grid_take_one_width() -> None:
    graph = joined()
    groups = {one.name: one.group for one in slots(graph)}
    assert groups["a"] is groups["b"] is None
    assert groups["c"] == groups["d"] is not None
    assignment = dict.fromkeys("abcd", INT8) | {"c": W6A6, "d": W6A6}
    bits = assigned_tensor_bits(graph, assignment)
    assert {name for name, width in bits.items() if width == 6} == {"a", "b", "join"}
    assert {bits[name] for name in ("lr", "c", "d", "sum")} == {8}
    with pytest.raises(GraphError, match="layers c and d read one grid with 6 and 8 bits"):
        assigned_tensor_bits(graph, {**assignment, "d": W4A8})


def test_macs_and_weights_are_those_of_arithmetic() -> None:
    first, *_, last = slots(joined())
    assert (first.weights, first.macs) == (4 * 9 * 3, 64 * 64 * 4 * 9 * 3)
    assert (last.weights, last.macs) == (4 * 9 * 8, 64 * 64 * 4 * 9 * 8)


def test_a_layer_on_an_image_takes_8_bit_activations_alone(graph: Graph) -> None:
    options = choices(graph)
    first, *others = slots(graph)
    assert [one.name for one in options[first.name]] == ["wi8_ai8", "wi4_ai8"]
    assert all(len(options[one.name]) == len(CANDIDATES) for one in others)
    with pytest.raises(DataError, match="reads an image, which has 8 bits; add one"):
        choices(graph, ["wi6_ai6"])
    with pytest.raises(DataError, match="want some of wi8_ai8"):
        choices(graph, ["wi2_ai2"])


def test_more_bits_never_cost_more(found: Sensitivities) -> None:
    for errors in found.weights.values():
        assert errors[8] < errors[6] < errors[4]
    for errors in found.tensors.values():
        assert errors[16] < errors[8] <= errors[6] * 1.05
    assert found.fixed > 0


@pytest.mark.parametrize("scheme", [INT8, W4A8, W6A6])
def test_the_sum_of_single_errors_predicts_the_whole(
    scheme: Scheme, graph: Graph, prepared: Prepared, found: Sensitivities
) -> None:
    assignment = everywhere(graph, scheme)
    quantized = quantize_assigned(prepared, assignment)
    ratio = measured_error(prepared, quantized) / found.predicted(graph, assignment)
    assert 0.5 < ratio < 2.0


def test_one_layer_alone_costs_what_was_measured_for_it(
    graph: Graph, prepared: Prepared, found: Sensitivities
) -> None:
    layer = slots(graph)[3]
    eight = dict.fromkeys((one.name for one in slots(graph)), INT8)
    narrow = {**eight, layer.name: W4A8}
    errors = [measured_error(prepared, quantize_assigned(prepared, one)) for one in (narrow, eight)]
    wanted = found.of(layer.name, layer.group, W4A8) - found.of(layer.name, layer.group, INT8)
    assert errors[0] - errors[1] == pytest.approx(wanted, rel=0.4)


def test_16_bit_tensors_are_simulated_beside_8_bit_ones(graph: Graph, prepared: Prepared) -> None:
    eight = everywhere(graph, INT8)
    wide = dict(eight)
    wide[slots(graph)[2].name] = W8A16
    quantized = quantize_assigned(prepared, wide)
    assert {one.bits for one in quantized[0].qparams.values()} == {8, 16}
    error = measured_error(prepared, quantized)
    assert error < 1.1 * measured_error(prepared, quantize_assigned(prepared, eight))


def test_all_8_bits_are_no_mixture_and_are_written(graph: Graph, prepared: Prepared) -> None:
    (eight,) = quantize_assigned(prepared, everywhere(graph, INT8))
    assert eight.scheme == "wi8_ai8"
    assert refusal(eight) is None
    assert len(write_int8(eight)) > 1000


def test_a_mixture_is_refused_with_the_layers_in_the_way(graph: Graph, prepared: Prepared) -> None:
    assignment = everywhere(graph, INT8)
    name = slots(graph)[2].name
    (mixed,) = quantize_assigned(prepared, {**assignment, name: W4A8})
    assert mixed.scheme == MIXED
    with pytest.raises(GraphError, match=f"simulated only: {name} W4A8; files have W8A8 in all"):
        write_int8(mixed)


def test_a_mixture_of_8_bits_alone_is_written(graph: Graph, prepared: Prepared) -> None:
    (eight,) = quantize_assigned(prepared, everywhere(graph, INT8))
    assert write_int8(replace(eight, scheme=MIXED)) == write_int8(eight)


def test_an_assignment_is_read_back_from_its_text(graph: Graph, prepared: Prepared) -> None:
    assignment = everywhere(graph, W4A8)
    (quantized,) = quantize_assigned(prepared, assignment)
    assert from_text(to_text(assignment_of(quantized)), graph) == assignment
    for text in ("", "[]", '{"body.0": "wi9"}', '{"body.0": "wi8_ai8"}'):
        with pytest.raises(GraphError, match="precisions"):
            from_text(text, graph)


def test_a_width_that_was_not_prepared_is_named(graph: Graph, prepared: Prepared) -> None:
    grids = tuple({8: one[8]} for one in prepared.grids)
    with pytest.raises(DataError, match="activations of 6 bits have no grids"):
        quantize_assigned(replace(prepared, grids=grids), everywhere(graph, W6A6))
