"""The trained float denoiser whose features its twin of one bit learns from."""

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from edgesr.diffusion.conditioned import ConditionedDenoiser
from edgesr.errors import CheckpointError, ConfigError
from edgesr.files import sha256_file
from edgesr.models.centre import BICUBIC, CentreNetwork
from edgesr.models.denoiser_files import LoadedDenoiser, load_denoiser
from edgesr.models.denoisers import DENOISERS
from edgesr.models.resshift_px import ResShiftPxCore
from edgesr.train.config import TrainConfig
from edgesr.train.features import LayerReader
from edgesr.train.teacher import check_path, check_same
from edgesr.upscalers.diffusion import path_of as path_of_file
from edgesr.zoo.find import find_weights

TWIN_KEY = "twin_sha256"
"""In the metadata of a network of one bit: which twin taught it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FloatTwin:
    """A trained denoiser of the same blocks, its weights held fixed.

    Attributes:
        loaded: the denoiser, in evaluation mode and float32.
        sha256: of its file.
        reader: of its blocks.
    """

    loaded: LoadedDenoiser
    sha256: str
    reader: LayerReader = field(default_factory=lambda: LayerReader(training_only=False))

    def __post_init__(self) -> None:
        """Hold the weights and read the blocks."""
        self.loaded.module.requires_grad_(requires_grad=False)
        self.reader.attach(blocks_of(self.loaded.module))

    @property
    def title(self) -> str:
        """Network and upscaling factor."""
        return f"{self.loaded.descriptor.name} x{self.loaded.scale}"

    @torch.no_grad()
    def features(
        self, student: ConditionedDenoiser, x: Tensor, states: Tensor, lr: Tensor
    ) -> list[Tensor]:
        """Return what its blocks make of a noisy image.

        Args:
            student: whose path and centre it takes.
            x: ``(n, 3, s h, s w)``, not scaled.
            states: ``(n,)``, from 1.
            lr: ``(n, 3, h, w)`` in [-1, 1].
        """
        student.with_network(self.loaded.module)(x, states, lr)
        return self.reader.take()


def blocks_of(network: nn.Module) -> list[nn.Module]:
    """Return the blocks whose features are compared; those of twins pair up."""
    core = getattr(network, "core", None)
    assert isinstance(core, ResShiftPxCore)  # noqa: S101 - only those have a twin in DENOISERS
    return core.blocks()


def load_twin(
    config: TrainConfig, centre: CentreNetwork | None, *, resume: Path | None = None
) -> FloatTwin | None:
    """Load the float twin that ``config`` names, and check that it can teach.

    Args:
        config: settings.
        centre: network that makes the centre of the run; None for the bicubic one.
        resume: run folder that is gone on with; its twin must be the same file.

    Returns:
        None for a run that learns from none.

    Raises:
        CheckpointError: the file is missing, damaged or no float denoiser.
        ConfigError: the network has no twin, or the file is of another network, scale, path or
            centre, takes one step only, or is another one than the resumed run had.
        DiffusionError: its path cannot be made.
    """
    if config.teacher is None or config.model not in DENOISERS:
        return None
    where = f"teacher = {config.teacher}"
    wanted = DENOISERS[config.model].twin
    if wanted is None:
        raise ConfigError(
            f"{where}: {config.model} has no float twin to learn from; drop --teacher"
        )
    try:
        loaded = load_denoiser(find_weights(config.teacher))
    except CheckpointError as error:
        raise CheckpointError(f"{where}: {error}") from error
    if (loaded.descriptor.name, loaded.scale) != (wanted, config.scale):
        raise ConfigError(
            f"{where}: is a {loaded.descriptor.name} x{loaded.scale}, but the float twin of "
            f"{config.model} x{config.scale} is {wanted} x{config.scale}; train one"
        )
    if loaded.schedule.is_distilled:
        raise ConfigError(
            f"{where}: is distilled and knows one state of the path only; name its own teacher"
        )
    check_path(config, loaded, path_of_file(loaded.schedule, loaded.path))
    if _digest(loaded.centre) != _digest(centre):
        raise ConfigError(
            f"{where}: its centre is {_name(loaded.centre)}, but that of this run is "
            f"{_name(centre)}; set --centre to the twin's"
        )
    twin = FloatTwin(loaded=loaded, sha256=sha256_file(loaded.path))
    if resume is not None:
        check_same(resume, loaded.path, twin.sha256, key=TWIN_KEY)
    return twin


def _digest(centre: CentreNetwork | None) -> str | None:
    return None if centre is None else centre.sha256


def _name(centre: CentreNetwork | None) -> str:
    return BICUBIC if centre is None else f"a {centre.descriptor.name} ({centre.sha256[:12]})"
