"""Round a layer's weights one after the other, each making up for the errors before it.

Rounding every weight to the nearest step is not what leaves the least error in the layer's sums:
inputs are correlated, so the error of one weight can be taken back by its neighbours. The inputs
are the integer codes that the layer will really see.

Source: Frantar, Ashkboos, Hoefler, Alistarh 2022, "GPTQ", arXiv 2210.17323, eq. 2-4 and
algorithm 1 (one weight a block), with inputs in order of falling power.
"""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from edgesr.graph.execute import same_padding
from edgesr.graph.ops import Conv2D
from edgesr.quant.scheme import BITS, weight_max

_DAMPING = 0.01
_ROWS = 2**16
_SEED = 0


def rounded_weights(
    op: Conv2D, scales: npt.NDArray[np.float32], inputs: Tensor, *, bits: int = BITS
) -> npt.NDArray[np.int8]:
    """Return the integer weight of ``op`` that leaves the least squared error in its sums.

    Args:
        op: the layer with its float weight ``(out, kh, kw, in)``.
        scales: step per output channel.
        inputs: what the layer reads on its grid, without zero point, ``(n, c, h, w)``.
        bits: width of the weight.
    """
    hessian = _input_power(op, inputs)
    weight = torch.from_numpy(op.weight).double().permute(0, 3, 1, 2).flatten(1)
    steps = weight / torch.from_numpy(scales).double()[:, None]
    order = hessian.diagonal().argsort(descending=True)
    codes = torch.empty_like(steps)
    codes[:, order] = _round_in_turn(steps[:, order], hessian[order][:, order], weight_max(bits))
    height, width, channels = op.weight.shape[1:]
    shaped = codes.reshape(-1, channels, height, width).permute(0, 2, 3, 1)
    return shaped.contiguous().to(torch.int8).numpy()


def _input_power(op: Conv2D, inputs: Tensor) -> Tensor:
    """Return the damped matrix of second moments of the layer's inputs, ``X X^T``."""
    height, width = op.weight.shape[1:3]
    if op.padding == "same":
        inputs = functional.pad(inputs, same_padding(op, inputs.shape[2], inputs.shape[3]))
    windows = functional.unfold(inputs.float(), (height, width), stride=op.stride)
    rows = windows.transpose(1, 2).flatten(0, 1)
    if len(rows) > _ROWS:
        chosen = torch.randperm(len(rows), generator=torch.Generator().manual_seed(_SEED))[:_ROWS]
        rows = rows[chosen]
    power = (rows.T @ rows).double() / len(rows)
    damping = _DAMPING * power.diagonal().mean().clamp(min=1.0)
    return power + damping * torch.eye(len(power), dtype=torch.float64)


def _round_in_turn(steps: Tensor, hessian: Tensor, largest: int) -> Tensor:
    """Round the columns of ``steps`` from left to right. Source: arXiv 2210.17323, algorithm 1."""
    inverse = torch.linalg.cholesky(
        torch.cholesky_inverse(torch.linalg.cholesky(hessian)), upper=True
    )
    left = steps.clone()
    codes = torch.empty_like(steps)
    for column in range(steps.shape[1]):
        codes[:, column] = left[:, column].round().clamp(-largest, largest)
        error = (left[:, column] - codes[:, column]) / inverse[column, column]  # eq. 2
        left[:, column + 1 :] -= error[:, None] * inverse[column, column + 1 :]  # eq. 3
    return codes
