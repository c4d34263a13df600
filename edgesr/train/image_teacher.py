"""The larger trained network whose images and features a small one learns from."""

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from edgesr.errors import CheckpointError, ConfigError
from edgesr.files import sha256_file
from edgesr.models.checkpoint import LoadedModel, load_model
from edgesr.models.denoisers import DENOISERS
from edgesr.train.config import TrainConfig
from edgesr.train.features import FeatureReader
from edgesr.train.teacher import check_same
from edgesr.zoo.find import find_weights

_QUARTER_TURNS = 4


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageTeacher:
    """A trained network, its weights held fixed.

    Attributes:
        loaded: the network, in evaluation mode and float32.
        sha256: of its file.
        reader: of its hidden layers.
    """

    loaded: LoadedModel
    sha256: str
    reader: FeatureReader = field(default_factory=lambda: FeatureReader(training_only=False))

    def __post_init__(self) -> None:
        """Hold the weights and read the layers."""
        self.loaded.module.requires_grad_(requires_grad=False)
        self.reader.attach(self.loaded.module)

    @property
    def title(self) -> str:
        """Network and upscaling factor."""
        return f"{self.loaded.descriptor.name} x{self.loaded.scale}"

    @torch.no_grad()
    def teach(self, lr: Tensor, *, self_ensemble: bool) -> tuple[Tensor, list[Tensor]]:
        """Return its image of ``lr`` ``(n, 3, h, w)`` in [0, 255], and its hidden features.

        Args:
            lr: batch.
            self_ensemble: return the mean image over the eight flips and rotations.
        """
        network = self.loaded.module
        image: Tensor = network(lr)
        features = self.reader.take()
        if self_ensemble:
            others = [self._turned(lr, symmetry) for symmetry in range(1, 2 * _QUARTER_TURNS)]
            image = torch.stack([image, *others]).mean(0)
        return image, features

    def _turned(self, lr: Tensor, symmetry: int) -> Tensor:
        """Return the image of the turned ``lr``, turned back.

        Source: Timofte, Rothe, Van Gool 2016, arXiv 1511.02228, section 3.7, enhanced prediction.
        """
        turns, mirrored = symmetry % _QUARTER_TURNS, symmetry >= _QUARTER_TURNS
        turned = torch.rot90(lr, turns, (2, 3))
        found: Tensor = self.loaded.module(turned.flip(3) if mirrored else turned)
        self.reader.take()
        return torch.rot90(found.flip(3) if mirrored else found, -turns, (2, 3))


def load_image_teacher(config: TrainConfig, *, resume: Path | None = None) -> ImageTeacher | None:
    """Load the teacher that ``config`` names.

    Args:
        config: settings.
        resume: run folder that is gone on with; its teacher must be the same file.

    Returns:
        None for a run without, and for a denoiser, see ``edgesr.train.float_twin``.

    Raises:
        CheckpointError: it is missing, damaged, a denoiser, or without float weights.
        ConfigError: it is of another scale, or another one than the resumed run had.
    """
    if config.teacher is None or config.model in DENOISERS:
        return None
    try:
        loaded = load_model(find_weights(config.teacher))
    except CheckpointError as error:
        raise CheckpointError(f"teacher = {config.teacher}: {error}") from error
    if loaded.scale != config.scale:
        raise ConfigError(
            f"teacher = {config.teacher}: enlarges x{loaded.scale}, but scale = {config.scale}; "
            f"name a teacher of x{config.scale}"
        )
    teacher = ImageTeacher(loaded=loaded, sha256=sha256_file(loaded.path))
    if resume is not None:
        check_same(resume, loaded.path, teacher.sha256)
    return teacher
