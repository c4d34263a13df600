import numpy as np
import pytest

from edgesr.errors import GraphError
from edgesr.graph.graph import Graph, TensorSpec
from edgesr.graph.ops import Relu
from edgesr.quant.scheme import QParams
from edgesr.quant.step_dead import refuse_dead


def grid(scale: float) -> QParams:
    return QParams(scale=np.float32(scale), zero_point=-128)


def test_a_layer_that_is_always_zero_is_named_with_its_timesteps() -> None:
    relu = Relu(name="stem", inputs=("x",), output="y")
    graph = Graph(
        name="px", inputs=(TensorSpec(name="x", channels=3),), outputs=("y",), ops=(relu,)
    )
    refuse_dead(graph, {4: {"x": grid(0.1), "y": grid(1e-3)}})
    with pytest.raises(GraphError, match=r"px: 1 of 1 operations give 0 .*: stem \(timestep 2\)"):
        refuse_dead(graph, {4: {"y": grid(1e-3)}, 2: {"y": grid(3.9e-9)}})
