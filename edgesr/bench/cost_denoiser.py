"""What a diffusion denoiser costs: one step's network, and all steps of an image."""

from dataclasses import dataclass, replace
from typing import Any

from edgesr.bench.cost_torch import torch_complexity
from edgesr.bench.cost_types import Complexity
from edgesr.errors import ConfigError
from edgesr.models.denoiser import Denoiser
from edgesr.models.denoiser_files import load_denoiser
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
        centre_macs: multiply-accumulates of the bicubic enlargement, made once for an image.
    """

    step: Complexity
    num_steps: int
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
        return _cost(step, network, shape, steps or DEFAULT_STEPS)
    loaded = load_denoiser(find_weights(source), scale=scale)
    step = _step(loaded.module, shape, source, loaded.path.stat().st_size)
    return _cost(step, loaded.module, shape, sampling_path(loaded, steps).num_steps)


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
    step: Complexity, network: Denoiser, shape: tuple[int, int], num_steps: int
) -> DenoiserCost:
    centre_macs = _CUBIC_TAPS * _RGB * network.scale**2 * shape[0] * shape[1]
    return DenoiserCost(step=step, num_steps=num_steps, centre_macs=centre_macs)


def _state_bytes(network: Denoiser) -> int:
    return sum(t.numel() * t.element_size() for t in network.state_dict().values())
