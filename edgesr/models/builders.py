"""How the networks in ``MODELS`` are made; torch is imported when the first of them is."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import nn

    from edgesr.models.reparameterize import MakeConv

Form = Literal["deploy", "training"]
"""``deploy`` is what is exported; ``training`` has branches that fold into it."""

Build = Callable[[int, Form], "nn.Module"]
"""Upscaling factor and form to a network with fresh weights."""


def _conv(form: Form, training: str) -> "MakeConv":
    from edgesr.models import training_convs
    from edgesr.models.reparameterize import plain

    kinds: dict[str, MakeConv] = {
        "collapsible": training_convs.collapsible,
        "edge_oriented": training_convs.edge_oriented,
        "widened": training_convs.widened,
    }
    return plain if form == "deploy" else kinds[training]


def ncnet(scale: int, form: Form) -> "nn.Module":
    """Build NCNet."""
    from edgesr.models.ncnet import NCNet

    return NCNet(scale, conv=_conv(form, "widened"))


def abpn(scale: int, form: Form) -> "nn.Module":
    """Build ABPN."""
    from edgesr.models.abpn import ABPN

    return ABPN(scale, conv=_conv(form, "widened"))


def xlsr(scale: int, form: Form) -> "nn.Module":  # noqa: ARG001 - as the others
    """Build XLSR, which has one form."""
    from edgesr.models.xlsr import XLSR

    return XLSR(scale)


def espcn(scale: int, form: Form) -> "nn.Module":
    """Build ESPCN."""
    from edgesr.models.espcn import ESPCN

    return ESPCN(scale, conv=_conv(form, "widened"))


def sesr(*, width: int, depth: int) -> Build:
    """Return what builds a SESR."""

    def build(scale: int, form: Form) -> "nn.Module":
        from edgesr.models.sesr import SESR

        return SESR(scale, width=width, depth=depth, conv=_conv(form, "collapsible"))

    return build


def quicksrnet(*, width: int, depth: int, anchor: bool = False) -> Build:
    """Return what builds a QuickSRNet."""

    def build(scale: int, form: Form) -> "nn.Module":
        from edgesr.models.quicksrnet import QuickSRNet

        conv = _conv(form, "widened")
        return QuickSRNet(scale, width=width, depth=depth, anchor=anchor, conv=conv)

    return build


def ecbsr(*, width: int, depth: int) -> Build:
    """Return what builds an ECBSR with ReLU."""

    def build(scale: int, form: Form) -> "nn.Module":
        from edgesr.models.ecbsr import ECBSR

        return ECBSR(scale, width=width, depth=depth, conv=_conv(form, "edge_oriented"))

    return build


def etds(*, width: int, depth: int) -> Build:
    """Return what builds an ETDS."""

    def build(scale: int, form: Form) -> "nn.Module":
        from edgesr.models.etds import ETDS, DualStream

        network = ETDS if form == "deploy" else DualStream
        return network(scale, width=width, depth=depth)

    return build


def pureconv(*, width: int, depth: int) -> Build:
    """Return what builds a PureConv."""

    def build(scale: int, form: Form) -> "nn.Module":
        from edgesr.models.pureconv import PureConv

        return PureConv(scale, width=width, depth=depth, conv=_conv(form, "widened"))

    return build


def edge(*, width: int, depth: int) -> Build:
    """Return what builds a network of the edge family."""

    def build(scale: int, form: Form) -> "nn.Module":
        from edgesr.models.edge import EdgeNet

        return EdgeNet(scale, width=width, depth=depth, conv=_conv(form, "widened"))

    return build
