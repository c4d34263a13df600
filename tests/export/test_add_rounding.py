"""ADD of int8 on scales where one rounding of the operands differs from two."""

import numpy as np
import pytest
import torch

from edgesr.export.op_check import FAMILIES
from edgesr.export.tflite import write_int8
from edgesr.graph.graph import Graph, TensorSpec
from edgesr.graph.ops import Add
from edgesr.litert import Kernels, run_once
from edgesr.quant.scheme import QParams, QuantizedGraph
from edgesr.quant.simulate import simulate

GRIDS = {
    "a": QParams(scale=np.float32(0.00256587), zero_point=-10),
    "b": QParams(scale=np.float32(0.00088465074), zero_point=7),
    "y": QParams(scale=np.float32(0.0027037377), zero_point=-7),
}
"""Of a denoiser's skip: -92 + 118 is 6e-7 steps from a half."""


@pytest.mark.parametrize("kernels", FAMILIES)
@pytest.mark.parametrize("count", [1, 15, 16, 17, 40])
def test_a_sum_next_to_a_half_equals_litert_in_vectors_and_in_what_is_left(
    *, count: int, kernels: Kernels
) -> None:
    op = Add(name="layer", inputs=("a", "b"), output="y")
    specs = tuple(TensorSpec(name=name, channels=1) for name in op.inputs)
    graph = Graph(name="op", inputs=specs, outputs=("y",), ops=(op,))
    quantized = QuantizedGraph(graph=graph, qparams=GRIDS, weights={})
    inputs = tuple(np.full((1, 1, count, 1), code, np.int8) for code in (-92, 118))
    content = write_int8(quantized, shape=(1, count))
    found = run_once(content, inputs, kernels=kernels)
    wanted = simulate(quantized, *map(torch.from_numpy, inputs), kernels=kernels).numpy()
    np.testing.assert_array_equal(found, wanted)
    once = count // 16 * 16 if kernels == "builtin" else 0
    assert found.ravel().tolist() == [-49] * once + [-48] * (count - once)
