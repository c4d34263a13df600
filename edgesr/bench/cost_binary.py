"""What a network of one-bit convolutions costs: by the papers' rule, and in real bytes.

The rule of BI-DiffSR's table counts a one-bit parameter as 1/32 and a one-bit multiply-accumulate
as 1/64 of a float one, attention's products, and 5 operations for each value of a group norm. No
processor that we know of is 64 times faster on bits; the file and a stopwatch tell the rest.

Source: Chen et al. 2024 (BI-DiffSR), arXiv 2406.05723, section 4.1 and table 2, whose figures this
rule gives to all printed digits.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from edgesr.binary.conv import BinaryConv2d
from edgesr.errors import GraphError
from edgesr.models.bidiffsr import GroupedTime
from edgesr.models.denoiser import Denoiser
from edgesr.models.resshift_px_binary import GroupOfTime
from edgesr.models.self_attention import SelfAttention

_PARAMS_RULE, _OPS_RULE, _NORM_OPS = 32, 64, 5
_BITS = 8
_HALF_BYTES = 2


@dataclass(frozen=True, kw_only=True)
class BinaryCost:
    """Costs of one evaluation.

    Attributes:
        binary_params: weights of one bit.
        float_params: all others.
        binary_macs: multiply-accumulates of bits.
        float_macs: of float convolutions and linear layers.
        attention_macs: of attention's two products.
        norm_values: values that group norms read.
    """

    binary_params: int
    float_params: int
    binary_macs: int
    float_macs: int
    attention_macs: int
    norm_values: int

    @property
    def paper_params(self) -> float:
        """Return ``binary / 32 + float``, as papers print it."""
        return self.binary_params / _PARAMS_RULE + self.float_params

    @property
    def float_ops(self) -> int:
        """Return the operations that stay float, by the rule."""
        return self.float_macs + self.attention_macs + _NORM_OPS * self.norm_values

    @property
    def paper_ops(self) -> float:
        """Return ``binary / 64 + float``, as papers print it."""
        return self.binary_macs / _OPS_RULE + self.float_ops

    @property
    def float_share(self) -> float:
        """Return the share of ``paper_ops`` that is float, 0 to 1."""
        return self.float_ops / self.paper_ops if self.paper_ops else 0.0

    @property
    def packed_bytes(self) -> int:
        """Return the least bytes of a file: a bit for each binary weight, 2 for each other one."""
        return -(-self.binary_params // _BITS) + _HALF_BYTES * self.float_params


def binary_cost(network: Denoiser, *, shape: tuple[int, int]) -> BinaryCost:
    """Count one evaluation of a denoiser; nothing is computed.

    Args:
        network: one with binary convolutions, on any device; its weights are not read.
        shape: ``(h, w)`` of the result.

    Raises:
        GraphError: the network is of another kind, or its halvings do not divide the shape.
    """
    if not isinstance(network.time, (GroupedTime, GroupOfTime)):
        raise GraphError("this denoiser has no binary convolution; count it with denoiser_cost")
    conditioning = network.conditioning
    shrunk = conditioning.scale if conditioning.grid == "lr" else 1
    multiple = conditioning.multiple * shrunk
    if shape[0] % multiple or shape[1] % multiple:
        raise GraphError(f"shape {shape[0]}x{shape[1]}: want multiples of {multiple}")
    grid = (shape[0] // shrunk, shape[1] // shrunk)
    weights = {name: value.to("meta") for name, value in network.core.state_dict().items()}
    counts = {"binary": 0, "float": 0, "attention": 0, "norm": 0}

    def count(module: nn.Module, _inputs: Any, made: Tensor) -> None:
        if isinstance(module, BinaryConv2d):
            counts["binary"] += made.numel() * module.channels * module.size**2
        elif isinstance(module, nn.Conv2d):
            counts["float"] += made.numel() * module.weight[0].numel()
        elif isinstance(module, nn.Linear):
            counts["float"] += made.numel() * module.in_features
        elif isinstance(module, nn.GroupNorm):
            counts["norm"] += made.numel()
        elif isinstance(module, SelfAttention):
            pixels = made.shape[2] * made.shape[3]
            counts["attention"] += 2 * pixels**2 * made.shape[1]

    hooks = [part.register_forward_hook(count) for part in network.modules()]
    joined = torch.empty(1, conditioning.channels, *grid, device="meta")
    embedding = torch.zeros(1, network.time.length, device="meta")
    try:
        with torch.no_grad():
            functional_call(network.core, weights, (joined, embedding))
    finally:
        for hook in hooks:
            hook.remove()
    bits = sum(p.weight.numel() for p in network.modules() if isinstance(p, BinaryConv2d))
    return BinaryCost(
        binary_params=bits,
        float_params=sum(p.numel() for p in network.parameters()) - bits,
        binary_macs=counts["binary"],
        float_macs=counts["float"],
        attention_macs=counts["attention"],
        norm_values=counts["norm"],
    )
