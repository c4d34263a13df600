"""The loop that a host runs round the steps of a .tflite file; numpy and nothing else.

``docs/diffusion-on-device.md`` has the same in pseudo-code.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesr.imresize import imresize
from edgesr.upscalers.step_schedule import ScheduledStep, StepSchedule

Image = NDArray[np.float32]
Run = Callable[[str, Mapping[str, NDArray[Any]]], NDArray[Any]]
"""Runs a signature: its name and images ``(h, w, 3)`` by input, to one image of its output."""
Draw = Callable[[int, tuple[int, int, int]], Image]
"""Draws the standard normal noise that leads to a state, of shape ``(h, w, 3)``."""

_HALF = np.float32(127.5)


def sample(
    lr: NDArray[np.uint8], schedule: StepSchedule, run: Run, draw: Draw, *, sampler: str = "ddim"
) -> Image:
    """Enlarge one image; all arithmetic but the network's is float32.

    Args:
        lr: ``(h, w, 3)`` RGB uint8.
        schedule: of the file.
        run: the file, or its simulation.
        draw: noise.
        sampler: a name in ``schedule.samplers``.

    Returns:
        ``(s h, s w, 3)`` grey levels in [0, 255], not rounded.
    """
    image = lr.astype(np.float32) / _HALF - np.float32(1)
    centre = centre_of(lr, schedule, run)
    offset: Image = centre if schedule.centred else np.zeros_like(centre)
    shape = (centre.shape[0], centre.shape[1], centre.shape[2])
    x = offset + np.float32(schedule.start_noise) * draw(schedule.steps[0].state, shape)
    for step in schedule.steps:
        shown = offset + np.float32(step.shown) * (x - offset)
        images = {"x": shown, "centre": centre, "lr": image}
        inputs = {name: encode(one, schedule.io) for name, one in images.items()}
        output = decode(run(step.signature, inputs), step)
        stands = step.residual
        residual = np.float32(stands.from_x) * (x - offset)
        residual += np.float32(stands.from_output) * output
        residual += np.float32(stands.from_offset) * offset
        residual = (residual + offset).clip(-1, 1) - offset
        move = step.moves[sampler]
        x = offset + np.float32(move.keep) * (x - offset) + np.float32(move.add) * residual
        if move.spread:
            x += np.float32(move.spread) * draw(step.state - 1, shape)
    levels: Image = ((x + np.float32(1)) * _HALF).clip(0, 255)
    return levels


def centre_of(lr: NDArray[np.uint8], schedule: StepSchedule, run: Run) -> Image:
    """Return the centre ``(s h, s w, 3)``: bicubic, or what the file's own signature gives."""
    if schedule.centre is None:
        image = (lr.astype(np.float32) / _HALF - np.float32(1)).astype(np.float64)
        return imresize(image, scale=schedule.scale).astype(np.float32)
    zero_point = schedule.centre.zero_point
    codes = (lr.astype(np.int16) + zero_point).astype(schedule.io)
    found = run(schedule.centre.signature, {"lr": codes}).astype(np.float32)
    levels = (found - np.float32(zero_point)).clip(0, 255)
    centre: Image = levels.astype(np.float32) / _HALF - np.float32(1)
    return centre


def encode(image: Image, io: str) -> NDArray[Any]:
    """Return the numbers that a signature is fed: grey level less 128, or the image itself."""
    if io == "float32":
        return image
    levels = np.rint((image + np.float32(1)) * _HALF).clip(0, 255)
    codes: NDArray[Any] = (levels - np.float32(128)).astype(np.int8)
    return codes


def decode(output: NDArray[Any], step: ScheduledStep) -> Image:
    """Return the prediction that a signature's numbers stand for, with its usual error out."""
    real = (output.astype(np.float32) - np.float32(step.output.zero_point)) * np.float32(
        step.output.scale
    )
    corrected: Image = (real - np.asarray(step.mean, np.float32)) / np.float32(step.gain)
    return corrected
