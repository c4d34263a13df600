"""The block of NAFNet with a timestep, as Refusion uses it: a float reference.

Layer norm, the product of two halves and a gate from the image's mean have no exact INT8 form, so
that a network of these blocks is refused when captured.

Source: Chen, Chu, Zhang, Sun 2022, "Simple Baselines for Image Restoration", arXiv 2204.04676;
timestep after the norms as in Luo, Gustafsson, Zhao et al. 2023, "Refusion", arXiv 2304.08291, here
with a positive scale.
"""

import torch
from torch import Tensor, nn

from edgesr.models.time_embedding import FiLM, fold_affine, timed


class NafBlock(nn.Module):
    """Gated depthwise part, then gated pointwise part, each added with a learned step.

    Args:
        width: channels.
        embedding: length of the timestep's embedding.
    """

    def __init__(self, width: int, *, embedding: int) -> None:
        super().__init__()
        self.norm = TimedLayerNorm(width, embedding=embedding)
        self.spread = nn.Conv2d(width, 2 * width, 1)
        self.depthwise = nn.Conv2d(2 * width, 2 * width, 3, padding=1, groups=2 * width)
        self.attend = nn.Conv2d(width, width, 1)
        self.join = nn.Conv2d(width, width, 1)
        self.second_norm = TimedLayerNorm(width, embedding=embedding)
        self.second_spread = nn.Conv2d(width, 2 * width, 1)
        self.second_join = nn.Conv2d(width, width, 1)
        self.step = nn.Parameter(torch.zeros(1, width, 1, 1))
        self.second_step = nn.Parameter(torch.zeros(1, width, 1, 1))

    def forward(self, features: Tensor, embedding: Tensor | None) -> Tensor:
        """Map ``(n, width, h, w)`` to the same shape."""
        gated = _gate(self.depthwise(self.spread(self.norm(features, embedding))))
        mean = gated.mean(dim=(2, 3), keepdim=True)
        features = features + self.step * self.join(gated * self.attend(mean))  # sec. 3.4
        gated = _gate(self.second_spread(self.second_norm(features, embedding)))
        added: Tensor = features + self.second_step * self.second_join(gated)
        return added


class TimedLayerNorm(nn.Module):
    """Layer norm over the channels of every pixel, with FiLM behind it.

    Args:
        width: channels.
        embedding: length of the timestep's embedding.
    """

    def __init__(self, width: int, *, embedding: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.film: FiLM | None = FiLM(embedding, width)

    def forward(self, features: Tensor, embedding: Tensor | None) -> Tensor:
        """Map ``(n, width, h, w)`` to the same shape."""
        normed: Tensor = self.norm(features.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return timed(normed, self.film, embedding)

    @torch.no_grad()
    def fold_time(self, embedding: Tensor) -> None:
        """Make scale and shift of this embedding part of the norm's own."""
        if self.film is None:
            return
        gain, shift = self.film.factors(embedding)
        fold_affine(self.norm, gain, shift)
        self.film = None


def _gate(features: Tensor) -> Tensor:
    """Multiply the two halves of the channels."""
    first, second = features.chunk(2, dim=1)
    return torch.mul(first, second)
