"""A layer whose weights learn whether they are rounded down or up.

Source: Nagel et al. 2020, "Up or Down? Adaptive Rounding for Post-Training Quantization",
arXiv 2004.10568, eq. 20-25.
"""

import numpy as np
import torch
from torch import Tensor, nn

from edgesr.graph.ops import WeightedOp
from edgesr.quant.fake_quant import to_steps
from edgesr.quant.scheme import QuantizedWeight, weight_max
from edgesr.quant.weights import channel_axis

_ZETA, _GAMMA = 1.1, -0.1


class SoftRoundedLayer(nn.Module):
    """Fixed scales and bias; every weight lies between the two codes next to its float value.

    Args:
        op: the layer with its float weight in TFLite's layout.
        start: its scales; its codes are not used.
        bias: float bias, ``(c,)``, in real units.

    Attributes:
        fixed: False; the layer is trained.
        learns_scales: False.
        hard: whether weights are at one of their two codes, as they will be in the file.
    """

    start: Tensor
    below: Tensor

    def __init__(self, op: WeightedOp, start: QuantizedWeight, bias: Tensor) -> None:
        super().__init__()
        self.fixed = self.learns_scales = self.hard = False
        self.largest = weight_max(start.bits)
        axis = channel_axis(op)
        self.shape = tuple(-1 if one == axis else 1 for one in range(op.weight.ndim))
        self.register_buffer("start", torch.from_numpy(start.scales.copy()))
        self.weight = nn.Parameter(torch.from_numpy(op.weight.copy()), requires_grad=False)
        self.bias = nn.Parameter(bias.detach().clone(), requires_grad=False)
        self.gain = nn.Parameter(torch.zeros(len(start.scales)), requires_grad=False)
        steps = torch.from_numpy(op.weight.astype(np.float64)) / self.start.double().view(
            self.shape
        )
        self.register_buffer("below", steps.floor().float())
        share = (steps - steps.floor()).clamp(1e-4, 1 - 1e-4).float()
        start_logit = -torch.log((_ZETA - _GAMMA) / (share - _GAMMA) - 1.0)
        self.logit = nn.Parameter(start_logit)

    def share(self) -> Tensor:
        """Return how far up every weight is, 0 to 1."""
        return (self.logit.sigmoid() * (_ZETA - _GAMMA) + _GAMMA).clamp(0.0, 1.0)  # eq. 23

    def indecision(self, beta: float) -> Tensor:
        """Return the sum over weights of ``1 - |2 h - 1| ** beta``."""
        return (1.0 - (2.0 * self.share() - 1.0).abs() ** beta).sum()  # eq. 24

    def scales(self) -> Tensor:
        """Return the scale of every output channel, ``(c,)``."""
        return self.start

    def integers(self, source_scale: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return weight, bias and scales as ``QatLayer.integers`` does; the weight may be soft."""
        share = (self.share() >= 0.5).float() if self.hard else self.share()  # noqa: PLR2004
        codes = (self.below + share).clamp(-self.largest, self.largest)
        bias = to_steps(
            self.bias / (source_scale * self.start), low=-(2.0**31), high=2.0**31 - 2**7
        )
        return codes, bias, self.start

    def follow_maximum(self) -> None:
        """Do nothing: the scales are fixed."""
