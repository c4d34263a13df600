"""edge-SR: one layer of filters, of which the largest or the best matching answer is taken.

Source: Navarrete Michelini, Lu, Jiang 2022, "edge-SR: Super-Resolution For The Masses", arXiv
2108.10335. It is a network of one channel; every colour goes through it by itself.
"""

from typing import Literal

import torch
from torch import Tensor, nn


class EdgeSR(nn.Module):
    """A convolution, a pixel shuffle, and a choice between channels.

    Args:
        scale: upscaling factor.
        channels: candidates for every pixel; the number behind C in the network's name.
        size: side of the filters, odd; the number behind K.
        choice: ``max`` takes the largest (eSR-MAX); ``match`` weighs by a template (eSR-TM);
            ``attend`` by the product of query and key (eSR-TR).
    """

    def __init__(
        self,
        scale: int,
        *,
        channels: int = 1,
        size: int = 3,
        choice: Literal["max", "match", "attend"] = "max",
    ) -> None:
        super().__init__()
        self.channels = channels
        parts = {"max": 1, "match": 2, "attend": 3}[choice]
        self.filter = nn.Conv2d(1, parts * channels * scale**2, size, padding=size // 2, bias=False)
        self.shuffle = nn.PixelShuffle(scale)
        nn.init.xavier_normal_(self.filter.weight)
        with torch.no_grad():
            self.filter.weight[:, 0, size // 2, size // 2] = 1.0

    def forward(self, lr: Tensor) -> Tensor:
        """Map RGB ``(n, 3, h, w)`` to ``(n, 3, h * scale, w * scale)``."""
        count, colours, height, width = lr.shape
        found = self.shuffle(self.filter(lr.reshape(count * colours, 1, height, width)))
        value, *keys = torch.split(found, self.channels, dim=1)
        if keys:
            weights = torch.stack(keys).prod(0).softmax(1)
            chosen = (value * weights).sum(1)
        else:
            chosen = value.amax(1)
        sr: Tensor = chosen.reshape(count, colours, *chosen.shape[1:])
        return sr
