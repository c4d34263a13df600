"""Graphs refuse to be wrong."""

import pytest
import torch

from edgesr.errors import GraphError
from edgesr.graph.capture import capture
from edgesr.graph.execute import depth_to_space
from edgesr.graph.graph import Graph, TensorSpec
from edgesr.graph.ops import Add, DepthToSpace, Relu
from edgesr.graph.passes import drop_clip, lower
from edgesr.graph.shapes import infer_shapes, upscaling_factor
from edgesr.models import build_model

LR = TensorSpec(name="lr", channels=3)


def test_a_tensor_must_be_made_before_it_is_read() -> None:
    relu = Relu(name="relu", inputs=("later",), output="sr")
    with pytest.raises(GraphError, match="layer relu reads tensor 'later' before"):
        Graph(name="net", inputs=(LR,), outputs=("sr",), ops=(relu,))


def test_a_tensor_is_made_once_and_a_layer_name_used_once() -> None:
    relu = Relu(name="relu", inputs=("lr",), output="a")
    with pytest.raises(GraphError, match="makes tensor 'a' a second time"):
        Graph(name="net", inputs=(LR,), outputs=("a",), ops=(relu, relu))
    other = Relu(name="relu", inputs=("a",), output="b")
    with pytest.raises(GraphError, match="layer name 'relu' is used twice"):
        Graph(name="net", inputs=(LR,), outputs=("b",), ops=(relu, other))


def test_an_output_must_be_made() -> None:
    with pytest.raises(GraphError, match="no layer makes the output 'sr'"):
        Graph(name="net", inputs=(LR,), outputs=("sr",), ops=())


def test_shapes_that_do_not_fit_are_refused() -> None:
    shuffled = DepthToSpace(name="shuffle", inputs=("lr",), output="sr", block=2)
    graph = Graph(name="net", inputs=(LR,), outputs=("sr",), ops=(shuffled,))
    with pytest.raises(GraphError, match="layer shuffle: channels modulo 4 3, want 0"):
        infer_shapes(graph, 8, 8)
    same = Relu(name="relu", inputs=("lr",), output="a")
    added = Add(name="add", inputs=("lr", "a"), output="sr")
    graph = Graph(name="net", inputs=(LR,), outputs=("sr",), ops=(same, added))
    assert infer_shapes(graph, 5, 7)["sr"] == (5, 7, 3)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_upscaling_factor_is_found_from_the_shapes(scale: int) -> None:
    assert upscaling_factor(lower(capture(build_model("abpn", scale), name="abpn"))) == scale


def test_depth_to_space_is_tensorflows_order() -> None:
    channels = torch.arange(12.0).reshape(1, 12, 1, 1)
    assert depth_to_space(channels, 2)[0, :, 0, 1].tolist() == [3.0, 4.0, 5.0]
    assert depth_to_space(channels, 2)[0, :, 1, 0].tolist() == [6.0, 7.0, 8.0]


def test_only_a_clip_at_the_ends_of_the_output_grid_is_dropped() -> None:
    graph = lower(capture(build_model("ncnet", 2), name="ncnet"))
    dropped = drop_clip(graph, low=0.0, high=255.0)
    assert len(dropped.ops) == len(graph.ops) - 1
    assert drop_clip(graph, low=0.0, high=300.0) == graph
