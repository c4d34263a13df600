"""Training forms fold into plain convolutions exactly, or are refused by name."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from edgesr.errors import GraphError
from edgesr.models import MODELS, build_model
from edgesr.models.branches import SOBEL_X, Copy, Filtered
from edgesr.models.efdn import EFDN
from edgesr.models.etds import ETDS, DualStream
from edgesr.models.reparameterize import (
    MAX_RELATIVE_DIFFERENCE,
    BranchedConv,
    collapse,
    is_training_form,
)
from edgesr.models.span import SPAN
from edgesr.models.training_convs import (
    collapsible,
    edge_enhanced,
    edge_oriented,
    identity,
    main_conv,
    sandwich,
    widened,
)

LARGE = 90_000
WITH_BRANCHES = [
    pytest.param(name, marks=[pytest.mark.slow] if about.params[3] > LARGE else [])
    for name, about in MODELS.items()
    if about.has_training_form
]
FORMS = {
    "collapsible": collapsible,
    "edge_oriented": edge_oriented,
    "edge_enhanced": edge_enhanced,
    "sandwich": sandwich,
    "widened": widened,
}


def trained(module: nn.Module) -> nn.Module:
    """Move every parameter, biases most, as training would."""
    with torch.no_grad():
        for value in module.parameters():
            value.add_(torch.randn_like(value), alpha=1.0 if value.ndim == 1 else 0.02)
    return module


@pytest.mark.parametrize("name", WITH_BRANCHES)
def test_every_network_folds_exactly_into_its_deployed_form(name: str) -> None:
    torch.manual_seed(0)
    network = trained(build_model(name, 3, "training"))
    found = collapse(network)
    assert found.folded > 0
    assert 0 < found.max_abs_difference < 1e-6
    assert found.relative_difference <= MAX_RELATIVE_DIFFERENCE
    wanted = build_model(name, 3).state_dict()
    state = found.module.state_dict()
    assert {key: value.shape for key, value in state.items()} == {
        key: value.shape for key, value in wanted.items()
    }
    assert {value.dtype for value in state.values()} == {torch.float32}
    assert not is_training_form(found.module)
    assert is_training_form(network)


@pytest.mark.parametrize("before", [4, 6])
@pytest.mark.parametrize("name", FORMS)
def test_a_layer_equals_its_fold_with_its_borders(name: str, before: int) -> None:
    torch.manual_seed(0)
    layer = trained(FORMS[name](before, 6, 3)).double()
    assert isinstance(layer, BranchedConv)
    features = torch.randn(2, before, 5, 7, dtype=torch.float64)
    folded = layer.fold()
    with torch.no_grad():
        layer.branchwise = True
        wanted = layer(features)
        layer.branchwise = False
        scale = float(wanted.abs().max())
        assert float((folded(features) - wanted).abs().max()) <= 1e-12 * scale
        assert torch.allclose(layer(features), wanted, rtol=1e-12)


def test_an_edge_oriented_block_is_the_sum_that_the_paper_draws() -> None:
    """Written out with functions, the 1x1 outputs padded with their bias as the authors do."""
    torch.manual_seed(0)
    layer = trained(edge_oriented(4, 4, 3)).double()
    assert isinstance(layer, BranchedConv)
    features = torch.randn(1, 4, 6, 5, dtype=torch.float64)

    def padded_with_bias(conv: nn.Conv2d) -> Tensor:
        made = conv(features) - conv.get_parameter("bias")[:, None, None]
        return functional.pad(made, (1,) * 4) + conv.get_parameter("bias")[:, None, None]

    first, chain, *filters, _ = layer.branches
    assert isinstance(first, nn.Conv2d)
    assert isinstance(chain, nn.Sequential)
    total = functional.conv2d(features, first.weight, first.bias, padding=1) + features
    total = total + chain[1](padded_with_bias(chain[0]))  # type: ignore[arg-type]
    for one in filters:
        assert isinstance(one, Filtered)
        weight = one.gain[:, None, None, None] * one.mask
        total = total + functional.conv2d(padded_with_bias(one.mix), weight, one.bias, groups=4)
    assert torch.allclose(layer(features), total, rtol=1e-12)


def test_a_sobel_branch_sees_vertical_edges() -> None:
    branch = Filtered(1, 1, SOBEL_X)
    nn.init.ones_(branch.mix.weight)
    for value in (branch.mix.get_parameter("bias"), branch.bias):
        nn.init.zeros_(value)
    nn.init.ones_(branch.gain)
    step = torch.zeros(1, 1, 3, 3)
    step[..., 0] = 1.0
    assert branch(step).item() == 4.0
    assert branch(step.transpose(2, 3)).item() == 0.0


@pytest.mark.parametrize(
    ("build", "count"),
    [
        (lambda: SPAN(4, conv=sandwich), 150_688),
        (lambda: EFDN(4, conv=edge_enhanced), 276_192),
    ],
)
def test_challenge_networks_fold_to_their_published_size(
    build: Callable[[], nn.Module], count: int
) -> None:
    torch.manual_seed(0)
    network = build()
    found = collapse(network)
    assert sum(p.numel() for p in network.parameters()) > 1.9 * count
    assert sum(p.numel() for p in found.module.parameters()) == count
    assert found.relative_difference <= MAX_RELATIVE_DIFFERENCE


def test_both_streams_and_the_clip_of_etds_become_one_row_of_convolutions() -> None:
    torch.manual_seed(0)
    network = trained(DualStream(2, width=16, depth=2)).eval()
    folded = collapse(network).module
    assert isinstance(folded, ETDS)
    lr = 600 * torch.rand(1, 3, 9, 8) - 100
    with torch.no_grad():
        assert torch.allclose(folded(lr), network(lr), atol=1e-2)
        assert float(folded(lr).max()) == 255.0


def test_a_widened_layer_starts_as_its_plain_convolution() -> None:
    layer = widened(4, 4, 3)
    assert isinstance(layer, BranchedConv)
    features = torch.randn(1, 4, 6, 6)
    plain = functional.conv2d(features, main_conv(layer).weight, main_conv(layer).bias, padding=1)
    assert torch.allclose(layer(features), plain, atol=1e-6)
    layer(features).square().sum().backward()
    squeeze = layer.get_submodule("branches.1.1")
    assert isinstance(squeeze, nn.Conv2d)
    assert squeeze.weight.grad is not None
    assert bool(squeeze.weight.grad.any())


def test_a_widened_kernel_moves_about_as_fast_as_a_plain_one() -> None:
    torch.manual_seed(0)
    rate, steps = 2e-3, 100
    layer = widened(16, 16, 3)
    wanted = torch.randn(16, 16, 3, 3).sign()
    optimizer = torch.optim.Adam(layer.parameters(), lr=rate)
    start = layer.kernel()[0].detach()  # type: ignore[operator]
    for _ in range(steps):
        optimizer.zero_grad()
        (-(layer.kernel()[0] * wanted).sum()).backward()  # type: ignore[operator]
        optimizer.step()
    moved = ((layer.kernel()[0].detach() - start) * wanted).mean()  # type: ignore[operator]
    assert rate * steps <= moved < 1.5 * rate * steps  # the plain branch alone moves rate * steps


def test_gradients_reach_every_branch_through_the_one_kernel() -> None:
    torch.manual_seed(0)
    layer = edge_oriented(3, 3, 3)
    layer(torch.randn(1, 3, 8, 8)).square().sum().backward()
    for name, value in layer.named_parameters():
        assert value.grad is not None
        # a filter whose weights sum to 0 takes no notice of a bias before it
        assert name.endswith("mix.bias") or bool(value.grad.any())


def test_the_kernel_is_made_in_float32_under_autocast() -> None:
    layer = collapsible(4, 4, 3)
    assert isinstance(layer, BranchedConv)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = layer(torch.randn(1, 4, 6, 6))
        assert found.dtype == torch.bfloat16
        assert layer.fold().weight.dtype == torch.float32


def test_a_network_without_branches_is_copied_as_it_is() -> None:
    network = build_model("ncnet", 2)
    found = collapse(network)
    assert (found.folded, found.max_abs_difference) == (0, 0.0)
    assert found.module is not network


def branched(*branches: nn.Module, size: int = 3) -> BranchedConv:
    return BranchedConv(size, branches)


@pytest.mark.parametrize(
    ("branches", "message"),
    [
        (
            [nn.Conv2d(4, 4, 3), nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU(), nn.Conv2d(4, 4, 3))],
            r"branch 1\.1: ReLU cannot be folded into a convolution; want Conv2d layers",
        ),
        ([nn.BatchNorm2d(4)], "branch 0: BatchNorm2d cannot be folded"),
        ([nn.Conv2d(4, 4, 3, stride=2)], r"branch 0: Conv2d with stride \(2, 2\) cannot"),
        ([nn.Conv2d(4, 4, 3, dilation=2)], r"with dilation \(2, 2\)"),
        ([nn.Conv2d(4, 4, 3, padding=1)], r"with padding \(1, 1\) cannot be folded"),
        ([nn.Conv2d(4, 4, 3, groups=2)], "with groups 2 cannot be folded"),
        ([nn.Conv2d(4, 4, 5)], "branch 0: a 5x5 kernel cannot be folded into a 3x3 one"),
        ([nn.Conv2d(4, 4, 2)], "a 2x2 kernel cannot be folded into a 3x3 one"),
        ([nn.Conv2d(4, 4, 3), nn.Conv2d(4, 5, 3)], "branches have kernels .* want one shape"),
        ([nn.Sequential()], "branch 0: Sequential cannot be folded"),
    ],
)
def test_a_branch_that_cannot_be_folded_is_named(branches: list[nn.Module], message: str) -> None:
    with pytest.raises(GraphError, match=message):
        branched(*branches)


def test_a_branch_that_was_changed_later_is_named_with_its_layer() -> None:
    network = build_model("sesr_m3", 3, "training")
    layer = network.get_submodule("body.2")
    assert isinstance(layer, BranchedConv)
    layer.branches.append(nn.Sigmoid())
    with pytest.raises(GraphError, match=r"layer body: layer 2: branch 2: Sigmoid cannot"):
        collapse(network)


def test_a_fold_that_is_another_function_is_refused() -> None:
    class Wrong(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Conv2d(3, 3, 1)

        def forward(self, features: Tensor) -> Tensor:
            return torch.relu(self.layer(features))

        def fold(self) -> nn.Module:
            return self.layer

    with pytest.raises(GraphError, match="Wrong: folding changed the output by"):
        collapse(trained(Wrong()))


def test_weights_that_are_not_finite_are_refused() -> None:
    layer = collapsible(3, 3, 3)
    nn.init.constant_(layer.get_parameter("branches.0.0.weight"), float("nan"))
    with pytest.raises(GraphError, match="its weights are not finite"):
        collapse(layer)


def test_copies_are_where_they_are_asked_for() -> None:
    features = torch.randn(1, 3, 4, 4)
    copied = Copy(3, (2, -1, 0))(features)
    assert torch.equal(copied[0, 0], features[0, 2])
    assert not copied[0, 1].any()
    assert torch.equal(identity(3)(features), features)
