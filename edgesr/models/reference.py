"""Networks of challenges and papers, to compare costs and times with.

They are structures without trained weights and no part of the INT8 zoo: several hold layers that
it does not export. Their counts reproduce the published ones exactly.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from edgesr.errors import ConfigError

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class ReferenceNet:
    """What a reference network is, without building it.

    Attributes:
        name: key in ``REFERENCE_NETS``.
        title: one line for listings.
        build: makes the ``torch.nn.Module`` for an upscaling factor.
        scale: upscaling factor that its published counts are for.
        params: published parameter count at that factor.
        source: paper and arXiv id.
    """

    name: str
    title: str
    build: "Callable[[int], nn.Module]"
    scale: int
    params: int
    source: str


def build_reference(name: str, scale: int | None = None) -> "nn.Module":
    """Build reference network ``name`` with fresh weights, at its published factor by default.

    Raises:
        ConfigError: no such network, or the factor is below 1.
    """
    about = REFERENCE_NETS.get(name)
    if about is None:
        known = ", ".join(REFERENCE_NETS)
        raise ConfigError(f"reference network {name!r} is unknown; choose one of {known}")
    factor = about.scale if scale is None else scale
    if factor < 1:
        raise ConfigError(f"reference network {name!r} has no scale {factor}; want 1 or more")
    return about.build(factor)


def _imdn(scale: int) -> "nn.Module":
    from edgesr.models.imdn import IMDN

    return IMDN(scale)


def _rfdn(scale: int) -> "nn.Module":
    from edgesr.models.rfdn import RFDN

    return RFDN(scale)


def _rlfn(scale: int) -> "nn.Module":
    from edgesr.models.rlfn import RLFN

    return RLFN(scale)


def _fmen(scale: int) -> "nn.Module":
    from edgesr.models.fmen import FMEN

    return FMEN(scale)


def _efdn(scale: int) -> "nn.Module":
    from edgesr.models.efdn import EFDN

    return EFDN(scale)


def _span(scale: int) -> "nn.Module":
    from edgesr.models.span import SPAN

    return SPAN(scale)


def _bsrn(scale: int) -> "nn.Module":
    from edgesr.models.bsrn import BSRN

    return BSRN(scale)


def _esr_max(scale: int) -> "nn.Module":
    from edgesr.models.edge_sr import EdgeSR

    return EdgeSR(scale)


def _esr_tr(scale: int) -> "nn.Module":
    from edgesr.models.edge_sr import EdgeSR

    return EdgeSR(scale, channels=16, size=7, choice="attend")


def _fsrcnn(scale: int) -> "nn.Module":
    from edgesr.models.fsrcnn import FSRCNN

    return FSRCNN(scale)


REFERENCE_NETS: Mapping[str, ReferenceNet] = MappingProxyType(
    {
        "imdn": ReferenceNet(
            name="imdn",
            title="information multi-distillation; baseline of NTIRE 2022",
            build=_imdn,
            scale=4,
            params=893_936,
            source="Hui et al. 2019, arXiv 1909.11856",
        ),
        "rfdn": ReferenceNet(
            name="rfdn",
            title="residual feature distillation, 50 channels; baseline of NTIRE 2023",
            build=_rfdn,
            scale=4,
            params=433_448,
            source="Liu et al. 2020, arXiv 2009.11551",
        ),
        "rlfn": ReferenceNet(
            name="rlfn",
            title="residual local features, pruned; NTIRE 2022 winner, baseline of NTIRE 2024",
            build=_rlfn,
            scale=4,
            params=317_218,
            source="Kong et al. 2022, arXiv 2205.07514",
        ),
        "fmen": ReferenceNet(
            name="fmen",
            title="fast and memory-efficient, deployed; second of NTIRE 2022",
            build=_fmen,
            scale=4,
            params=341_066,
            source="Du et al. 2022, arXiv 2204.08397",
        ),
        "efdn": ReferenceNet(
            name="efdn",
            title="edge-enhanced feature distillation, deployed; baseline of NTIRE 2025",
            build=_efdn,
            scale=4,
            params=276_192,
            source="Wang 2022, arXiv 2204.08759",
        ),
        "span": ReferenceNet(
            name="span",
            title="parameter-free attention, 28 channels, deployed; baseline of NTIRE 2026",
            build=_span,
            scale=4,
            params=150_688,
            source="Wan et al. 2023, arXiv 2311.12770",
        ),
        "bsrn": ReferenceNet(
            name="bsrn",
            title="BSRN-S, blueprint separable convolutions; NTIRE 2022 complexity winner",
            build=_bsrn,
            scale=4,
            params=156_288,
            source="Li et al. 2022, arXiv 2205.05996",
        ),
        "fsrcnn": ReferenceNet(
            name="fsrcnn",
            title="FSRCNN(56, 12, 4) for RGB, with a transposed convolution",
            build=_fsrcnn,
            scale=3,
            params=24_683,
            source="Dong et al. 2016, arXiv 1608.00367",
        ),
        "esr_max_k3c1": ReferenceNet(
            name="esr_max_k3c1",
            title="edge-SR, one 3x3 filter for every pixel, each colour by itself",
            build=_esr_max,
            scale=3,
            params=81,
            source="Navarrete Michelini et al. 2022, arXiv 2108.10335",
        ),
        "esr_tr_k7c16": ReferenceNet(
            name="esr_tr_k7c16",
            title="edge-SR, the best of 16 7x7 filters by query and key, each colour by itself",
            build=_esr_tr,
            scale=3,
            params=21_168,
            source="Navarrete Michelini et al. 2022, arXiv 2108.10335",
        ),
    }
)
