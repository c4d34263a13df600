"""Prove an exported file by running it: exactness, fidelity, colour."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgesr.errors import DataError
from edgesr.export.precisions import Simulation
from edgesr.litert import LiteModel
from edgesr.metrics import psnr

_LEVELS = 256


class Upscales(Protocol):
    """An opened file."""

    @property
    def scale(self) -> int:
        """Upscaling factor."""

    def upscale(self, lr: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Map ``(h, w, 3)`` RGB uint8 to ``(h * scale, w * scale, 3)``."""


Reference = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""Maps LR grey levels ``(h, w, 3)`` to SR in float32, clipped to [0, 255] but not rounded."""


@dataclass(frozen=True, kw_only=True)
class Fidelity:
    """How the file's output compares with the float network's on held-out images.

    Attributes:
        images: number of images.
        values: number of output values.
        mismatches: values in which file and integer simulation differ; None for a file that
            computes in floats.
        psnr_to_float: dB between the file's 8-bit output and the float output, which is not
            rounded, mean over images.
        worst_to_float: the same for the image where it is lowest.
        colour_bias: mean of file minus float for red, green and blue, in grey levels.
        max_error: largest difference to the float output in grey levels.
        psnr_file: mean over images of the file's PSNR against HR, RGB without border (``mai``).
        psnr_reference: the same for the rounded float output.
    """

    images: int
    values: int
    mismatches: int | None
    psnr_to_float: float
    worst_to_float: float
    colour_bias: tuple[float, float, float]
    max_error: float
    psnr_file: float
    psnr_reference: float

    @property
    def drop(self) -> float:
        """PSNR that the file loses against the float network, in dB."""
        return self.psnr_reference - self.psnr_file


@dataclass(frozen=True, kw_only=True)
class ConstantLevels:
    """What flat areas of the grey levels 0 to 255 become.

    Attributes:
        exact: levels of 256 that map to themselves in the file.
        exact_float: the same for the rounded float network.
        max_error: largest deviation of the file in grey levels.
        max_error_float: the same for the rounded float network.
    """

    exact: int
    exact_float: int
    max_error: int
    max_error_float: int


def compare(
    file: Upscales,
    images: Sequence[tuple[NDArray[np.uint8], NDArray[np.uint8]]],
    *,
    reference: Reference,
    simulation: Simulation | None,
) -> Fidelity:
    """Run the file on held-out images beside the float network and the integer simulation.

    Args:
        file: one for every size, opened on the kernels that the simulation stands for.
        images: LR and HR.
        reference: the float network.
        simulation: what the file must equal; None for one that computes in floats.

    Raises:
        DataError: there are no images.
    """
    if not images:
        raise DataError("no held-out image to verify with; name a folder with --data")
    mismatches = values = 0
    largest = 0.0
    to_float: list[float] = []
    sums = np.zeros(3)
    scores: list[tuple[float, float]] = []
    for lr, hr in images:
        sr = file.upscale(lr)
        if simulation is not None:
            mismatches += int(np.count_nonzero(sr != simulation(lr)))
        values += sr.size
        wanted = reference(lr)
        error = sr.astype(np.float64) - wanted
        to_float.append(_decibels(float(np.square(error).mean())))
        sums += error.sum(axis=(0, 1))
        largest = max(largest, float(np.abs(error).max()))
        rounded = np.rint(wanted).astype(np.float64)
        target = hr.astype(np.float64)
        scores.append((psnr(sr.astype(np.float64), target), psnr(rounded, target)))
    red, green, blue = (sums * 3 / values).tolist()
    return Fidelity(
        images=len(images),
        values=values,
        mismatches=None if simulation is None else mismatches,
        psnr_to_float=float(np.mean(to_float)),
        worst_to_float=min(to_float),
        colour_bias=(red, green, blue),
        max_error=largest,
        psnr_file=float(np.mean([score[0] for score in scores])),
        psnr_reference=float(np.mean([score[1] for score in scores])),
    )


def constant_levels(file: LiteModel, reference: Reference, *, reach: int) -> ConstantLevels:
    """Upscale flat areas of every grey level and look at their middle, away from other areas.

    Args:
        file: one for every size.
        reference: the float network.
        reach: low-resolution pixels that an output pixel sees to each side.
    """
    side = 2 * reach + 2
    levels = np.arange(_LEVELS)
    column = np.repeat(levels, side).astype(np.uint8)
    image = np.ascontiguousarray(np.broadcast_to(column[:, None, None], (len(column), side, 3)))
    inner = slice(reach * file.scale, -reach * file.scale)

    def errors(sr: NDArray[Any]) -> NDArray[np.int64]:
        blocks = sr.reshape(_LEVELS, side * file.scale, side * file.scale, 3)[:, inner, inner]
        deviation = np.abs(blocks.astype(np.int64) - levels[:, None, None, None])
        largest: NDArray[np.int64] = deviation.reshape(_LEVELS, -1).max(axis=1)
        return largest

    found, wanted = errors(file.upscale(image)), errors(np.rint(reference(image)))
    return ConstantLevels(
        exact=int((found == 0).sum()),
        exact_float=int((wanted == 0).sum()),
        max_error=int(found.max()),
        max_error_float=int(wanted.max()),
    )


def fixed_mismatches(file: LiteModel, simulation: Simulation, lr: NDArray[np.uint8]) -> int:
    """Count the values in which a file of one fixed size differs from the simulation.

    The image is repeated or cut to the file's size.
    """
    height, width = file.fixed_shape or lr.shape[:2]
    repeats = (-(-height // lr.shape[0]), -(-width // lr.shape[1]), 1)
    image = np.ascontiguousarray(np.tile(lr, repeats)[:height, :width])
    return int(np.count_nonzero(file.upscale(image) != simulation(image)))


def _decibels(mean_square: float) -> float:
    return math.inf if mean_square == 0 else 10 * math.log10(255.0**2 / mean_square)
