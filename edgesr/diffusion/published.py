"""BI-DiffSR's own sampling, for its authors' weights.

Their images lie in [0, 1] and are conditioned on OpenCV's bicubic enlargement. They are sampled
with the DDIM of the diffusers library as it comes: timesteps are counted from 0 and spaced from
there (``leading``: 1960, 1920, ... 0 of 2000), the start is noise alone, and a predicted image is
clipped to [-1, 1] while the predicted noise stays as it was. None of this is what edgesr's samplers
do, so a file with these weights names a schedule of its own, which no other loop takes.

Source: Chen et al. 2024 (BI-DiffSR), arXiv 2406.05723, section 4.1, and the authors' published code
and options; Song et al. 2020, arXiv 2010.02502, eq. 12.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path as FilePath

import torch
from torch import Tensor
from torch.nn import functional

from edgesr.diffusion.noise import Noise
from edgesr.diffusion.path import Path, respace
from edgesr.diffusion.schedules import ddpm_linear
from edgesr.errors import CheckpointError, DiffusionError
from edgesr.models.bidiffsr_names import from_published
from edgesr.models.checkpoint import load_state, read_weights, weights_file
from edgesr.models.denoiser import Denoiser
from edgesr.models.denoiser_files import Schedule, save_denoiser
from edgesr.models.denoisers import build_denoiser

PUBLISHED = "bidiffsr_published"
"""Name of the schedule in a file, and of its path."""

MODEL = "bidiffsr"
SCALES = (2, 4)
"""Factors that the authors trained for; their padding to multiples of 8 holds whole blocks."""

STEPS = 50
"""That the authors' results are of."""


def published_path(*, num_steps: int = 2000, first: float = 1e-6, last: float = 1e-2) -> Path:
    """Return the path that the authors trained on; its state ``t + 1`` is their timestep ``t``.

    Args:
        num_steps: number of steps.
        first: variance added in the first step, in (0, 1).
        last: variance added in the last step, in (0, 1).

    Raises:
        DiffusionError: a parameter out of range.
    """
    return replace(ddpm_linear(num_steps=num_steps, first=first, last=last), name=PUBLISHED)


def leading_path(path: Path, num_steps: int) -> Path:
    """Keep the states of ``num_steps`` timesteps that are spaced evenly from their timestep 0.

    Args:
        path: of ``published_path``.
        num_steps: how many, from 1 to ``path.num_steps``.

    Raises:
        DiffusionError: another number.
    """
    if not 1 <= num_steps <= path.num_steps:
        raise DiffusionError(
            f"path {path.name}: {num_steps} steps, want 1 to {path.num_steps}, its own"
        )
    stride = path.num_steps // num_steps
    return respace(path, [1 + stride * number for number in range(num_steps)])


def sample_published(
    network: Denoiser,
    lr: Tensor,
    path: Path,
    *,
    noise: Noise,
    on_step: Callable[[], None] | None = None,
) -> Tensor:
    """Enlarge images as the authors' code does; no gradient flows.

    Args:
        network: of ``bidiffsr``, with their weights; packed or not.
        lr: ``(n, 3, h, w)`` in [-1, 1], as edgesr's samplers take it.
        path: of ``leading_path``.
        noise: of the start, the only random part.
        on_step: called after each step.

    Returns:
        ``(n, 3, s h, s w)``, around [-1, 1].

    Raises:
        DataError: an image that is too small to be padded.
        DiffusionError: a prediction that is not finite; it says at which step.
    """
    enlarged = enlarge_opencv((lr + 1.0) / 2.0, network.scale)
    condition = network.conditioning.pad(enlarged)
    x = noise.draw(condition, state=path.num_steps)
    for t, u in path.steps():
        timestep = int(path.timesteps[t]) - 1
        told = torch.full((len(x),), timestep, dtype=torch.int64)
        with torch.no_grad():
            predicted = network.core(torch.cat([condition, x], dim=1), network.time(told))
        if not bool(torch.isfinite(predicted).all()):
            raise DiffusionError(
                f"sampling at timestep {timestep}: the prediction is not finite; check the weights"
            )
        clean = (x - float(path.noise[t]) * predicted) / float(path.signal[t])
        clean = clean.clamp(-1.0, 1.0)  # their library's range, although images are in [0, 1]
        x = float(path.signal[u]) * clean + float(path.noise[u]) * predicted  # eq. 12
        if on_step is not None:
            on_step()
    height, width = enlarged.shape[2:]
    return 2.0 * x[:, :, :height, :width] - 1.0


def enlarge_opencv(image: Tensor, scale: int) -> Tensor:
    """Enlarge ``(n, 3, h, w)`` as OpenCV's ``INTER_CUBIC`` does: Keys' cubic with a = -0.75.

    MATLAB's, which the rest of edgesr uses, has a = -0.5. Nothing is clipped.
    """
    return functional.interpolate(
        image, scale_factor=float(scale), mode="bicubic", align_corners=False
    )


def import_published(source: FilePath, target: FilePath, *, scale: int, steps: int = STEPS) -> int:
    """Turn the authors' ``.pth`` into a weights file that ``load_denoiser`` reads.

    Args:
        source: their file, read as plain tensors: nothing in it is executed.
        target: ``.safetensors`` file to write.
        scale: upscaling factor that the weights are for; the tensors do not tell.
        steps: of sampling, where none are asked for.

    Returns:
        Number of tensors that were read.

    Raises:
        CheckpointError: the file is missing, damaged, or of another network; or another factor.
        DiffusionError: a number of steps that the path does not have.
        OutputError: ``target`` cannot be written.
    """
    if scale not in SCALES:
        wanted = " or ".join(map(str, SCALES))
        raise CheckpointError(f"{source}: scale {scale}, want {wanted}, what BI-DiffSR is for")
    leading_path(published_path(), steps)
    state, _ = read_weights(weights_file(source))
    network = build_denoiser(MODEL, scale)
    load_state(source, network, from_published(state), f"{MODEL} x{scale} under its authors' names")
    save_denoiser(
        target,
        network.state_dict(),
        model=MODEL,
        scale=scale,
        schedule=Schedule(name=PUBLISHED, parameters={}, sampling_steps=steps),
        prediction="eps",
        metadata={"imported": "BI-DiffSR of its authors, arXiv 2406.05723"},
    )
    return len(state)
