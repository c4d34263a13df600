"""Gradients of the quantizers: against LSQ's closed form, and against finite differences."""

import numpy as np
import pytest
import torch
from torch import Tensor

from edgesr.quant.fake_quant import lsq_factor, requantize, scale_gradient, to_steps


def lsq_scale_gradient(values: Tensor, scale: Tensor, low: float, high: float) -> Tensor:
    """Return the gradient of every quantized value by its scale: arXiv 1902.08153, eq. 3."""
    steps = values / scale
    inside = steps.round() - steps
    return torch.where(steps <= low, low, torch.where(steps >= high, high, inside))


@pytest.mark.parametrize(("low", "high"), [(-128.0, 127.0), (0.0, 255.0), (-127.0, 127.0)])
def test_the_gradient_of_a_scale_is_that_of_lsq(low: float, high: float) -> None:
    torch.manual_seed(0)
    values = torch.randn(4000) * 120
    scale = torch.tensor(0.7, requires_grad=True)
    weights = torch.randn(4000)
    (weights * scale * to_steps(values / scale, low=low, high=high)).sum().backward()  # type: ignore[no-untyped-call]
    clear = ((values / 0.7 - low).abs() > 1) & ((values / 0.7 - high).abs() > 1)
    wanted = lsq_scale_gradient(values, scale.detach(), low, high)
    assert clear.sum() > 3900
    scale_of_clear = torch.tensor(0.7, requires_grad=True)
    made = scale_of_clear * to_steps(values[clear] / scale_of_clear, low=low, high=high)
    (weights[clear] * made).sum().backward()  # type: ignore[no-untyped-call]
    assert scale_of_clear.grad is not None
    assert float(scale_of_clear.grad) == pytest.approx(
        float((weights * wanted)[clear].sum()), rel=1e-4
    )


def test_the_gradient_of_a_value_is_one_inside_and_zero_outside() -> None:
    values = torch.tensor([-200.0, -128.4, -3.2, 0.0, 90.7, 127.4, 300.0], requires_grad=True)
    to_steps(values, low=-128, high=127).sum().backward()  # type: ignore[no-untyped-call]
    assert values.grad is not None
    assert values.grad.tolist() == [0, 1, 1, 1, 1, 1, 0]


def test_outside_the_range_the_gradient_is_that_of_finite_differences() -> None:
    values = torch.tensor([400.0, 500.0, -900.0], dtype=torch.float64)

    def real(scale: Tensor) -> Tensor:
        return (scale * to_steps(values / scale, low=-128, high=127)).sum()

    scale = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    real(scale).backward()  # type: ignore[no-untyped-call]
    step = 1e-4
    with torch.no_grad():
        wanted = (real(scale + step) - real(scale - step)) / (2 * step)
    assert scale.grad is not None
    assert float(scale.grad) == pytest.approx(float(wanted), rel=1e-6)


def test_requantization_has_the_gradients_of_its_smooth_form() -> None:
    torch.manual_seed(0)
    sums = (torch.randn(2, 3, 5, 5) * 4000).round().requires_grad_()
    factors = torch.tensor([0.01, 0.03, 0.002], requires_grad=True)
    weights = torch.randn(2, 3, 5, 5)
    (weights * requantize(sums, factors, low=0, high=100)).sum().backward()  # type: ignore[no-untyped-call]
    found = [sums.grad, factors.grad]
    smooth_sums, smooth_factors = (one.detach().clone().requires_grad_() for one in (sums, factors))
    smooth = smooth_sums * smooth_factors.view(1, -1, 1, 1)
    inside = ((smooth > -0.5) & (smooth < 100.5)).float()
    (weights * smooth * inside.detach()).sum().backward()  # type: ignore[no-untyped-call]
    for one, wanted in zip(found, (smooth_sums.grad, smooth_factors.grad), strict=True):
        assert one is not None
        assert wanted is not None
        torch.testing.assert_close(one, wanted)


def test_requantization_rounds_as_xnnpack_does() -> None:
    sums = torch.arange(-500.0, 500.0).view(1, 1, 20, 50) + 1e-3
    found = requantize(sums, torch.tensor([0.25]), low=-90, high=100).flatten()
    wanted = np.rint(np.arange(-500, 500) * 0.25).clip(-90, 100)
    assert np.array_equal(found.numpy(), wanted)


def test_the_factor_of_a_scale_is_that_of_lsq_and_leaves_values_alone() -> None:
    assert lsq_factor(400, 127) == pytest.approx((400 * 127) ** -0.5)
    values = torch.tensor([3.0], requires_grad=True)
    scaled = scale_gradient(values, 0.25)
    scaled.sum().backward()  # type: ignore[no-untyped-call]
    assert torch.equal(scaled.detach(), values.detach())
    assert values.grad is not None
    assert values.grad.item() == 0.25
