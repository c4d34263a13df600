"""A torch module becomes a graph that computes the same."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from edgesr.errors import GraphError
from edgesr.graph.capture import capture
from edgesr.graph.execute import execute
from edgesr.graph.graph import Graph
from edgesr.graph.ops import Add, Concatenation, Conv2D, DepthwiseConv2D, Pad
from edgesr.graph.passes import lower
from edgesr.models import build_model

TOLERANCE = 1e-4
SMALL = ("ncnet", "abpn", "xlsr", "quicksrnet_s", "etds_t")

Body = Callable[["Net", Tensor], Tensor]


class Net(nn.Module):
    """A network whose forward is given by the test."""

    def __init__(self, body: Body, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.body = body

    def forward(self, lr: Tensor) -> Tensor:
        return self.body(self, lr)


def assert_same(module: nn.Module, graph: Graph, *, size: tuple[int, int] = (17, 22)) -> None:
    images = torch.randint(0, 256, (2, *size, 3)).float()
    with torch.no_grad():
        wanted = module.eval()(images.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    found = execute(graph, images)
    assert found.shape == wanted.shape
    assert (found - wanted).abs().max() <= TOLERANCE * max(1.0, float(wanted.abs().max()))


def kinds(graph: Graph) -> list[str]:
    return [type(op).__name__ for op in graph.ops]


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_model_equals_its_graph_before_and_after_lowering(name: str, scale: int) -> None:
    torch.manual_seed(scale)
    module = build_model(name, scale)
    graph = capture(module, name=name)
    assert_same(module, graph)
    assert_same(module, lower(graph))


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_anchors_alone_are_nearest_neighbour_as_integers(scale: int) -> None:
    images = torch.randint(0, 256, (1, 9, 11, 3)).float()
    wanted = images.repeat_interleave(scale, dim=1).repeat_interleave(scale, dim=2)
    for name in ("ncnet", "abpn"):
        module = build_model(name, scale)
        nn.init.zeros_(module.get_parameter("body.12.weight"))
        assert torch.equal(execute(lower(capture(module, name=name)), images), wanted)


def test_layers_are_named_after_the_modules_that_hold_their_parameters() -> None:
    graph = lower(capture(build_model("ncnet", 3), name="ncnet"))
    assert [op.name for op in graph.ops if isinstance(op, Conv2D)] == [
        *(f"body.{index}" for index in range(0, 14, 2)),
        "anchor",
    ]


def test_abpn_has_no_gather_left() -> None:
    graph = lower(capture(build_model("abpn", 3), name="abpn"))
    assert kinds(graph) == [*["Conv2D"] * 7, "Concatenation", "Add", "Clip", "DepthToSpace"]
    concatenation = next(op for op in graph.ops if isinstance(op, Concatenation))
    assert concatenation.inputs == ("lr",) * 9


def test_repeated_channels_as_an_anchor_become_a_concatenation() -> None:
    def body(net: Net, lr: Tensor) -> Tensor:
        anchor = torch.repeat_interleave(lr, 9, dim=1)
        return functional.pixel_shuffle(net.layers[0](lr) + anchor, 3)

    module = Net(body, nn.Conv2d(3, 27, 3, padding=1))
    graph = lower(capture(module, name="net"))
    assert kinds(graph) == ["Conv2D", "Concatenation", "Add", "DepthToSpace"]
    assert_same(module, graph)


def test_a_grouped_convolution_becomes_a_dense_one_with_zeros_between_its_groups() -> None:
    module = Net(lambda net, lr: net.layers[0](lr), nn.Conv2d(3, 6, 3, padding=1, groups=3))
    graph = lower(capture(module, name="net"))
    (op,) = graph.ops
    assert isinstance(op, Conv2D)
    assert op.weight.shape == (6, 3, 3, 3)
    assert int((op.weight != 0).sum()) == 6 * 3 * 3
    assert_same(module, graph)


def test_batch_norm_and_mean_shift_fold_into_the_convolutions() -> None:
    def body(net: Net, lr: Tensor) -> Tensor:
        convolution, norm, head = net.layers
        return head(torch.relu(norm(convolution(lr * (1 / 255)))))  # type: ignore[no-any-return]

    module = Net(body, nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Conv2d(8, 3, 1))
    norm = module.layers[1]
    for values in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
        assert isinstance(values, Tensor)
        nn.init.uniform_(values, 0.5, 1.5)
    graph = lower(capture(module, name="net"))
    assert kinds(graph) == ["Conv2D", "Conv2D"]
    assert_same(module, graph)


def test_parallel_branches_merge_into_one_convolution() -> None:
    def body(net: Net, lr: Tensor) -> Tensor:
        wide, narrow = net.layers
        return torch.relu(wide(lr) + narrow(lr))

    module = Net(body, nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 1))
    graph = lower(capture(module, name="net"))
    assert kinds(graph) == ["Conv2D"]
    assert_same(module, graph)


def test_in_place_activations_and_relu6_are_fused() -> None:
    def body(net: Net, lr: Tensor) -> Tensor:
        first, activation, second = net.layers
        return second(activation(first(lr)))  # type: ignore[no-any-return]

    layers = (nn.Conv2d(3, 4, 3, padding=1), nn.ReLU6(inplace=True), nn.Conv2d(4, 3, 1))
    module = Net(body, *layers)
    graph = lower(capture(module, name="net"))
    assert kinds(graph) == ["Conv2D", "Conv2D"]
    assert isinstance(graph.ops[0], Conv2D)
    assert graph.ops[0].activation == "relu6"
    assert_same(module, graph)


def test_a_depthwise_convolution_absorbs_the_channel_order() -> None:
    def body(net: Net, lr: Tensor) -> Tensor:
        first, depthwise = net.layers
        return functional.pixel_shuffle(depthwise(first(lr)), 2)

    module = Net(body, nn.Conv2d(3, 12, 1), nn.Conv2d(12, 12, 3, padding=1, groups=12))
    graph = lower(capture(module, name="net"))
    assert [type(op) for op in graph.ops[:2]] == [Conv2D, DepthwiseConv2D]
    assert kinds(graph)[2:] == ["DepthToSpace"]
    assert_same(module, graph)


def test_a_strided_convolution_with_torch_padding_keeps_an_explicit_pad() -> None:
    def body(net: Net, lr: Tensor) -> Tensor:
        down, up = net.layers
        return functional.interpolate(up(down(lr)), scale_factor=2, mode="nearest")

    layers = (nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.Conv2d(6, 3, 3, padding="same"))
    module = Net(body, *layers)
    graph = lower(capture(module, name="net"))
    assert isinstance(graph.ops[0], Pad)
    assert_same(module, graph, size=(16, 22))


def test_explicit_padding_folds_into_a_same_convolution() -> None:
    def body(net: Net, lr: Tensor) -> Tensor:
        return net.layers[0](functional.pad(lr, (1, 1, 1, 1)))  # type: ignore[no-any-return]

    module = Net(body, nn.Conv2d(3, 3, 3))
    graph = lower(capture(module, name="net"))
    assert kinds(graph) == ["Conv2D"]
    assert_same(module, graph)


def test_a_residual_that_is_read_twice_keeps_its_order() -> None:
    def body(net: Net, lr: Tensor) -> Tensor:
        first, second = net.layers
        features = first(lr)
        return functional.pixel_shuffle(features + torch.relu(second(features)), 2)

    module = Net(body, nn.Conv2d(3, 12, 3, padding=1), nn.Conv2d(12, 12, 3, padding=1))
    graph = lower(capture(module, name="net"))
    assert any(isinstance(op, Add) for op in graph.ops)
    assert_same(module, graph)


@pytest.mark.parametrize(
    ("layer", "operation", "form"),
    [
        (nn.SiLU(), "silu", "use ReLU or ReLU6"),
        (nn.Upsample(scale_factor=2, mode="bilinear"), "upsample_bilinear2d", "PixelShuffle"),
        (nn.GroupNorm(1, 3), "group_norm", "BatchNorm2d"),
        (nn.ConvTranspose2d(3, 3, 2, stride=2), "conv_transpose2d", "use Conv2d and PixelShuffle"),
        (nn.Conv2d(3, 3, 3, padding=1, padding_mode="reflect"), "reflect padding", "zeros"),
        (nn.Conv2d(3, 3, 3, dilation=2, padding=2), "dilation", "use dilation 1"),
    ],
)
def test_what_is_not_supported_is_named_with_layer_and_nearest_form(
    layer: nn.Module, operation: str, form: str
) -> None:
    module = Net(lambda net, lr: net.layers[0](lr), layer)
    with pytest.raises(GraphError) as raised:
        capture(module, name="net")
    message = str(raised.value)
    assert "layer layers.0" in message
    assert operation in message
    assert form in message


def test_a_batch_norm_that_cannot_fold_is_refused_by_name() -> None:
    module = Net(lambda net, lr: net.layers[0](torch.relu(lr)), nn.BatchNorm2d(3))
    with pytest.raises(GraphError, match=r"layer layers\.0: ChannelAffine cannot be folded"):
        lower(capture(module, name="net"))


def test_control_flow_on_values_is_refused_with_a_reason() -> None:
    module = Net(lambda _, lr: lr if lr.sum() > 0 else -lr)
    with pytest.raises(GraphError, match=r"net: torch\.export cannot trace it"):
        capture(module, name="net")


def test_capture_leaves_the_training_mode_as_it_was() -> None:
    module = build_model("ncnet", 2).train()
    capture(module, name="ncnet")
    assert module.training


def test_an_operation_with_several_results_is_refused_by_name() -> None:
    def body(net: Net, lr: Tensor) -> Tensor:
        first, second = net.layers[0](lr).chunk(2, dim=1)
        return first + second  # type: ignore[no-any-return]

    with pytest.raises(GraphError, match=r"layer .*: operation chunk is not supported"):
        capture(Net(body, nn.Conv2d(3, 6, 1)), name="net")
