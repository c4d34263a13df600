"""Compare an integer file with its own simulation, on every kernel family."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edgesr.errors import DataError
from edgesr.export.read import ReadModel
from edgesr.litert import Kernels, open_model
from edgesr.quant.int16x8 import simulate_int16
from edgesr.quant.scheme import CODE_MIN, GREY_LEVELS, WI8_AI16
from edgesr.quant.simulate import simulate


@dataclass(frozen=True, kw_only=True, eq=False)
class Picture:
    """An input: uint8 ``(h, w, c)``; code ``p - 128`` is fed for the number ``p``."""

    name: str
    pixels: NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class FamilyResult:
    """File against simulation on one family.

    Attributes:
        kernels: family.
        images: number of images.
        values: output values compared.
        mismatches: values that differ.
        max_error: largest difference in codes.
        output_sha256: over the file's output codes of all images, in order.
    """

    kernels: str
    images: int
    values: int
    mismatches: int
    max_error: int
    output_sha256: str


def made_pictures(channels: int, *, seed: int = 0) -> list[Picture]:
    """Return made pictures of odd and even sizes: noise, waves, edges, a ramp."""
    random = np.random.default_rng(seed)
    noise = random.integers(0, 256, (40, 57, channels), np.uint8)
    y, x = np.arange(64)[:, None, None], np.arange(48)[None, :, None]
    waves = 128 + 60 * np.sin(x / (3.0 + np.arange(channels))) + 60 * np.cos(y / 5.0)
    blocks = random.integers(0, 2, (5, 9, channels)) * 255
    edges = blocks.repeat(7, axis=0).repeat(8, axis=1)[:33, :71]
    ramp = np.broadcast_to(np.arange(256).reshape(16, 16, 1), (16, 16, channels))
    made = {"noise": noise, "waves": waves, "edges": edges, "ramp": ramp}
    return [
        Picture(name=name, pixels=np.ascontiguousarray(one, dtype=np.uint8))
        for name, one in made.items()
    ]


def compare_family(
    content: bytes, model: ReadModel, pictures: Sequence[Picture], *, kernels: Kernels
) -> FamilyResult:
    """Run the file and the simulation on ``pictures``.

    Raises:
        DataError: there are no pictures, or they have another number of channels.
        MissingDependencyError: LiteRT or the family is missing.
        CheckpointError: the kernels refuse the file.
    """
    if not pictures:
        raise DataError("no image to compare on; name files or a folder with images")
    digest = hashlib.sha256()
    values = mismatches = largest = 0
    for picture, found in zip(
        pictures, run_file(content, model, pictures, kernels=kernels), strict=True
    ):
        codes = torch.from_numpy(input_codes(model, picture))[None]
        run = simulate_int16 if model.quantized.scheme == WI8_AI16 else simulate
        wanted = run(model.quantized, codes, kernels=kernels)[0].numpy()
        error = np.abs(found.astype(np.int64) - wanted)
        digest.update(found.tobytes())
        values += error.size
        mismatches += int(np.count_nonzero(error))
        largest = max(largest, int(error.max()))
    return FamilyResult(
        kernels=kernels,
        images=len(pictures),
        values=values,
        mismatches=mismatches,
        max_error=largest,
        output_sha256=digest.hexdigest(),
    )


def run_file(
    content: bytes, model: ReadModel, pictures: Sequence[Picture], *, kernels: Kernels
) -> Iterator[NDArray[np.int8]]:
    """Yield the file's output codes ``(h, w, c)``, whatever numbers it has at its ends."""
    graph, grids = model.quantized.graph, model.quantized.qparams
    source, target = grids[graph.inputs[0].name], grids[graph.outputs[0]]
    if model.quantized.scheme == WI8_AI16:
        source = GREY_LEVELS  # int8 codes are widened behind the file's input
    file = open_model(content, kernels=kernels)
    for picture in pictures:
        codes = input_codes(model, picture)[None]
        batch: NDArray[Any] = codes
        if model.io == "uint8":
            batch = (codes.astype(np.int16) - CODE_MIN).astype(np.uint8)
        elif model.io == "float32":
            batch = (codes.astype(np.float32) - source.zero_point) * source.scale
        output = file.run(batch)[0]
        if model.io == "uint8":
            output = output.astype(np.int16) + CODE_MIN
        elif model.io == "float32":
            output = np.rint(output.astype(np.float64) / float(target.scale)) + target.zero_point
        yield np.ascontiguousarray(output, dtype=np.int8)


def input_codes(model: ReadModel, picture: Picture) -> NDArray[np.int8]:
    """Return a picture as codes, repeated or cut to the size of a file that has only one.

    Raises:
        DataError: the picture has another number of channels than the file.
    """
    channels = model.quantized.graph.inputs[0].channels
    if picture.pixels.shape[2] != channels:
        raise DataError(
            f"{picture.name}: {picture.pixels.shape[2]} channels, the file takes {channels}"
        )
    pixels = picture.pixels
    if model.shape is not None:
        repeats = [-(-n // m) for n, m in zip(model.shape, pixels.shape, strict=False)]
        pixels = np.tile(pixels, (*repeats, 1))[: model.shape[0], : model.shape[1]]
    return np.ascontiguousarray(pixels.astype(np.int16) + CODE_MIN, dtype=np.int8)
