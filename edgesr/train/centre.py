"""The network that makes a denoiser's centre in training."""

from pathlib import Path

from edgesr.errors import CheckpointError, ConfigError
from edgesr.models.centre import BICUBIC, CentreNetwork, load_centre
from edgesr.models.denoiser_files import load_denoiser
from edgesr.models.denoisers import DENOISERS
from edgesr.train.config import TrainConfig
from edgesr.zoo.find import find_weights


def check_centre(config: TrainConfig) -> None:
    """Refuse a centre where there is none to choose.

    Raises:
        ConfigError: names the key.
    """
    if config.centre == BICUBIC:
        return
    where = f"centre = {config.centre}"
    if config.model not in DENOISERS:
        raise ConfigError(
            f"{where}: {config.model} enlarges in one pass and has no centre; want a denoiser, one "
            f"of {', '.join(DENOISERS)}"
        )
    if config.distill != "none":
        raise ConfigError(f"{where}: a student takes its teacher's; drop --centre")


def find_centre(config: TrainConfig, *, resume: Path | None = None) -> CentreNetwork | None:
    """Load the network that makes the centre; None where that is bicubic.

    Args:
        config: settings, already checked by ``check_centre``.
        resume: run folder that is gone on with: its weights hold the network that it had, whatever
            has become of the file since.

    Raises:
        CheckpointError: the file is missing, damaged, of a denoiser or quantized, or the resumed
            run has lost its weights.
        ConfigError: the network is of another scale.
    """
    if config.centre == BICUBIC:
        return None
    if resume is not None:
        return _kept(resume)
    source = find_weights(config.centre)
    centre = load_centre(source)
    if centre.scale != config.scale:
        raise ConfigError(
            f"centre = {config.centre}: {source} enlarges by {centre.scale}, but the denoiser by "
            f"{config.scale}; name a network of that scale"
        )
    return centre


def _kept(folder: Path) -> CentreNetwork:
    path = folder / "last.safetensors"
    centre = load_denoiser(path).centre
    if centre is None:
        raise CheckpointError(
            f"{path}: lacks the network that makes its centre; restore it or start a new run"
        )
    return centre
