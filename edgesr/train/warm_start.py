"""The trained network that a one-pass network starts with: of any scale, or a smaller one."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from edgesr.errors import CheckpointError, ConfigError, GraphError
from edgesr.files import sha256_file
from edgesr.models import build_model
from edgesr.models.blocks import IMAGE_CHANNELS
from edgesr.models.checkpoint import LoadedModel, load_model
from edgesr.models.denoisers import DENOISERS
from edgesr.models.grow import grown_weights
from edgesr.train.config import TrainConfig
from edgesr.train.teacher import check_same
from edgesr.zoo.find import find_weights

START_KEY = "start_sha256"


@dataclass(frozen=True, kw_only=True, eq=False)
class WarmStart:
    """What a network starts with.

    Attributes:
        title: network and upscaling factor that the weights are from.
        sha256: of their file.
        tensors: by name in the new network; what is missing starts fresh.
        resized: names of those that came from another scale by ``between_scales``.
        fresh: names of the parameters that nothing was found for.
    """

    title: str
    sha256: str
    tensors: Mapping[str, Tensor]
    resized: tuple[str, ...]
    fresh: tuple[str, ...]

    def apply(self, network: nn.Module) -> None:
        """Give ``network`` the tensors."""
        network.load_state_dict(dict(self.tensors), strict=False)

    def __str__(self) -> str:
        """Say where the weights are from and which start otherwise."""
        found = f"starts with the weights of {self.title}"
        if self.resized:
            found += f"; resized between the scales: {', '.join(self.resized)}"
        return found + (f"; fresh: {', '.join(self.fresh)}" if self.fresh else "")


def load_warm_start(config: TrainConfig, *, resume: Path | None = None) -> WarmStart | None:
    """Load the weights that ``config`` starts from.

    Args:
        config: settings.
        resume: run folder that is gone on with; it must have started from the same file.

    Returns:
        None for a run that starts fresh, and for quantization-aware training and distillation,
        which have their own use for ``start_from``.

    Raises:
        CheckpointError: the file is missing or damaged.
        ConfigError: the settings cannot start from weights, the network is another one and does
            not grow out of that one, or the resumed run started elsewhere.
    """
    if config.start_from is None or config.qat or config.distill != "none":
        return None
    where = f"start_from = {config.start_from}"
    if config.model in DENOISERS:
        raise ConfigError(f"{where}: a denoiser takes it with --qat, or --distill sinsr or rsd")
    if config.form == "training":
        raise ConfigError(
            f"{where}: weights files hold the folded network, and branches cannot be told from it; "
            "drop --form training"
        )
    try:
        loaded = load_model(find_weights(str(config.start_from)))
    except CheckpointError as error:
        raise CheckpointError(f"{where}: {error}") from error
    sha256 = sha256_file(loaded.path)
    if resume is not None:
        check_same(resume, loaded.path, sha256, key=START_KEY)
    if loaded.descriptor.name != config.model:
        return _grown(loaded, sha256, config)
    return _of_same_kind(loaded, sha256, config.scale)


def _grown(loaded: LoadedModel, sha256: str, config: TrainConfig) -> WarmStart:
    name, where = loaded.descriptor.name, f"start_from = {config.start_from}"
    if loaded.scale != config.scale:
        raise ConfigError(
            f"{where}: is {name} x{loaded.scale}, from which {config.model} can only grow at that "
            f"scale; want --scale {loaded.scale}, or weights of {config.model}"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = build_model(config.model, config.scale)
    try:
        tensors = grown_weights(loaded.module, network)
    except GraphError as error:
        raise ConfigError(f"{where}: {error}") from error
    return WarmStart(
        title=f"{name} x{loaded.scale}", sha256=sha256, tensors=tensors, resized=(), fresh=()
    )


def _of_same_kind(loaded: LoadedModel, sha256: str, scale: int) -> WarmStart:
    network = build_model(loaded.descriptor.name, scale)
    wanted, had = network.state_dict(), loaded.module.state_dict()
    parameters = {name for name, _ in network.named_parameters()}
    same = {
        name: had[name]
        for name, tensor in wanted.items()
        if name in had and had[name].shape == tensor.shape
    }
    resized = {
        name: between_scales(had[name], loaded.scale, scale)
        for name in _last_layer(network, scale)
        if name in had and name not in same
    }
    if any(resized[name].shape != wanted[name].shape for name in resized):
        resized = {}
    return WarmStart(
        title=f"{loaded.descriptor.name} x{loaded.scale}",
        sha256=sha256,
        tensors={**same, **resized},
        resized=tuple(resized),
        fresh=tuple(sorted(parameters - same.keys() - resized.keys())),
    )


def _last_layer(network: nn.Module, scale: int) -> list[str]:
    """Return the parameters of the last convolution, if it writes the subpixels of an image."""
    *_, (name, last) = ((n, m) for n, m in network.named_modules() if isinstance(m, nn.Conv2d))
    if last.out_channels != IMAGE_CHANNELS * scale**2:
        return []
    return [f"{name}.{own}" for own, _ in last.named_parameters()]


def between_scales(tensor: Tensor, before: int, after: int) -> Tensor:
    """Resize the layer in front of a pixel shuffle from one upscaling factor to another.

    The ``before**2`` kernels of a colour are samples at the centres of its subpixels; those of
    the other factor are interpolated between them, linearly and clamped at the edge.

    Args:
        tensor: weight ``(3 * before**2, ...)`` or bias, in torch's CRD order.
        before: its upscaling factor.
        after: the wanted one.

    Returns:
        ``(3 * after**2, ...)``.
    """
    grid = tensor.reshape(IMAGE_CHANNELS, before, before, -1).movedim(3, 1)
    found = nn.functional.interpolate(
        grid, size=(after, after), mode="bilinear", align_corners=False
    )
    return found.movedim(1, 3).reshape(IMAGE_CHANNELS * after**2, *tensor.shape[1:])


def with_start(metadata: Mapping[str, str], start: WarmStart | None) -> dict[str, str]:
    """Return ``metadata`` of a weights file with the start noted, if there is one."""
    noted = {} if start is None else {"start": start.title, START_KEY: start.sha256}
    return {**metadata, **noted}
