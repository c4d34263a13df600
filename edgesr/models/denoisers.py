"""The denoisers that edgesr knows, each with the facts that its users need."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from edgesr.binary.style import OWN, OWN_NAME, StyleChoice
from edgesr.errors import ConfigError

if TYPE_CHECKING:
    from edgesr.models.denoiser import Denoiser, Prediction


@dataclass(frozen=True, kw_only=True)
class DenoiserDescriptor:
    """What a denoiser is, without building it.

    Attributes:
        name: key in ``DENOISERS``.
        title: one line for listings.
        build: makes the network for an upscaling factor.
        scales: upscaling factors that it is built for.
        params: trainable parameters by upscaling factor.
        multiple: sides of the grid that it works on are padded to a multiple of this.
        receptive_field: width in low-resolution pixels of the area that one output pixel sees;
            None where it sees the whole image.
        prediction: what it is made to predict.
        int8: whether every layer has an INT8 form once a timestep is folded in.
        source: paper and arXiv id.
        styled: makes the network with another style of its convolutions of one bit; None where it
            has none.
        twin: the float denoiser with the same blocks, which can teach it; None without.
    """

    name: str
    title: str
    build: "Callable[[int], Denoiser]"
    scales: tuple[int, ...]
    params: Mapping[int, int]
    multiple: int
    receptive_field: int | None
    prediction: "Prediction"
    int8: bool
    source: str
    styled: "Callable[[int, StyleChoice], Denoiser] | None" = None
    twin: str | None = None


def build_denoiser(name: str, scale: int, style: StyleChoice = OWN) -> "Denoiser":
    """Build denoiser ``name`` for upscaling factor ``scale`` with fresh weights.

    Args:
        name: key in ``DENOISERS``.
        scale: upscaling factor.
        style: of its convolutions of one bit.

    Raises:
        ConfigError: no such denoiser, it is not made for that factor, has no convolution of one bit
            whose style could be chosen, or not in that style.
    """
    descriptor = DENOISERS.get(name)
    if descriptor is None:
        raise ConfigError(f"denoiser {name!r} is unknown; choose one of {', '.join(DENOISERS)}")
    if scale not in descriptor.scales:
        wanted = ", ".join(map(str, descriptor.scales))
        raise ConfigError(f"denoiser {name!r} has no scale {scale}; choose one of {wanted}")
    if style == OWN:
        return descriptor.build(scale)
    if descriptor.styled is None:
        asked = style.name if style.name != OWN_NAME else f"{style.groups} groups"
        known = ", ".join(key for key, one in DENOISERS.items() if one.styled is not None)
        raise ConfigError(
            f"binary style {asked}: {name} has no convolution of one bit; choose one of {known}"
        )
    return descriptor.styled(scale, style)


def _resshift_px_s(scale: int) -> "Denoiser":
    from edgesr.models.resshift_px import resshift_px

    return resshift_px(scale, widths=(32, 64), blocks=1)


def _resshift_px_m(scale: int) -> "Denoiser":
    from edgesr.models.resshift_px import resshift_px

    return resshift_px(scale, widths=(64, 128), blocks=2)


def _resshift_px_l(scale: int) -> "Denoiser":
    from edgesr.models.resshift_px import resshift_px

    return resshift_px(scale, widths=(64, 128, 192), blocks=2)


def _resshift_px_naf(scale: int) -> "Denoiser":
    from edgesr.models.resshift_px import resshift_px

    return resshift_px(scale, widths=(64, 128), blocks=2, naf=True)


def _resshift_px_s_1bit(scale: int, style: StyleChoice = OWN) -> "Denoiser":
    from edgesr.models.resshift_px_binary import STYLE, resshift_px_binary

    return resshift_px_binary(scale, widths=(32, 64), blocks=1, style=style.of(STYLE))


def _bidiffsr(scale: int, style: StyleChoice = OWN) -> "Denoiser":
    from edgesr.models.bidiffsr import PUBLISHED_STYLE, bidiffsr

    return bidiffsr(scale, style=style.of(PUBLISHED_STYLE))


def _bidiffsr_edge(scale: int, style: StyleChoice = OWN) -> "Denoiser":
    from edgesr.binary.style import find_style
    from edgesr.models.bidiffsr import bidiffsr

    own = find_style("bidiffsr")
    return bidiffsr(scale, width=32, float_levels=(), attention=False, style=style.of(own))


def _sr3(scale: int) -> "Denoiser":
    from edgesr.models.sr3_unet import sr3

    return sr3(scale)


_RESSHIFT = "path of Yue et al. 2023, arXiv 2307.12348; the network is edgesr's own"

DENOISERS: Mapping[str, DenoiserDescriptor] = MappingProxyType(
    {
        "resshift_px_s": DenoiserDescriptor(
            name="resshift_px_s",
            title="small: residual blocks on the low-resolution grid, widths 32 and 64",
            build=_resshift_px_s,
            scales=(2, 3, 4),
            params={2: 256_076, 3: 269_051, 4: 287_216},
            multiple=2,
            receptive_field=31,
            prediction="residual",
            int8=True,
            source=_RESSHIFT,
        ),
        "resshift_px_m": DenoiserDescriptor(
            name="resshift_px_m",
            title="medium: residual blocks on the low-resolution grid, widths 64 and 128",
            build=_resshift_px_m,
            scales=(2, 3, 4),
            params={2: 1_713_676, 3: 1_739_611, 4: 1_775_920},
            multiple=2,
            receptive_field=55,
            prediction="residual",
            int8=True,
            source=_RESSHIFT,
        ),
        "resshift_px_l": DenoiserDescriptor(
            name="resshift_px_l",
            title="large: residual blocks on the low-resolution grid, widths 64, 128 and 192",
            build=_resshift_px_l,
            scales=(2, 3, 4),
            params={2: 4_789_452, 3: 4_815_387, 4: 4_851_696},
            multiple=4,
            receptive_field=125,
            prediction="residual",
            int8=True,
            source=_RESSHIFT,
        ),
        "resshift_px_naf": DenoiserDescriptor(
            name="resshift_px_naf",
            title="medium with NAF blocks; float only",
            build=_resshift_px_naf,
            scales=(2, 3, 4),
            params={2: 936_204, 3: 962_139, 4: 998_448},
            multiple=2,
            receptive_field=None,
            prediction="residual",
            int8=False,
            source="blocks of Chen et al. 2022, arXiv 2204.04676, as in arXiv 2304.08291",
        ),
        "resshift_px_s_1bit": DenoiserDescriptor(
            name="resshift_px_s_1bit",
            title="small with blocks of one bit; ends and halvings are float",
            build=_resshift_px_s_1bit,
            scales=(2, 3, 4),
            params={2: 246_988, 3: 259_963, 4: 278_128},
            multiple=2,
            receptive_field=31,
            prediction="residual",
            int8=False,
            source="blocks of Chen et al. 2024, arXiv 2406.05723",
            styled=_resshift_px_s_1bit,
            twin="resshift_px_s",
        ),
        "bidiffsr": DenoiserDescriptor(
            name="bidiffsr",
            title="BI-DiffSR as published: 48.2 of 51.3 M parameters have one bit",
            build=_bidiffsr,
            scales=(2, 3, 4),
            params=dict.fromkeys((2, 3, 4), 51_280_387),
            multiple=8,
            receptive_field=None,
            prediction="eps",
            int8=False,
            source="Chen et al. 2024, arXiv 2406.05723",
            styled=_bidiffsr,
        ),
        "bidiffsr_edge": DenoiserDescriptor(
            name="bidiffsr_edge",
            title="BI-DiffSR with 32 channels, no float level, no attention, +1 outside the image",
            build=_bidiffsr_edge,
            scales=(2, 3, 4),
            params=dict.fromkeys((2, 3, 4), 12_675_459),
            multiple=8,
            receptive_field=None,
            prediction="eps",
            int8=False,
            source="Chen et al. 2024, arXiv 2406.05723; the configuration is edgesr's own",
            styled=_bidiffsr_edge,
        ),
        "sr3": DenoiserDescriptor(
            name="sr3",
            title="SR3's UNet at full resolution, 64 channels, 4 levels; float reference",
            build=_sr3,
            scales=(2, 3, 4),
            params=dict.fromkeys((2, 3, 4), 55_407_235),
            multiple=8,
            receptive_field=None,
            prediction="eps",
            int8=False,
            source="Saharia et al. 2021, arXiv 2104.07636, in the size of arXiv 2406.05723",
        ),
    }
)
