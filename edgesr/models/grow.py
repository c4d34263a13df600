"""Start a larger row of convolutions as the same function that a smaller trained one computes."""

import torch
from torch import Tensor, nn

from edgesr.errors import GraphError
from edgesr.models.widen import row_of_convolutions


def grown_weights(small: nn.Module, large: nn.Module) -> dict[str, Tensor]:
    """Return weights for ``large`` with which it computes what ``small`` does.

    The layers of ``small`` stand in front of and behind the new ones, which pass on what a ReLU has
    let through. New channels have the fresh weights of ``large``; what reads them starts at 0 and
    learns from the first step on.

    Args:
        small: trained, in its deployed form: a ``body`` that is a row of 3x3 convolutions with ReLU
            between them, added to an ``anchor``.
        large: of the same kind and scale, as it starts.

    Raises:
        GraphError: one of them is built otherwise, or ``large`` has fewer layers or channels.

    Source: Chen, Goodfellow, Shlens 2016, "Net2Net", arXiv 1511.05641, section 2.3 for layers; new
    channels here are fresh instead of copies.
    """
    rows = [plain_row(network) for network in (small, large)]
    olds, news = ([conv for _, conv in row] for row in rows)
    sources: list[nn.Conv2d | None] = [*olds[:-1], *[None] * (len(news) - len(olds)), olds[-1]]
    if len(sources) != len(news):
        raise GraphError(_misfit(small, large, f"{len(olds)} layers and {len(news)}"))
    found: dict[str, Tensor] = {}
    read = olds[0].in_channels
    for (key, new), old in zip(rows[1], sources, strict=True):
        wrote = read if old is None else old.out_channels
        if wrote > new.out_channels or read > new.in_channels:
            raise GraphError(_misfit(small, large, f"{wrote} channels and {new.out_channels}"))
        weight, bias = _grown(new, old, read)
        found |= {f"body.{key}.weight": weight, f"body.{key}.bias": bias}
        read = wrote
    if (olds[0].in_channels, olds[-1].out_channels) != (news[0].in_channels, news[-1].out_channels):
        raise GraphError(_misfit(small, large, "other images in or out"))
    return found


def _grown(new: nn.Conv2d, old: nn.Conv2d | None, read: int) -> tuple[Tensor, Tensor]:
    """Return weight and bias of a layer; the first ``read`` of its inputs are those of old."""
    weight, bias = new.weight.detach().clone(), new.get_parameter("bias").detach().clone()
    wrote = read if old is None else old.out_channels
    weight[:wrote], bias[:wrote] = 0.0, 0.0
    if old is None:
        middle = new.kernel_size[0] // 2
        same = torch.arange(read)
        weight[same, same, middle, middle] = 1.0
    else:
        weight[:wrote, :read] = old.weight.detach()
        bias[:wrote] = old.get_parameter("bias").detach()
    return weight, bias


def plain_row(network: nn.Module) -> list[tuple[str, nn.Conv2d]]:
    """Return the layers, by name, of a network that is just a row of them beside an anchor.

    Raises:
        GraphError: it is built otherwise.
    """
    wanted = GraphError(
        f"{type(network).__name__}: is not just a row of 3x3 convolutions with ReLU that is added "
        "to an anchor, so that nothing grows from it or to it; want a network such as ncnet, abpn "
        "or edge_l"
    )
    try:
        row = row_of_convolutions(network)
    except GraphError as error:
        raise wanted from error
    convs = [conv for _, conv in row]
    others = [part for part in network.get_submodule("body").children() if part not in convs]
    inside = {id(p) for conv in convs for p in conv.parameters()}
    is_row = all(conv.kernel_size == (3, 3) and conv.bias is not None for conv in convs)
    is_row = is_row and all(isinstance(part, nn.ReLU) for part in others)
    is_whole = all(id(p) in inside for p in network.parameters())
    if not (is_row and is_whole and isinstance(getattr(network, "anchor", None), nn.Module)):
        raise wanted
    return row


def _misfit(small: nn.Module, large: nn.Module, what: str) -> str:
    return (
        f"{type(small).__name__} does not fit into {type(large).__name__}: {what}; want a network "
        "to grow that has at most the layers and channels of the new one"
    )
