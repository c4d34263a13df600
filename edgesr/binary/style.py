"""Which of the published ways a layer of one bit follows."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from edgesr.errors import ConfigError

OWN_NAME = "own"
"""Chooses the style that a network is registered with."""


@dataclass(frozen=True, kw_only=True)
class BinaryStyle:
    """Choices of a layer.

    Attributes:
        groups: ``K``, how many parts of the timesteps have shifts and activations of their own.
        steps: ``T``, number of timesteps that the groups divide evenly.
        shift: whether a learned shift stands before the sign.
        activation: whether RPReLU stands behind the convolution.
        identity: whether the input is added to the result.
        gain: per-pixel factor: ``none``, ``box`` (XNOR-Net's mean over the window) or ``learned``
            (BiDM's).
        slope: gradient of the activation's sign, a name in ``SLOPES``.
        weights: a name in ``WEIGHT_BINARIZERS``.
        weight_slope: gradient of the weight's sign, a name in ``SLOPES``.
        padding: what stands outside the image after the sign: ``one``, which a packed kernel has
            for free, or ``zero``, as published.
        zero: sign of 0, of activations and weights: 1, or 0 as in published code, which no bit
            can hold.
    """

    groups: int = 1
    steps: int = 2000
    shift: bool = True
    activation: bool = True
    identity: bool = True
    gain: Literal["none", "box", "learned"] = "none"
    slope: str = "piecewise"
    weights: str = "xnor"
    weight_slope: str = "clip"
    padding: Literal["one", "zero"] = "one"
    zero: int = 1

    def __post_init__(self) -> None:
        """Check what has no type.

        Raises:
            ConfigError: no groups, or more of them than timesteps.
        """
        if not 1 <= self.groups <= self.steps:
            raise ConfigError(
                f"groups = {self.groups}: want 1 to {self.steps}, the number of timesteps"
            )


@dataclass(frozen=True, kw_only=True)
class StyleChoice:
    """What a run or a file says of the style, where it is not the network's own.

    Attributes:
        name: in ``STYLES``, or ``own``.
        groups: ``K``; 0 keeps what the network has, 1 leaves timesteps out of the layers.
    """

    name: str = OWN_NAME
    groups: int = 0

    def of(self, own: BinaryStyle) -> BinaryStyle:
        """Return the style that a network of style ``own`` takes.

        Timesteps, what stands outside the image and the sign of 0 stay the network's; so do its
        groups where the named style has several.

        Raises:
            ConfigError: no such style, more groups than timesteps, or several groups of a style
                that has neither shift nor activation to hold them.
        """
        named = own if self.name == OWN_NAME else find_style(self.name)
        kept = own.groups if named.groups > 1 else 1
        chosen = replace(
            named,
            steps=own.steps,
            padding=own.padding,
            zero=own.zero,
            groups=self.groups or kept,
        )
        if chosen.groups > 1 and not (chosen.shift or chosen.activation):
            raise ConfigError(
                f"groups = {chosen.groups}: binary style {self.name} has no shift or activation "
                "that could differ between groups; want 1"
            )
        return chosen


OWN = StyleChoice()
"""The network's own style."""

STYLES: Mapping[str, BinaryStyle] = MappingProxyType(
    {
        # arXiv 2406.05723, sections 3.2 and 3.3; published: padding="zero", zero=0
        "bidiffsr": BinaryStyle(groups=5),
        # Xia et al. 2023, arXiv 2305.11950: the same block without timesteps
        "bbcu": BinaryStyle(),
        # Liu et al. 2020, arXiv 2003.03488
        "reactnet": BinaryStyle(identity=False),
        # arXiv 1909.10788
        "irnet": BinaryStyle(
            shift=False,
            activation=False,
            identity=False,
            slope="annealed",
            weights="irnet",
            weight_slope="annealed",
        ),
        # arXiv 1606.06160; its activations are 0 and 1, here signs as in comparisons of others
        "dorefa": BinaryStyle(
            shift=False, activation=False, identity=False, slope="clip", weights="dorefa"
        ),
        # arXiv 1603.05279
        "xnor": BinaryStyle(
            shift=False, activation=False, identity=False, gain="box", slope="clip"
        ),
        # arXiv 1602.02830
        "bnn": BinaryStyle(
            shift=False, activation=False, identity=False, slope="clip", weights="plain"
        ),
        # Zheng et al. 2024, arXiv 2412.05926, section 3.2
        "bidm": BinaryStyle(activation=False, gain="learned"),
    }
)


def find_style(name: str) -> BinaryStyle:
    """Return a style by name.

    Raises:
        ConfigError: no such style.
    """
    if name not in STYLES:
        known = ", ".join((OWN_NAME, *STYLES))
        raise ConfigError(f"binary style {name!r} is unknown; choose one of {known}")
    return STYLES[name]
