"""Quantization-aware training: where it starts, what it adds to a step, when it has diverged."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edgesr.data.cache import DecodedImages
from edgesr.errors import ConfigError, DataError, GraphError
from edgesr.export.calibration import crops_of
from edgesr.files import sha256_file
from edgesr.models.checkpoint import LoadedModel, load_model, weights_file
from edgesr.models.quantized import float_graph, save_quantized
from edgesr.quant.ptq import quantize_graph
from edgesr.quant.qat import QatNetwork
from edgesr.quant.recipe import default_recipe
from edgesr.quant.scheme import INT8, SCHEMES, QuantizedGraph
from edgesr.train.batches import to_float
from edgesr.train.config import TrainConfig
from edgesr.train.losses import loss_at
from edgesr.train.objective import Forward, Kept
from edgesr.train.validate import PSNR_KEY, validation_psnr

_LARGEST_FALL = 1.0
"""In dB, of a run that starts with a trained network."""

_FREE_SHARE = 0.8
_PEAK = 255.0


@dataclass(frozen=True, kw_only=True, eq=False)
class QatStart:
    """What quantization-aware training starts from.

    Attributes:
        teacher: the float network, in evaluation mode.
        quantized: its post-training quantization.
        sha256: of the teacher's file.
    """

    teacher: LoadedModel
    quantized: QuantizedGraph
    sha256: str


@dataclass(frozen=True, kw_only=True, eq=False)
class QuantizationAware:
    """Integers and scales of a quantized network; see ``Objective``."""

    config: TrainConfig
    start: QatStart
    is_exact: bool = True
    validates_start: bool = True
    largest_fall: float = _LARGEST_FALL
    kept: Mapping[str, Kept] = field(default_factory=dict)

    def build(self) -> nn.Module:
        """Return the quantized network as it starts."""
        return QatNetwork(self.start.quantized, weight_scales=self.config.weight_scales)

    def groups(self, network: nn.Module) -> list[dict[str, Any]]:
        """Return weights, biases and scales."""
        config = self.config
        factors = {"biases": config.bias_rate_factor, "scales": config.scale_rate_factor}
        found = _quantized(network).groups_of_parameters()
        return [{"params": some, "factor": factors.get(k, 1.0)} for k, some in found.items()]

    def to(self, device: torch.device) -> None:
        """Move the float network."""
        self.start.teacher.module.to(device)
        torch.backends.cudnn.allow_tf32 = False  # sums of whole numbers must stay exact

    def loss(self, forward: Forward, lr: Tensor, hr: Tensor, step: int) -> Tensor:
        """Return the pixel loss and the difference to the float network."""
        sr = forward(lr).float()
        with torch.no_grad():
            wanted = self.start.teacher.module(lr)
        near = nn.functional.l1_loss(sr, wanted)
        return loss_at(self.config, step)(sr, hr) + self.config.teacher_weight * near

    def before_update(self, network: nn.Module, step: int) -> None:
        """Hold the scales once they are frozen."""
        hold_scales(self.config, _quantized(network), step)

    def after_update(self, network: nn.Module, averaged: nn.Module, step: int) -> None:
        """Update derived scales, freeze all of them in the end."""
        settle_scales(self.config, _quantized(network), _quantized(averaged), step)

    def report(self) -> dict[str, Any]:
        """Return nothing."""
        return {}

    def pictures(self, averaged: nn.Module, lr: Tensor) -> dict[str, Tensor]:
        """Return the enlarged image."""
        return {"integers": averaged(lr)}

    def validate(
        self, averaged: nn.Module, held_out: DecodedImages, device: torch.device
    ) -> dict[str, float]:
        """Return the PSNR, and that to the float network."""
        return {
            PSNR_KEY: validation_psnr(averaged, held_out, device),
            "psnr_to_float": psnr_to_float(averaged, self.start.teacher.module, held_out, device),
        }

    def save(self, path: Path, averaged: nn.Module, metadata: dict[str, str]) -> None:
        """Write integers, grids and the float network."""
        save_integers(path, _quantized(averaged), self.start, metadata)


def check_qat(config: TrainConfig) -> None:
    """Refuse settings that quantization-aware training cannot have.

    Raises:
        ConfigError: names the keys.
        CheckpointError: there is nothing to start from.
    """
    if not config.qat:
        if SCHEMES[config.scheme] != INT8:
            raise ConfigError(f"scheme = {config.scheme}: is for qat = true; add --qat")
        return
    if config.distill != "none":
        raise ConfigError(f"distill = {config.distill}: does not go with qat = true; drop one")
    if config.start_from is None:
        raise ConfigError(
            "qat = true: starts from a trained float network; name it with --from RUN"
        )
    if config.precision == "bf16" or config.compile:
        key = "compile = true" if config.compile else "precision = bf16"
        raise ConfigError(f"{key}: qat computes whole numbers in float32; drop it")
    weights_file(Path(config.start_from))


def load_start(config: TrainConfig, images: DecodedImages) -> QatStart | None:
    """Load the float network of ``config`` and quantize it on crops of ``images``.

    Returns None for a run that is not quantization-aware.

    Raises:
        CheckpointError: the file is missing, damaged, of another network or scale.
        GraphError: the network holds something without int8 form.
    """
    if not config.qat or config.start_from is None:
        return None
    start_from = Path(config.start_from)
    teacher = load_model(start_from, model=config.model, scale=config.scale)
    graph = float_graph(teacher.module, config.model)
    recipe = default_recipe(SCHEMES[config.scheme])
    result = quantize_graph(graph, crops_of(images.lr, seed=config.seed), recipe)
    return QatStart(teacher=teacher, quantized=result.quantized, sha256=sha256_file(teacher.path))


def freeze_step(config: TrainConfig) -> int:
    """Return the step (from 0) from which on scales stay as they are: the last fifth."""
    return int(_FREE_SHARE * config.steps)


def hold_scales(config: TrainConfig, network: QatNetwork, step: int) -> None:
    """Drop the gradients of all scales once they are frozen."""
    if step >= freeze_step(config):
        for parameter in network.scale_parameters():
            parameter.grad = None


def settle_scales(
    config: TrainConfig, network: QatNetwork, averaged: QatNetwork, step: int
) -> None:
    """Update the scales that are not learned, and freeze all of them at their averages.

    Call it at the end of ``step`` (from 0).
    """
    if step < freeze_step(config):
        network.follow_maxima()
    if step + 1 == freeze_step(config):
        network.take_scales(averaged)


@torch.no_grad()
def psnr_to_float(
    network: nn.Module, teacher: nn.Module, images: DecodedImages, device: torch.device
) -> float:
    """Return the mean PSNR in dB between ``network`` and the unrounded ``teacher``."""
    found = []
    for lr in images.lr:
        batch = to_float(torch.from_numpy(np.array(lr))[None], device)
        error = (network(batch) - teacher(batch)).square().mean(dtype=torch.float64)
        found.append(float(10 * torch.log10(_PEAK**2 / error.clamp(min=1e-12))))
    return float(np.mean(found))


def save_integers(
    path: Path, network: QatNetwork, start: QatStart, metadata: dict[str, str]
) -> None:
    """Write integers and grids of ``network`` with the float network to ``path``.

    Raises:
        DataError: a scale or weight is NaN or infinite; ``path`` stays as it was.
    """
    try:
        quantized = network.to_quantized()
    except GraphError as error:
        raise DataError(
            f"training diverged: {error}; the last good checkpoint is kept, start again with a "
            "lower --learning-rate or with --grad-clip"
        ) from error
    save_quantized(path, quantized, start.teacher, {**metadata, "start_sha256": start.sha256})


def _quantized(network: nn.Module) -> QatNetwork:
    assert isinstance(network, QatNetwork)  # noqa: S101 - build() made it
    return network
