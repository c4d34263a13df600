"""A value with a gradient that is not its own."""

from typing import Any

import torch
from torch import Tensor


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, source: Tensor, value: Tensor, slope: Tensor) -> Tensor:
        del source
        ctx.save_for_backward(slope)
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (slope,) = ctx.saved_tensors
        return gradients[0] * slope, None, None


def straight_through(source: Tensor, value: Tensor, slope: Tensor) -> Tensor:
    """Return ``value``; what flows back to ``source`` is the gradient times ``slope``.

    All three are of one shape.

    Source: Bengio et al. 2013, arXiv 1308.3432, section 3.
    """
    made: Tensor = _StraightThrough.apply(source, value, slope)  # type: ignore[no-untyped-call]
    return made
