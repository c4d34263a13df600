"""Time the integer simulation against the float network."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from edgesr.export.read import read_model
from edgesr.quant.simulate import simulate

_REPEATS = 3


def simulation_speed(
    model: Path, module: nn.Module, *, name: str, shape: tuple[int, int], families: Sequence[str]
) -> dict[str, Any]:
    """Return seconds for one image, the shortest of three runs.

    Args:
        model: the int8 file.
        module: the same network in float.
        name: of the network, for people.
        shape: height and width of the image.
        families: kernel families to simulate.
    """
    quantized = read_model(model).quantized
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (1, *shape, 3), generator=generator)
    image = pixels.permute(0, 3, 1, 2).float()
    codes = (pixels - 128).to(torch.int8)

    def seconds(run: Callable[[], object]) -> float:
        times = []
        for _ in range(_REPEATS):
            start = time.perf_counter()
            run()
            times.append(time.perf_counter() - start)
        return min(times)

    with torch.inference_mode():
        return {
            "model": name,
            "shape": f"{shape[0]}x{shape[1]}",
            "threads": torch.get_num_threads(),
            "float": seconds(lambda: module(image)),
            "simulation": {
                one: seconds(lambda one=one: simulate(quantized, codes, kernels=one))  # type: ignore[misc]
                for one in families
            },
        }
