"""A denoiser fed with images computes what it computes when they are joined."""

from dataclasses import replace

import pytest
import torch

from edgesr.errors import GraphError
from edgesr.graph.capture import capture
from edgesr.graph.execute import depth_to_space, execute, space_to_depth
from edgesr.graph.graph import Graph
from edgesr.graph.image_inputs import with_image_inputs
from edgesr.graph.ops import Relu, SpaceToDepth
from edgesr.graph.passes import lower
from edgesr.graph.shapes import infer_shapes
from edgesr.models.denoisers import build_denoiser
from edgesr.models.fold_timestep import FoldedDenoiser, fold_timestep


def folded(scale: int) -> tuple[FoldedDenoiser, Graph]:
    torch.manual_seed(scale)
    network = build_denoiser("resshift_px_s", scale)
    with torch.no_grad():
        network.get_parameter("core.head.weight").normal_(0.0, 0.02)
    found = fold_timestep(network, 1)
    channels = found.conditioning.channels
    return found, lower(capture(found.core, name="px", channels=channels))


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_network_of_images_equals_the_denoiser(scale: int) -> None:
    denoiser, graph = folded(scale)
    x, centre = (torch.randn(1, 3, 8 * scale, 12 * scale) for _ in range(2))
    lr = torch.randn(1, 3, 8, 12)
    images = [one.permute(0, 2, 3, 1) for one in (x, centre, lr)]
    found = execute(with_image_inputs(graph, scale), *images).permute(0, 3, 1, 2)
    with torch.no_grad():
        wanted = denoiser(x, lr, centre)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_only_two_moves_and_a_join_are_added() -> None:
    _, graph = folded(2)
    found = with_image_inputs(graph, 2)
    names = [type(op).__name__ for op in found.ops]
    assert names[:3] == ["SpaceToDepth", "SpaceToDepth", "Concatenation"]
    assert names[3:] == [type(op).__name__ for op in graph.ops]
    assert infer_shapes(found, 6, 8)["centre"] == (12, 16, 3)
    assert infer_shapes(found, 6, 8)["joined"] == (6, 8, 27)


def test_space_to_depth_undoes_depth_to_space() -> None:
    pixels = torch.randn(2, 3, 6, 9)
    packed = space_to_depth(pixels, 3)
    assert torch.equal(depth_to_space(packed, 3), pixels)
    # TFLite's order: channel (i * block + j) * c + colour
    assert torch.equal(packed[:, (1 * 3 + 2) * 3 + 1], pixels[:, 1, 1::3, 2::3])


def test_a_network_of_other_channels_is_refused() -> None:
    _, graph = folded(2)
    with pytest.raises(GraphError, match="has 27 channels, want 99"):
        with_image_inputs(graph, 4)


def test_a_network_that_begins_with_something_else_is_refused() -> None:
    _, graph = folded(2)
    source = graph.inputs[0].name
    relu = Relu(name="first", inputs=(source,), output="first")
    ops = (
        relu,
        *(
            replace(o, inputs=tuple("first" if i == source else i for i in o.inputs))
            for o in graph.ops
        ),
    )
    with pytest.raises(GraphError, match="layer first: Relu reads the joined images"):
        with_image_inputs(replace(graph, ops=ops), 2)


def test_a_side_that_does_not_divide_is_refused() -> None:
    _, graph = folded(2)
    odd = SpaceToDepth(name="odd", inputs=("x",), output="odd", block=5)
    with pytest.raises(GraphError, match="modulo 5"):
        infer_shapes(replace(with_image_inputs(graph, 2), ops=(odd,), outputs=("odd",)), 6, 8)
