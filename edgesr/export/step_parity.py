"""Compare a file of steps with its own simulation: every signature, and whole trajectories."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edgesr.diffusion.plane import frame_noise
from edgesr.export.parity import made_pictures
from edgesr.export.read import ReadSignatures
from edgesr.graph.image_inputs import INPUTS
from edgesr.imresize import upscale_bicubic
from edgesr.litert import Kernels, open_signatures
from edgesr.quant.scheme import CODE_MIN
from edgesr.quant.simulate import simulate
from edgesr.upscalers.step_loop import sample
from edgesr.upscalers.step_schedule import StepSchedule
from edgesr.upscalers.stepwise import Evaluate, tiles_of, windowed

_TRAJECTORY_SIDE = 32
_RGB = 3
_SMALLEST = INPUTS[2]

Codes = Mapping[str, NDArray[np.int8]]


@dataclass(frozen=True, kw_only=True)
class SignatureResult:
    """One signature against its simulation on one kernel family.

    Attributes:
        signature: its name.
        kernels: family.
        values: output values compared.
        mismatches: values that differ.
        max_error: largest difference in codes.
        output_sha256: over the file's output codes of all inputs, in order.
    """

    signature: str
    kernels: str
    values: int
    mismatches: int
    max_error: int
    output_sha256: str


@dataclass(frozen=True, kw_only=True)
class TrajectoryResult:
    """Whole trajectories through the file against simulated ones, on one kernel family.

    Attributes:
        sampler: that walked them.
        kernels: family.
        images: number of trajectories.
        values: grey levels of the results compared.
        mismatches: grey levels that differ.
        code_mismatches: output codes that differ, of the centre and all steps.
        output_sha256: over the grey levels of the file's results, in order.
    """

    sampler: str
    kernels: str
    images: int
    values: int
    mismatches: int
    code_mismatches: int
    output_sha256: str


@dataclass(frozen=True, kw_only=True)
class StepsParity:
    """All that was compared."""

    signatures: tuple[SignatureResult, ...]
    trajectories: tuple[TrajectoryResult, ...]

    @property
    def mismatches(self) -> int:
        """Values that differ: codes of signatures, codes and grey levels of trajectories."""
        found = sum(one.mismatches for one in self.signatures)
        return found + sum(one.mismatches + one.code_mismatches for one in self.trajectories)


def compare_steps(
    content: bytes,
    read: ReadSignatures,
    schedule: StepSchedule,
    *,
    families: Sequence[Kernels],
    images: Sequence[NDArray[np.uint8]] | None = None,
) -> StepsParity:
    """Run a file and its simulation on made inputs, and trajectories on images.

    Args:
        content: the file.
        read: what it holds.
        schedule: how its steps are run.
        families: kernel families.
        images: low-resolution RGB pictures; None takes one that is made.

    Raises:
        CheckpointError: the file lacks a signature, or the kernels refuse it.
        MissingDependencyError: LiteRT or a family is missing.
    """
    inputs = made_inputs(schedule, read.shape)
    pictures = list(images or (made_image(read.shape),))
    signatures: list[SignatureResult] = []
    trajectories: list[TrajectoryResult] = []
    for kernels in families:
        run = open_signatures(content, kernels=kernels).run
        simulated = simulation(read, kernels=kernels)
        signatures += [
            _signature(one, inputs_of(one, schedule, inputs), run, simulated, kernels)
            for one in schedule.signatures
        ]
        trajectories += [
            _trajectories(pictures, schedule, run, simulated, sampler=sampler, kernels=kernels)
            for sampler in schedule.samplers
        ]
    return StepsParity(signatures=tuple(signatures), trajectories=tuple(trajectories))


def simulation(read: ReadSignatures, *, kernels: str) -> Evaluate:
    """Return what runs a signature as ``SignatureModel.run`` does, by the integer simulation."""

    def run(signature: str, inputs: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        quantized = read.signatures[signature]
        names = [spec.name for spec in quantized.graph.inputs]
        tensors = [torch.from_numpy(np.ascontiguousarray(inputs[name])) for name in names]
        codes: NDArray[Any] = simulate(quantized, *tensors, kernels=kernels).numpy()
        return codes

    return run


def made_inputs(schedule: StepSchedule, shape: tuple[int, int] | None) -> list[Codes]:
    """Return made codes for a signature's inputs, in several sizes or in the file's only one."""
    random = np.random.default_rng(0)
    found: list[Codes] = []
    for picture in made_pictures(_RGB)[: None if shape is None else 1]:
        pixels = picture.pixels
        height, width = (side - side % schedule.multiple for side in pixels.shape[:2])
        if shape is not None:
            height, width = shape
            pixels = np.tile(
                pixels, (-(-height // pixels.shape[0]), -(-width // pixels.shape[1]), 1)
            )
        lr = np.ascontiguousarray(pixels[:height, :width])
        centre = upscale_bicubic(lr, schedule.scale)
        noise = random.normal(0, 40, centre.shape)
        noisy = np.rint(centre + noise).clip(0, 255).astype(np.uint8)
        images = dict(zip(INPUTS, (noisy, centre, lr), strict=True))
        found.append({name: _codes(image)[None] for name, image in images.items()})
    return found


def inputs_of(signature: str, schedule: StepSchedule, inputs: Sequence[Codes]) -> Sequence[Codes]:
    """Return what a signature takes of ``made_inputs``: all of it, the centre ``lr`` alone."""
    if schedule.centre is None or signature != schedule.centre.signature:
        return inputs
    return [{_SMALLEST: one[_SMALLEST]} for one in inputs]


def made_image(shape: tuple[int, int] | None) -> NDArray[np.uint8]:
    """Return a made low-resolution picture, of odd sides where any size is accepted."""
    height, width = shape or (_TRAJECTORY_SIDE - 1, _TRAJECTORY_SIDE + 5)
    picture = made_pictures(_RGB)[1].pixels
    repeats = (-(-height // picture.shape[0]), -(-width // picture.shape[1]), 1)
    return np.ascontiguousarray(np.tile(picture, repeats)[:height, :width])


def trajectory(
    lr: NDArray[np.uint8],
    schedule: StepSchedule,
    evaluate: Evaluate,
    *,
    sampler: str = "ddim",
    seed: int = 0,
) -> tuple[NDArray[np.uint8], list[NDArray[Any]]]:
    """Return the result of a trajectory and the output codes of its centre and its steps."""
    seen: list[NDArray[Any]] = []

    def watched(signature: str, inputs: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        seen.append(evaluate(signature, inputs))
        return seen[-1]

    tiles = tiles_of((lr.shape[0], lr.shape[1]), schedule, tile=0)
    run = windowed(watched, schedule, tiles)
    levels = sample(lr, schedule, run, partial(frame_noise, seed), sampler=sampler)
    return np.rint(levels).astype(np.uint8), seen


def run_inputs(signature: str, inputs: Sequence[Codes], run: Evaluate) -> tuple[int, str]:
    """Return the number of output codes of all inputs and the SHA-256 over them."""
    outputs = [run(signature, one) for one in inputs]
    digest = hashlib.sha256(b"".join(one.tobytes() for one in outputs))
    return sum(one.size for one in outputs), digest.hexdigest()


def _signature(
    signature: str, inputs: Sequence[Codes], run: Evaluate, simulated: Evaluate, kernels: str
) -> SignatureResult:
    values = mismatches = largest = 0
    digest = hashlib.sha256()
    for one in inputs:
        found = run(signature, one)
        digest.update(found.tobytes())
        error = np.abs(found.astype(np.int64) - simulated(signature, one))
        values += error.size
        mismatches += int(np.count_nonzero(error))
        largest = max(largest, int(error.max()))
    return SignatureResult(
        signature=signature,
        kernels=kernels,
        values=values,
        mismatches=mismatches,
        max_error=largest,
        output_sha256=digest.hexdigest(),
    )


def _trajectories(  # noqa: PLR0913 - what a run depends on
    images: Sequence[NDArray[np.uint8]],
    schedule: StepSchedule,
    run: Evaluate,
    simulated: Evaluate,
    *,
    sampler: str,
    kernels: str,
) -> TrajectoryResult:
    digest = hashlib.sha256()
    values = mismatches = codes = 0
    walk: Callable[..., tuple[NDArray[np.uint8], list[NDArray[Any]]]] = partial(
        trajectory, sampler=sampler
    )
    for lr in images:
        found, outputs = walk(lr, schedule, run)
        wanted, simulated_outputs = walk(lr, schedule, simulated)
        digest.update(found.tobytes())
        values += found.size
        mismatches += int(np.count_nonzero(found != wanted))
        codes += sum(
            int(np.count_nonzero(a != b)) for a, b in zip(outputs, simulated_outputs, strict=True)
        )
    return TrajectoryResult(
        sampler=sampler,
        kernels=kernels,
        images=len(images),
        values=values,
        mismatches=mismatches,
        code_mismatches=codes,
        output_sha256=digest.hexdigest(),
    )


def _codes(image: NDArray[np.uint8]) -> NDArray[np.int8]:
    return (image.astype(np.int16) + CODE_MIN).astype(np.int8)
