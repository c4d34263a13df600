"""LiteRT inference time of .tflite files."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from edgesr.bench.timing import Work
from edgesr.litert import open_model

_SEED = 0


def inference_contenders(
    models: Mapping[str, Path | bytes], *, shape: tuple[int, int], threads: int
) -> dict[str, Work]:
    """Return one run each of ``models`` on the same random image.

    Args:
        models: name to file or file content.
        shape: ``(h, w)`` of the low-resolution image; a file of one fixed size must have it.
        threads: LiteRT's threads.

    Raises:
        CheckpointError: a file is missing or damaged.
        DataError: a file has another fixed size.
    """
    image = np.random.default_rng(_SEED).integers(0, 256, (*shape, 3), dtype=np.uint8)
    return {name: _work(content, image, threads) for name, content in models.items()}


def _work(content: Path | bytes, image: "np.typing.NDArray[np.uint8]", threads: int) -> Work:
    model = open_model(content, threads=threads)
    batch = model.input_grid.encode(image)[None]
    return lambda: model.run(batch)
