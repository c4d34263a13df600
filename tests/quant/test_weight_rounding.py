import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from edgesr.graph.ops import Conv2D
from edgesr.quant.weight_rounding import rounded_weights


def layer(seed: int = 0) -> Conv2D:
    random = np.random.default_rng(seed)
    weight = random.normal(0, 0.1, (8, 3, 3, 6)).astype(np.float32)
    return Conv2D(
        name="layer",
        inputs=("x",),
        output="y",
        weight=weight,
        bias=np.zeros(8, np.float32),
    )


def scales(op: Conv2D, levels: int) -> NDArray[np.float32]:
    largest: NDArray[np.float32] = np.abs(op.weight).max(axis=(1, 2, 3))
    return largest / np.float32(levels)


def smooth_inputs() -> Tensor:
    """Neighbouring pixels and channels that say nearly the same, as in images."""
    generator = torch.Generator().manual_seed(1)
    coarse = torch.rand(4, 1, 9, 9, generator=generator)
    fine = functional.interpolate(coarse, size=(36, 36), mode="bilinear")
    noise = 0.02 * torch.rand(4, 6, 36, 36, generator=generator)
    return (255 * (fine + noise)).round()


def error(op: Conv2D, codes: Tensor, steps: NDArray[np.float32], inputs: Tensor) -> float:
    weight = torch.from_numpy(op.weight).permute(0, 3, 1, 2)
    rounded = codes.permute(0, 3, 1, 2) * torch.from_numpy(steps).view(-1, 1, 1, 1)
    return float((functional.conv2d(inputs, weight - rounded, padding=1) ** 2).mean())


def test_sums_keep_their_values_better_than_by_nearest_rounding() -> None:
    op, inputs = layer(), smooth_inputs()
    steps = scales(op, 7)
    nearest = torch.from_numpy(op.weight / steps[:, None, None, None]).round()
    ours = torch.from_numpy(rounded_weights(op, steps, inputs)).float()
    assert error(op, ours, steps, inputs) < 0.25 * error(op, nearest, steps, inputs)


def test_weights_on_the_grid_stay() -> None:
    op = layer()
    steps = scales(op, 127)
    codes = np.rint(op.weight / steps[:, None, None, None])
    exact = Conv2D(
        name="exact",
        inputs=("x",),
        output="y",
        weight=(codes * steps[:, None, None, None]).astype(np.float32),
        bias=op.bias,
    )
    assert np.array_equal(rounded_weights(exact, steps, smooth_inputs()), codes)


def test_codes_stay_in_range_and_dead_inputs_do_no_harm() -> None:
    op = layer()
    codes = rounded_weights(op, scales(op, 200), torch.zeros(1, 6, 12, 12))
    assert codes.dtype == np.int8
    assert int(codes.min()) >= -127
