"""What a diffusion denoiser costs: one step's network, and all steps of an image."""

from dataclasses import dataclass, replace
from typing import Any

from edgesr.bench.cost_torch import torch_complexity
from edgesr.bench.cost_types import Complexity
from edgesr.errors import ConfigError
from edgesr.models.centre import BICUBIC, CentreNetwork
from edgesr.models.denoiser import Denoiser
from edgesr.models.denoiser_files import LoadedDenoiser, load_denoiser
from edgesr.models.denoisers import DENOISERS, build_denoiser
from edgesr.models.fold_timestep import fold_timestep
from edgesr.upscalers.diffusion import sampling_path
from edgesr.zoo.find import find_weights

DEFAULT_SCALE = 4
DEFAULT_STEPS = 4
"""Steps of a denoiser by name: what ``edgesr train`` takes where a recipe says nothing."""

_CUBIC_TAPS = 5 * 5
_RGB = 3


@dataclass(frozen=True, kw_only=True)
class DenoiserCost:
    """Costs of one low-resolution image.

    Attributes:
        step: one evaluation of the network, its timestep folded in, with the parameters of the
            network of all timesteps; joining its inputs costs no MAC and is not in it.
        num_steps: evaluations for an image.
        centre: name of the network that makes the centre, or of its signature in a .tflite file,
            or ``bicubic``.
        centre_params: its parameters.
        centre_macs: multiply-accumulates of the centre, made once for an image.
    """

    step: Complexity
    num_steps: int
    centre: str
    centre_params: int
    centre_macs: int

    @property
    def total_macs(self) -> int:
        """Multiply-accumulates for an image, without the sampler's elementwise sums."""
        return self.num_steps * self.step.macs + self.centre_macs

    def to_json(self) -> dict[str, Any]:
        """Return the costs of a step, and those of the image beside them."""
        return {
            **self.step.to_json(),
            "num_steps": self.num_steps,
            "centre": self.centre,
            "centre_params": self.centre_params,
            "centre_macs": self.centre_macs,
            "total_macs": self.total_macs,
        }


def denoiser_cost(
    source: str,
    *,
    shape: tuple[int, int],
    scale: int | None = None,
    steps: int | None = None,
) -> DenoiserCost:
    """Count what a denoiser does for one low-resolution image.

    Args:
        source: name in ``DENOISERS`` or ``ZOO``, weights file of a denoiser or its run folder.
        shape: ``(h, w)`` of the image.
        scale: upscaling factor; of a name 4 by default, checked against a file's.
        steps: evaluations; default is the file's, and 4 for a name.

    Raises:
        CheckpointError: the file is missing, damaged, or of another scale.
        ConfigError: not for this factor, or no step at all.
        DiffusionError: more steps than the file's path has.
        GraphError: the network does not run on such an image.
    """
    if steps is not None and steps < 1:
        raise ConfigError(f"{source}: {steps} steps, want at least 1")
    if source in DENOISERS:
        factor = DEFAULT_SCALE if scale is None else scale
        network, label = build_denoiser(source, factor), f"{source} x{factor}"
        step = _step(network, shape, label, _state_bytes(network))
        return _cost(step, shape, steps or DEFAULT_STEPS, centre=None)
    loaded = load_denoiser(find_weights(source), scale=scale)
    step = _step(loaded.module, shape, source, loaded.path.stat().st_size)
    num_steps = sampling_path(loaded, steps).num_steps
    return _cost(step, shape, num_steps, centre=loaded.centre)


def packed_cost(
    loaded: LoadedDenoiser, *, shape: tuple[int, int], steps: int | None = None
) -> DenoiserCost:
    """Count what a packed denoiser does, its products of bits like float ones.

    Activations and memory are those of the float simulation.

    Args:
        loaded: from an ``.esb`` file.
        shape: ``(h, w)`` of the low-resolution image.
        steps: evaluations; default is the file's.

    Raises:
        DiffusionError: more steps than the file's path has.
        GraphError: the network does not run on such an image.
    """
    network = build_denoiser(loaded.descriptor.name, loaded.scale, loaded.style)
    step = _step(network, shape, str(loaded.path), loaded.path.stat().st_size)
    num_steps = sampling_path(loaded, steps).num_steps
    return _cost(step, shape, num_steps, centre=loaded.centre)


def _step(network: Denoiser, shape: tuple[int, int], label: str, stored_bytes: int) -> Complexity:
    """Count the network of one timestep, on the grid and the padded size that it works on."""
    joining = network.conditioning
    grain = network.scale if joining.grid == "hr" else 1
    height, width = (-(-grain * side // joining.multiple) * joining.multiple for side in shape)
    core = fold_timestep(network, 1.0).core
    found = torch_complexity(
        core,
        shape=(height, width),
        channels=joining.channels,
        name=label,
        stored_bytes=stored_bytes,
    )
    params = sum(p.numel() for p in network.parameters() if p.requires_grad)
    return replace(
        found,
        shape=shape,
        scale=network.scale,
        params=params + found.frozen_params,
        trainable_params=params,
    )


def _cost(
    step: Complexity, shape: tuple[int, int], num_steps: int, *, centre: CentreNetwork | None
) -> DenoiserCost:
    assert step.scale is not None  # noqa: S101 - _step sets it
    macs = bicubic_macs(shape, step.scale)
    if centre is not None:
        macs = centre.descriptor.macs_per_pixel[centre.scale] * shape[0] * shape[1]
    return DenoiserCost(
        step=step,
        num_steps=num_steps,
        centre=BICUBIC if centre is None else centre.descriptor.name,
        centre_params=0 if centre is None else centre.params,
        centre_macs=macs,
    )


def bicubic_macs(shape: tuple[int, int], scale: int) -> int:
    """Return the multiply-accumulates of the bicubic enlargement of an image of ``(h, w)``."""
    return _CUBIC_TAPS * _RGB * scale**2 * shape[0] * shape[1]


def _state_bytes(network: Denoiser) -> int:
    return sum(t.numel() * t.element_size() for t in network.state_dict().values())
