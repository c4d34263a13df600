from dataclasses import replace

import torch
from torch import Tensor, nn

from edgesr.binary.conv import BinaryConv2d
from edgesr.binary.style import BinaryStyle, find_style

PUBLISHED = replace(find_style("bidiffsr"), padding="zero", zero=0)
"""BI-DiffSR's block as its code has it; the golden values are of that."""


def wave(*shape: int) -> Tensor:
    count = torch.Size(shape).numel()
    return torch.sin(0.1 * torch.arange(count, dtype=torch.float64) + 0.3).reshape(shape)


def golden(module: nn.Module) -> nn.Module:
    """Fill a block with the parameters that the golden values were computed with."""
    convolutions = [part for part in module.modules() if isinstance(part, BinaryConv2d)]
    for conv, pitch in zip(convolutions, (0.37, 0.53), strict=False):
        flat = torch.arange(conv.weight.numel(), dtype=torch.float64)
        channel = torch.arange(conv.channels, dtype=torch.float64)
        group = torch.arange(conv.style.groups, dtype=torch.float64)[:, None]
        tables = {
            "weight": 0.5 * torch.cos(pitch * flat).reshape(conv.weight.shape),
            "shift": 0.05 * (channel - 1) + 0.01 * group,
            "before": (0.02 * channel - 0.03).expand(len(group), -1),
            "bend": (0.25 + 0.01 * channel).expand(len(group), -1),
            "after": 0.01 * group - 0.02 * channel,
        }
        for name, table in tables.items():
            setattr(conv, name, nn.Parameter(table.clone()))
    return module


def style(**changes: object) -> BinaryStyle:
    return replace(find_style("bidiffsr"), **changes)  # type: ignore[arg-type]
