"""Train a network that enlarges in one pass."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from edgesr.data.cache import DecodedImages
from edgesr.models import build_model
from edgesr.models.checkpoint import save_weights
from edgesr.train.config import TrainConfig
from edgesr.train.losses import loss_at
from edgesr.train.objective import Forward, Kept, groups_by_bias
from edgesr.train.validate import PSNR_KEY, validation_psnr


@dataclass(frozen=True, kw_only=True)
class Regression:
    """A plain network against a pixel loss; see ``Objective``."""

    config: TrainConfig
    is_exact: bool = False
    validates_start: bool = False
    kept: Mapping[str, Kept] = field(default_factory=dict)

    def build(self) -> nn.Module:
        """Return a fresh network."""
        network = build_model(self.config.model, self.config.scale)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return network

    def groups(self, network: nn.Module) -> list[dict[str, Any]]:
        """Return biases and the rest."""
        return groups_by_bias(network, self.config.bias_rate_factor)

    def to(self, device: torch.device) -> None:
        """Move nothing."""

    def loss(self, forward: Forward, lr: Tensor, hr: Tensor, step: int) -> Tensor:
        """Return the pixel loss."""
        return loss_at(self.config, step)(forward(lr).float(), hr)

    def before_update(self, network: nn.Module, step: int) -> None:
        """Change nothing."""

    def after_update(self, network: nn.Module, averaged: nn.Module, step: int) -> None:
        """Change nothing."""

    def report(self) -> dict[str, Any]:
        """Return nothing."""
        return {}

    def pictures(self, averaged: nn.Module, lr: Tensor) -> dict[str, Tensor]:
        """Return the enlarged image."""
        return {"network": averaged(lr)}

    def validate(
        self, averaged: nn.Module, held_out: DecodedImages, device: torch.device
    ) -> dict[str, float]:
        """Return the PSNR."""
        return {PSNR_KEY: validation_psnr(averaged, held_out, device)}

    def check_progress(self, psnr: float, best: float, step: int) -> None:
        """Accept whatever comes."""

    def save(self, path: Path, averaged: nn.Module, metadata: dict[str, str]) -> None:
        """Write float weights."""
        save_weights(
            path,
            averaged.state_dict(),
            model=self.config.model,
            scale=self.config.scale,
            metadata=metadata,
        )
