"""Give a sampled image the colours of its centre, where sampling shifted them.

A fix works on the whole frame, so tiles do not change it.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from torch import Tensor
from torch.nn import functional

from edgesr.errors import DiffusionError

ColourFix = Callable[[Tensor, Tensor], Tensor]
"""Maps an image and its centre, both ``(n, 3, h, w)`` around [-1, 1], to the image put right."""

_LEVELS = 5
_FLAT = 1e-5
"""Standard deviation below which a channel has nothing to stretch."""


def mean_std(image: Tensor, centre: Tensor) -> Tensor:
    """Give every channel the mean and standard deviation that it has in the centre.

    It also undoes a gain in contrast that detail brings with it; ``low_pass`` does not.

    Args:
        image: ``(n, 3, h, w)`` around [-1, 1].
        centre: of the same shape.

    Source: Huang and Belongie 2017, arXiv 1703.06868 (AdaIN), on pixels as the colour correction
    of Wang et al. 2023, arXiv 2305.07015 (StableSR).
    """
    mean, wanted_mean = (x.mean(dim=(2, 3), keepdim=True) for x in (image, centre))
    std, wanted_std = (x.std(dim=(2, 3), keepdim=True, correction=0) for x in (image, centre))
    return (image - mean) / std.clamp_min(_FLAT) * wanted_std + wanted_mean


def low_pass(image: Tensor, centre: Tensor) -> Tensor:
    """Take what is coarser than about 32 pixels from the centre and the rest from the image.

    Args:
        image: ``(n, 3, h, w)`` around [-1, 1].
        centre: of the same shape.

    Source: wavelet colour fix in the code of Wang et al. 2023, arXiv 2305.07015 (StableSR): five
    blurs by (1, 2, 1) with gaps of 1 to 16 pixels and repeated borders.
    """
    coarse = centre - image  # blurring is linear: one pass does for both
    for level in range(_LEVELS):
        coarse = _blur(coarse, 2**level)
    return image + coarse


COLOUR_FIXES: Mapping[str, ColourFix] = MappingProxyType(
    {"mean_std": mean_std, "low_pass": low_pass}
)


def find_colour_fix(name: str) -> ColourFix:
    """Return a colour fix.

    Raises:
        DiffusionError: no such fix.
    """
    if name not in COLOUR_FIXES:
        known = ", ".join(COLOUR_FIXES)
        raise DiffusionError(f"colour fix {name!r} is not known, want one of {known}")
    return COLOUR_FIXES[name]


def _blur(x: Tensor, gap: int) -> Tensor:
    x = functional.pad(x, (gap,) * 4, mode="replicate")
    x = (x[:, :, : -2 * gap] + 2 * x[:, :, gap:-gap] + x[:, :, 2 * gap :]) / 4
    return (x[..., : -2 * gap] + 2 * x[..., gap:-gap] + x[..., 2 * gap :]) / 4
