"""The networks that edgesr knows, each with the facts that its users need."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from edgesr.errors import ConfigError

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class Descriptor:
    """What a network is, without building it.

    Attributes:
        name: key in ``MODELS``.
        title: one line for listings.
        build: makes the ``torch.nn.Module`` for an upscaling factor.
        scales: upscaling factors that it is built for.
        channels: image channels in and out (RGB).
        receptive_field: width in low-resolution pixels of the area that one output pixel sees.
        params: trainable parameters by upscaling factor.
        source: paper and arXiv id.
    """

    name: str
    title: str
    build: "Callable[[int], nn.Module]"
    scales: tuple[int, ...]
    channels: int
    receptive_field: int
    params: Mapping[int, int]
    source: str


def build_model(name: str, scale: int) -> "nn.Module":
    """Build network ``name`` for upscaling factor ``scale`` with fresh weights.

    Raises:
        ConfigError: no such network, or it is not made for that factor.
    """
    descriptor = MODELS.get(name)
    if descriptor is None:
        raise ConfigError(f"model {name!r} is unknown; choose one of {', '.join(MODELS)}")
    if scale not in descriptor.scales:
        wanted = ", ".join(map(str, descriptor.scales))
        raise ConfigError(f"model {name!r} has no scale {scale}; choose one of {wanted}")
    return descriptor.build(scale)


def _ncnet(scale: int) -> "nn.Module":
    from edgesr.models.ncnet import NCNet

    return NCNet(scale)


def _abpn(scale: int) -> "nn.Module":
    from edgesr.models.abpn import ABPN

    return ABPN(scale)


MODELS: Mapping[str, Descriptor] = MappingProxyType(
    {
        "ncnet": Descriptor(
            name="ncnet",
            title="plain 3x3 convolutions with a nearest-convolution upsampler, 32 channels",
            build=_ncnet,
            scales=(2, 3, 4),
            channels=3,
            receptive_field=15,
            params={2: 42_664, 3: 52_279, 4: 72_544},
            source="Luo et al. 2022, arXiv 2208.11609",
        ),
        "abpn": Descriptor(
            name="abpn",
            title="plain 3x3 convolutions with a concatenated anchor, 28 channels",
            build=_abpn,
            scales=(2, 3, 4),
            channels=3,
            receptive_field=15,
            params={2: 33_464, 3: 42_539, 4: 62_048},
            source="Du et al. 2021, arXiv 2105.09750",
        ),
    }
)
