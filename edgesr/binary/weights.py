"""Weights of one bit, and the factor that an output channel has."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

from edgesr.binary.sign import Slope, clip, signs
from edgesr.binary.straight_through import straight_through
from edgesr.errors import ConfigError

_LITTLE = 1e-12


@dataclass(frozen=True, kw_only=True)
class WeightBinarizer:
    """How float weights ``(out, in, h, w)`` become signs and factors.

    Attributes:
        prepare: weights to the values whose sign is taken, of the same shape.
        factor: those values to ``(out, 1, 1, 1)``, not negative.
    """

    prepare: Callable[[Tensor], Tensor]
    factor: Callable[[Tensor], Tensor]

    def __call__(self, weight: Tensor, slope: Slope = clip, *, zero: int = 1) -> Tensor:
        """Return ``factor * sign``; the gradient is ``slope``'s, without the factor.

        Args:
            weight: ``(out, in, h, w)``.
            slope: gradient of the sign at every prepared value.
            zero: sign of 0, 1 or 0.
        """
        values = self.prepare(weight)
        fixed = values.detach()
        return straight_through(values, self.factor(fixed) * signs(fixed, zero=zero), slope(fixed))

    def parts(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Return signs ``(out, in, h, w)`` and factors ``(out,)``, for a packed kernel."""
        with torch.no_grad():
            values = self.prepare(weight)
            return signs(values), self.factor(values).flatten()


def _as_it_is(weight: Tensor) -> Tensor:
    return weight


def _standardized(weight: Tensor) -> Tensor:
    mean = weight.mean(dim=(1, 2, 3), keepdim=True)
    spread = weight.std(dim=(1, 2, 3), keepdim=True)
    return (weight - mean) / (spread + _LITTLE)


def _one(values: Tensor) -> Tensor:
    return torch.ones_like(values[:, :1, :1, :1])


def _mean_by_channel(values: Tensor) -> Tensor:
    return values.abs().mean(dim=(1, 2, 3), keepdim=True)


def _mean_of_all(values: Tensor) -> Tensor:
    return values.abs().mean() * _one(values)


def _power_of_two(values: Tensor) -> Tensor:
    return torch.exp2(torch.round(torch.log2(_mean_by_channel(values) + _LITTLE)))


WEIGHT_BINARIZERS: Mapping[str, WeightBinarizer] = MappingProxyType(
    {
        # Courbariaux et al. 2016 (BNN), arXiv 1602.02830
        "plain": WeightBinarizer(prepare=_as_it_is, factor=_one),
        # Rastegari et al. 2016 (XNOR-Net), arXiv 1603.05279, eq. 6
        "xnor": WeightBinarizer(prepare=_as_it_is, factor=_mean_by_channel),
        # Zhou et al. 2016 (DoReFa-Net), arXiv 1606.06160, eq. 7
        "dorefa": WeightBinarizer(prepare=_as_it_is, factor=_mean_of_all),
        # Qin et al. 2020 (IR-Net), arXiv 1909.10788, section 3.2
        "irnet": WeightBinarizer(prepare=_standardized, factor=_power_of_two),
    }
)


def find_weight_binarizer(name: str) -> WeightBinarizer:
    """Return a weight binarizer by name.

    Raises:
        ConfigError: no such binarizer.
    """
    if name not in WEIGHT_BINARIZERS:
        known = ", ".join(WEIGHT_BINARIZERS)
        raise ConfigError(f"weight binarizer {name!r} is unknown; choose one of {known}")
    return WEIGHT_BINARIZERS[name]
