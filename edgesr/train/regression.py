"""Train a network that enlarges in one pass."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from edgesr.data.cache import DecodedImages
from edgesr.errors import ConfigError, DivergenceError, GraphError
from edgesr.models import build_model
from edgesr.models.checkpoint import FOLD_KEY, save_weights
from edgesr.models.reparameterize import Collapsed, collapse
from edgesr.train.breakdown import Breakdown
from edgesr.train.config import TrainConfig
from edgesr.train.features import FeatureReader, attention_distance
from edgesr.train.gap_teacher import GapTeacher
from edgesr.train.image_teacher import ImageTeacher
from edgesr.train.losses import frequency_losses, frequency_weight_at, loss_at
from edgesr.train.objective import Forward, Kept, groups_by_bias
from edgesr.train.teacher import TEACHER_KEY
from edgesr.train.validate import LARGEST_FALL, PSNR_KEY, validation_psnr
from edgesr.train.warm_start import WarmStart, with_start

_PARTS = ("pixel", "teacher", "feature", "frequency", "gap", "gap_teacher")


@dataclass(frozen=True, kw_only=True, eq=False)
class Regression:
    """A network of one pass against a pixel loss, and what a teacher makes; see ``Objective``.

    A network in training form is folded before it is validated and before it is saved; what a
    resumed run needs of its branches is in the training state.

    Raises:
        ConfigError: the configuration names a teacher and none is given.
    """

    config: TrainConfig
    teacher: ImageTeacher | None = None
    start: WarmStart | None = None
    is_exact: bool = False
    validates_start: bool = False
    largest_fall: float = LARGEST_FALL
    grown: list[GapTeacher] = field(default_factory=list)
    parts: Breakdown = field(default_factory=lambda: Breakdown(_PARTS))
    reader: FeatureReader = field(default_factory=lambda: FeatureReader(training_only=True))

    def __post_init__(self) -> None:
        """Check that the teacher and the start are there."""
        if self.config.teacher is not None and self.teacher is None:
            raise ConfigError(f"teacher = {self.config.teacher}: is not loaded; use open_run")
        if self.config.start_from is not None and self.start is None:
            raise ConfigError(f"start_from = {self.config.start_from}: is not loaded; use open_run")

    @property
    def kept(self) -> Mapping[str, Kept]:
        """The teacher that grows along, if there is one."""
        return {name: one for teacher in self.grown for name, one in teacher.kept.items()}

    def build(self) -> nn.Module:
        """Return a fresh network; the teacher that grows along starts as the first of them."""
        config = self.config
        network = build_model(config.model, config.scale, config.form)
        if self.start is not None:
            self.start.apply(network)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if config.gap_weight and not self.grown:
            self.grown.append(GapTeacher(config, network))
        if config.feature_weight:
            self.reader.attach(network)
        return network

    def groups(self, network: nn.Module) -> list[dict[str, Any]]:
        """Return biases and the rest."""
        return groups_by_bias(network, self.config.bias_rate_factor)

    def to(self, device: torch.device) -> None:
        """Move the teachers."""
        if self.teacher is not None:
            self.teacher.loaded.module.to(device)
        for grown in self.grown:
            grown.to(device)

    def loss(self, forward: Forward, lr: Tensor, hr: Tensor, step: int) -> Tensor:
        """Return the pixel loss and the weighted distances that are switched on."""
        config = self.config
        sr = forward(lr).float()
        parts = {"pixel": loss_at(config, step)(sr, hr)}
        weights = {"pixel": 1.0, "frequency": frequency_weight_at(config, step)}
        if weights["frequency"]:
            parts["frequency"] = frequency_losses(sr, hr).mean()
        image = None
        if self.teacher is not None:
            image, features = self.teacher.teach(lr, self_ensemble=config.self_ensemble)
            if config.teacher_weight:
                parts["teacher"] = nn.functional.l1_loss(sr, image)
            if config.feature_weight:
                parts["feature"] = attention_distance(self.reader.take(), features)
            weights |= {"teacher": config.teacher_weight, "feature": config.feature_weight}
        for grown in self.grown:
            ahead, own = grown.teach(lr, hr, step, image)
            # below a grey level it fades: an absolute difference would pull with full strength
            # towards a teacher that is still the same but for rounding
            parts["gap"] = nn.functional.smooth_l1_loss(sr, ahead)
            weights["gap"] = config.gap_weight
            self.parts.add([_PARTS.index("gap_teacher")], own[None])
        if len(parts) == 1:
            return parts["pixel"]
        self.parts.add([_PARTS.index(name) for name in parts], torch.stack([*parts.values()]))
        return torch.stack([weights[name] * part for name, part in parts.items()]).sum()

    def before_update(self, network: nn.Module, step: int) -> None:
        """Change nothing."""

    def after_update(self, network: nn.Module, averaged: nn.Module, step: int) -> None:
        """Change nothing."""

    def report(self) -> dict[str, Any]:
        """Return the means of the losses, unweighted, where there is more than one."""
        found = self.parts.report()
        return {"loss_parts": found} if found else {}

    def pictures(self, averaged: nn.Module, lr: Tensor) -> dict[str, Tensor]:
        """Return the enlarged image, and the teacher's beside it."""
        own = {"network": averaged(lr)}
        if self.teacher is None:
            return own
        return {**own, "teacher": self.teacher.teach(lr, self_ensemble=False)[0]}

    def validate(
        self, averaged: nn.Module, held_out: DecodedImages, device: torch.device
    ) -> dict[str, float]:
        """Return the PSNR of the deployed form, and by how much folding changed the output."""
        deployed = self._deployed(averaged)
        figures = {PSNR_KEY: validation_psnr(deployed.module, held_out, device)}
        return figures | ({FOLD_KEY: deployed.max_abs_difference} if deployed.folded else {})

    def save(self, path: Path, averaged: nn.Module, metadata: dict[str, str]) -> None:
        """Write float weights of the deployed form.

        Raises:
            DivergenceError: weights are not finite, so that nothing can be folded.
        """
        deployed = self._deployed(averaged)
        if deployed.folded:
            metadata = {**metadata, FOLD_KEY: f"{deployed.max_abs_difference:.3g}"}
        if self.teacher is not None:
            about = {"teacher": self.teacher.title, TEACHER_KEY: self.teacher.sha256}
            metadata = {**metadata, **about}
        save_weights(
            path,
            deployed.module.state_dict(),
            model=self.config.model,
            scale=self.config.scale,
            metadata=with_start(metadata, self.start),
        )

    def _deployed(self, averaged: nn.Module) -> Collapsed:
        if self.config.form == "deploy":
            return Collapsed(
                module=averaged, folded=0, max_abs_difference=0.0, relative_difference=0.0
            )
        try:
            return collapse(averaged)
        except GraphError as error:
            raise DivergenceError(
                f"training diverged: {error}; the last good checkpoint is kept, resume with a "
                "lower --learning-rate or with --grad-clip"
            ) from error
