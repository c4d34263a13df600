"""Train a denoiser: predict a clean image's residual from its noisy states.

Source: Ho et al. 2020, arXiv 2006.11239, algorithm 1, on the path of Yue et al. 2023 (ResShift),
arXiv 2307.12348, section 3.1, with the loss unweighted.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from edgesr.binary.conv import BinaryConv2d, annealed_layers
from edgesr.binary.distillation import space_patched_loss
from edgesr.data.cache import DecodedImages
from edgesr.diffusion.centre import RegressionCentre
from edgesr.diffusion.conditioned import ConditionedDenoiser
from edgesr.diffusion.dream import dream
from edgesr.diffusion.path import Path as DiffusionPath
from edgesr.diffusion.prediction import to_x0
from edgesr.diffusion.ranges import from_grey_levels
from edgesr.errors import ConfigError
from edgesr.models.centre import CentreNetwork
from edgesr.models.denoiser import Denoiser
from edgesr.models.denoiser_files import save_denoiser
from edgesr.models.denoisers import DENOISERS, build_denoiser
from edgesr.train.breakdown import Breakdown, StateBreakdown
from edgesr.train.config import TrainConfig
from edgesr.train.denoiser_config import path_of, sampled_path, schedule_of, style_of
from edgesr.train.denoising import (
    HALF_RANGE,
    TrainedNetwork,
    centre_picture,
    example_of,
    generator_of,
    sampling,
)
from edgesr.train.features import LayerReader
from edgesr.train.float_twin import TWIN_KEY, FloatTwin, blocks_of
from edgesr.train.losses import frequency_losses, image_losses_at, is_squared_at
from edgesr.train.objective import Forward, Kept, groups_by_bias
from edgesr.train.validate import LARGEST_FALL, PSNR_KEY, validation_psnr
from edgesr.train.validation_loss import LOSS_KEY, validation_loss

_STREAM = 1
_PARTS = ("prediction", "frequency", "spd")


def check_diffusion(config: TrainConfig) -> None:
    """Refuse settings that the training of a denoiser cannot have.

    Raises:
        ConfigError: names the keys.
        DiffusionError: a parameter of the path is out of range.
    """
    if config.model not in DENOISERS:
        return
    if config.qat:
        raise ConfigError(
            f"qat = true: {config.model} is a denoiser, whose integers cannot be trained"
        )
    build_denoiser(config.model, config.scale, style_of(config))
    sampled_path(config)


@dataclass(frozen=True, kw_only=True)
class Diffusion:
    """A denoiser against the residual of clean images; see ``Objective``.

    States and noise of a step are functions of seed, step and process, as its patches are. The
    ``centre`` is made by a network that is not trained, or, without one, by bicubic interpolation.
    A network of one bit may learn from the features of its float ``twin`` as well. With
    ``measures_loss`` a validation tells the loss of the held-out images, too.

    Raises:
        ConfigError: the configuration names a twin and none is given.
    """

    config: TrainConfig
    centre: CentreNetwork | None = None
    twin: FloatTwin | None = None
    measures_loss: bool = False
    rank: int = 0
    is_exact: bool = False
    validates_start: bool = False
    largest_fall: float = LARGEST_FALL
    kept: Mapping[str, Kept] = field(default_factory=dict)
    path: DiffusionPath = field(init=False)
    regression: RegressionCentre | None = field(init=False)
    by_state: StateBreakdown = field(init=False)
    parts: Breakdown = field(default_factory=lambda: Breakdown(_PARTS))
    reader: LayerReader = field(default_factory=lambda: LayerReader(training_only=True))
    annealed: list[BinaryConv2d] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make the tables of the path."""
        if self.config.spd_weight and self.twin is None:
            raise ConfigError(f"teacher = {self.config.teacher}: is not loaded; use open_run")
        regression = None if self.centre is None else RegressionCentre(self.centre)
        object.__setattr__(self, "regression", regression)
        object.__setattr__(self, "path", path_of(self.config))
        object.__setattr__(self, "by_state", StateBreakdown(self.path.num_steps))

    def build(self) -> nn.Module:
        """Return a fresh denoiser."""
        config = self.config
        network = build_denoiser(config.model, config.scale, style_of(config))
        self.annealed.extend(annealed_layers(network))
        if self.twin is not None:
            self.reader.attach(blocks_of(network))
        return network

    def groups(self, network: nn.Module) -> list[dict[str, Any]]:
        """Return biases and the rest."""
        return groups_by_bias(network, self.config.bias_rate_factor)

    def to(self, device: torch.device) -> None:
        """Move the twin."""
        if self.twin is not None:
            self.twin.loaded.module.to(device)

    def loss(self, forward: Forward, lr: Tensor, hr: Tensor, step: int) -> Tensor:
        """Return the loss of the prediction, scaled to grey levels (squared for ``l2``).

        ``frequency_weight`` adds the distance of the clean image that it stands for,
        ``spd_weight`` that of features, in the unit of the loss.
        """
        config, path = self.config, self.path
        for layer in self.annealed:
            layer.progress = step / config.steps
        lr, x0 = from_grey_levels(lr), from_grey_levels(hr)
        random = generator_of(config.seed, step, self.rank, _STREAM)
        states = torch.randint(1, path.num_steps + 1, (len(x0),), generator=random)
        noise = torch.randn(x0.shape, generator=random).to(x0.device)
        kind = DENOISERS[config.model].prediction
        trained = TrainedNetwork(forward=forward, scale=config.scale, prediction=kind)
        network = ConditionedDenoiser(trained, path, regression=self.regression)
        centre = network.centre(lr)
        if config.dream:
            shown = dream(network, path, states, x0, noise=noise, condition=lr, centre=centre)
        else:
            shown = example_of(path, states, x0, noise=noise, kind=kind, centre=centre)
        self.reader.take()  # what dream saw
        predicted = network(shown.x, states, lr)
        measure = image_losses_at(config, step)
        losses = measure(predicted * HALF_RANGE, shown.target * HALF_RANGE)
        parts = {"prediction": losses.mean()}
        if config.frequency_weight:
            found = to_x0(path, states, shown.x, predicted, kind=kind, centre=centre)
            lack = frequency_losses(found * HALF_RANGE, x0 * HALF_RANGE)
            losses = losses + config.frequency_weight * lack
            parts["frequency"] = lack.mean()
        self.by_state.add(states, losses)
        total = losses.mean()
        if self.twin is not None:
            features = [one.float() for one in self.reader.take()]
            wanted = self.twin.features(network, shown.x, states, lr)
            parts["spd"] = space_patched_loss(features, wanted)
            unit = HALF_RANGE**2 if is_squared_at(config, step) else HALF_RANGE
            total = total + config.spd_weight * unit * parts["spd"]
        if len(parts) > 1:
            places = [_PARTS.index(name) for name in parts]
            self.parts.add(places, torch.stack([*parts.values()]))
        return total

    def before_update(self, network: nn.Module, step: int) -> None:
        """Change nothing."""

    def after_update(self, network: nn.Module, averaged: nn.Module, step: int) -> None:
        """Change nothing."""

    def report(self) -> dict[str, Any]:
        """Return the mean loss of every state, or of bins of them, and parts where it has some.

        Parts are unweighted; that of features is as published, neither squared nor in grey levels.
        """
        parts = self.parts.report()
        by_state: dict[str, Any] = {"loss_by_timestep": self.by_state.report()}
        return by_state | ({"loss_parts": parts} if parts else {})

    def pictures(self, averaged: nn.Module, lr: Tensor) -> dict[str, Tensor]:
        """Return the centre, where it is not bicubic, and the sampled image."""
        taken = sampled_path(self.config)
        name = f"sampled, {taken.num_steps} steps"
        made = sampling(averaged, self.path, taken, regression=self.regression)(lr)
        return {**centre_picture(self.regression, lr), name: made}

    def validate(
        self, averaged: nn.Module, held_out: DecodedImages, device: torch.device
    ) -> dict[str, float]:
        """Return the PSNR of deterministic sampling from one fixed noise, and the loss if asked."""
        taken = sampled_path(self.config)
        enlarge = sampling(averaged, self.path, taken, regression=self.regression)
        figures = {PSNR_KEY: validation_psnr(enlarge, held_out, device)}
        if self.measures_loss:
            assert isinstance(averaged, Denoiser)  # noqa: S101 - build() made it
            judged = ConditionedDenoiser(averaged, self.path, regression=self.regression)
            figures[LOSS_KEY] = validation_loss(judged, held_out, device, loss=self.config.loss)
        return figures

    def save(self, path: Path, averaged: nn.Module, metadata: dict[str, str]) -> None:
        """Write the denoiser with its path."""
        if self.twin is not None:
            about = {"twin": self.twin.title, TWIN_KEY: self.twin.sha256}
            metadata = {**metadata, **about}
        save_denoiser(
            path,
            averaged.state_dict(),
            model=self.config.model,
            scale=self.config.scale,
            schedule=schedule_of(self.config),
            prediction=DENOISERS[self.config.model].prediction,
            centre=self.centre,
            style=style_of(self.config),
            metadata=metadata,
        )
