"""Grow a trained row of convolutions to a multiple of its width without changing what it does."""

import copy

import torch
from torch import Tensor, nn

from edgesr.errors import GraphError


def widen(network: nn.Module, factor: int, *, seed: int) -> nn.Module:
    """Return a copy whose hidden layers in ``body`` have ``factor`` times the channels.

    Every hidden channel gets ``factor`` copies, and whoever reads it shares its weight out among
    them in random parts that add up to 1: parts that differ are what lets the copies part company
    once the network is trained. The result is the same network up to rounding.

    Args:
        network: in its deployed form, with a ``body`` that is a row of convolutions with whatever
            has no weights between them; it stays as it was.
        factor: from 1.
        seed: of the parts.

    Raises:
        GraphError: it is built otherwise, or in training form.

    Source: Guo et al. 2024, arXiv 2410.04140, inverse reparameterization along channels; theirs has
    further branches, which start at 0.
    """
    convs = row_of_convolutions(network)
    wide = copy.deepcopy(network)
    layers = dict(wide.get_submodule("body").named_children())
    random = torch.Generator().manual_seed(seed)
    for place, (name, conv) in enumerate(convs):
        copies_in = 1 if place == 0 else factor
        copies_out = 1 if place == len(convs) - 1 else factor
        layers[name] = _widened(conv, copies_in, copies_out, random)
    wide.body = nn.Sequential(*layers.values())
    return wide


def row_of_convolutions(network: nn.Module) -> list[tuple[str, nn.Conv2d]]:
    """Return the convolutions of a network whose ``body`` is a row of them, by name, in order.

    Raises:
        GraphError: it is built otherwise, or in training form.
    """
    name = type(network).__name__
    body = getattr(network, "body", None)
    if not isinstance(body, nn.Sequential):
        raise GraphError(
            f"{name}: has no row of convolutions that could be widened; want a network such as "
            "edge_s, ncnet, abpn or pureconv_m3c32"
        )
    found = []
    for key, layer in body.named_children():
        if isinstance(layer, nn.Conv2d) and layer.groups == 1:
            found.append((key, layer))
        elif list(layer.parameters()):
            raise GraphError(
                f"{name}: layer body.{key} is a {type(layer).__name__}, which is not widened; want "
                "plain convolutions, as in edge_s, ncnet, abpn or pureconv_m3c32"
            )
    return found


def _widened(conv: nn.Conv2d, before: int, after: int, random: torch.Generator) -> nn.Conv2d:
    weight, bias = conv.weight.detach(), conv.bias
    made = nn.Conv2d(
        before * conv.in_channels,
        after * conv.out_channels,
        (conv.kernel_size[0], conv.kernel_size[1]),
        padding=conv.padding,  # type: ignore[arg-type]
        bias=bias is not None,
    ).to(weight)
    parts = _parts(after * conv.out_channels, before, conv.in_channels, random).to(weight)
    repeated = weight.repeat(after, 1, 1, 1)
    shared = torch.cat([repeated * parts[:, k, :, None, None] for k in range(before)], dim=1)
    with torch.no_grad():
        made.weight.copy_(shared)
        if bias is not None:
            made.get_parameter("bias").copy_(bias.detach().repeat(after))
    return made


def _parts(rows: int, copies: int, channels: int, random: torch.Generator) -> Tensor:
    """Return ``(rows, copies, channels)``, positive, with a sum of 1 over the copies."""
    drawn = 0.1 + torch.rand(rows, copies, channels, generator=random, dtype=torch.float64)
    return drawn / drawn.sum(1, keepdim=True)
