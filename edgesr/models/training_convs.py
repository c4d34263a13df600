"""Training forms of a convolution that networks choose from; each folds to a plain one."""

from torch import nn

from edgesr.models.branches import LAPLACIAN, SOBEL_X, SOBEL_Y, Copy, Filtered
from edgesr.models.reparameterize import BranchedConv

_SESR_WIDTH = 256


def identity(channels: int) -> Copy:
    """Return the branch that changes nothing."""
    return Copy(channels, tuple(range(channels)))


def collapsible(before: int, after: int, size: int) -> nn.Module:
    """Return SESR's collapsible linear block: expand to 256 channels, squeeze, and a short skip.

    Source: Bhardwaj et al. 2021, arXiv 2103.09404, section 3.1; the skip (section 3.2) only where
    the channels allow it.
    """
    chain = nn.Sequential(
        nn.Conv2d(before, _SESR_WIDTH, size, bias=False), nn.Conv2d(_SESR_WIDTH, after, 1)
    )
    short = [identity(before)] if before == after else []
    return BranchedConv(size, [chain, *short])


def edge_oriented(before: int, after: int, size: int) -> nn.Module:
    """Return ECBSR's block: 3x3, 1x1 and 3x3, Sobel in both directions, Laplacian, a skip.

    Source: Zhang, Zeng, Zhang 2021, "Edge-oriented Convolution Block for Real-time Super
    Resolution on Mobile Devices", ACM Multimedia, figure 2.
    """
    chain = nn.Sequential(nn.Conv2d(before, 2 * after, 1), nn.Conv2d(2 * after, after, size))
    filters = [Filtered(before, after, mask) for mask in (SOBEL_X, SOBEL_Y, LAPLACIAN)]
    short = [identity(before)] if before == after else []
    return BranchedConv(size, [nn.Conv2d(before, after, size), chain, *filters, *short])


def edge_enhanced(before: int, after: int, size: int) -> nn.Module:
    """Return EFDN's block: ECBSR's with a 1x1 convolution beside it and no wider chain.

    Source: Wang 2022, arXiv 2204.08759, figure 3.
    """
    chain = nn.Sequential(nn.Conv2d(before, after, 1), nn.Conv2d(after, after, size))
    filters = [Filtered(before, after, mask) for mask in (SOBEL_X, SOBEL_Y, LAPLACIAN)]
    plain = [nn.Conv2d(before, after, size), nn.Conv2d(before, after, 1)]
    short = [identity(before)] if before == after else []
    return BranchedConv(size, [*plain, chain, *filters, *short])


def sandwich(before: int, after: int, size: int) -> nn.Module:
    """Return SPAN's block: 1x1, kxk, 1x1 with twice the channels inside, beside a 1x1.

    Source: Wan et al. 2023, arXiv 2311.12770, section 3.3.
    """
    chain = nn.Sequential(
        nn.Conv2d(before, 2 * before, 1),
        nn.Conv2d(2 * before, 2 * after, size),
        nn.Conv2d(2 * after, after, 1),
    )
    return BranchedConv(size, [chain, nn.Conv2d(before, after, 1)])


def widened(before: int, after: int, size: int) -> nn.Module:
    """Return a plain convolution with a wide linear detour that starts at 0.

    The layer starts as its plain convolution (branch 0), whatever that was initialised to, and
    has SESR's 256 channels to learn through. Their sum is divided by their number: Adam moves every
    weight by its rate, and 256 aligned products would move the kernel some twenty times as fast as
    the plain convolution, which kills ReLUs.

    Source: the rate of a layer goes with one over its inputs, Yang et al. 2022, arXiv 2203.03466,
    table 3; here as a constant in the network, which any optimizer sees.
    """
    plain = nn.Conv2d(before, after, size)
    squeeze = nn.Conv2d(_SESR_WIDTH, after, 1, bias=False)
    nn.init.zeros_(squeeze.weight)
    mean = Copy(after, tuple(range(after)), 1 / _SESR_WIDTH)
    detour = nn.Sequential(nn.Conv2d(before, _SESR_WIDTH, size, bias=False), squeeze, mean)
    return BranchedConv(size, [plain, detour])


def main_conv(layer: nn.Module) -> nn.Conv2d:
    """Return the convolution whose initialisation decides what ``layer`` starts as.

    That is the layer itself, or branch 0 of a widened one.

    Raises:
        TypeError: the layer has none.
    """
    found = layer.branches[0] if isinstance(layer, BranchedConv) else layer
    if not isinstance(found, nn.Conv2d):
        raise TypeError(f"{type(layer).__name__} does not start with a Conv2d")
    return found
