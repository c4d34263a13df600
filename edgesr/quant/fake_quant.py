"""Integer arithmetic with gradients: the primitives of quantization-aware training.

Values are whole numbers in float32 tensors, codes without their zero point, and every scale is a
tensor of its own. Rounding passes gradients straight through and saturation stops them. Because a
scale divides where a tensor is made and multiplies where it is read, plain differentiation gives
the gradient of LSQ: ``round(v / s) - v / s`` inside the range, the range's end outside.

Source: Esser et al. 2020, "Learned Step Size Quantization", arXiv 1902.08153, eq. 3;
Bhalgat et al. 2020, "LSQ+", arXiv 2004.09576, eq. 4 (asymmetric ranges).
"""

from typing import Any, cast

from torch import Tensor
from torch.autograd.function import Function, FunctionCtx


def to_steps(values: Tensor, *, low: float, high: float) -> Tensor:
    """Round half to even, saturate to ``[low, high]``; the gradient is 1 where nothing saturates.

    Args:
        values: reals divided by their scale, any shape.
        low: smallest result.
        high: largest result.
    """
    return cast("Tensor", _RoundClamp.apply(values, low, high))  # type: ignore[no-untyped-call]


def requantize(sums: Tensor, factors: Tensor, *, low: float, high: float) -> Tensor:
    """Bring convolution sums to the output grid as XNNPACK does, with gradients.

    Args:
        sums: whole numbers but for the noise of the convolution, ``(n, c, h, w)``.
        factors: input scale times weight scale over output scale, ``(c,)``.
        low: smallest result.
        high: largest result.
    """
    return cast("Tensor", _Requantize.apply(sums, factors, low, high))  # type: ignore[no-untyped-call]


def scale_gradient(values: Tensor, factor: float) -> Tensor:
    """Return ``values`` unchanged; their gradient is multiplied by ``factor``."""
    return cast("Tensor", _ScaleGradient.apply(values, factor))  # type: ignore[no-untyped-call]


def lsq_factor(count: int, largest: float) -> float:
    """Return the factor of a scale's gradient, ``1 / sqrt(count * largest)``.

    Args:
        count: values that share the scale (of an activation: in one image).
        largest: largest number of steps above 0.

    Source: arXiv 1902.08153, section 2.2.
    """
    return float((count * max(largest, 1.0)) ** -0.5)


class _RoundClamp(Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, low: float, high: float) -> Tensor:
        rounded = values.round()
        clamped = rounded.clamp(low, high)
        ctx.save_for_backward(rounded == clamped)
        return clamped

    @staticmethod
    def backward(ctx: FunctionCtx, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (inside,) = cast("Any", ctx).saved_tensors
        return gradients[0] * inside, None, None


class _Requantize(Function):
    @staticmethod
    def forward(ctx: Any, sums: Tensor, factors: Tensor, low: float, high: float) -> Tensor:
        whole = sums.round()
        rounded = (whole * factors.view(1, -1, 1, 1)).round_()
        clamped = rounded.clamp(low, high)
        ctx.save_for_backward(whole, factors, rounded == clamped)
        return clamped

    @staticmethod
    def backward(ctx: FunctionCtx, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None]:
        sums, factors, inside = cast("Any", ctx).saved_tensors
        passed = gradients[0] * inside
        of_factors = (passed * sums).sum(dim=(0, 2, 3))
        return passed * factors.view(1, -1, 1, 1), of_factors, None, None


class _ScaleGradient(Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return values.view_as(values)

    @staticmethod
    def backward(ctx: FunctionCtx, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0] * cast("Any", ctx).factor, None
