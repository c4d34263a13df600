"""What signatures cost: their time beside float32 in one run, and the memory of every one."""

import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesr.errors import DataError
from edgesr.graph.image_inputs import INPUTS
from edgesr.litert import SignatureModel, open_signatures
from edgesr.upscalers.step_schedule import StepSchedule

SIDE = 64
"""Low-resolution pixels a side of the image that is timed."""
_REPEATS = 9
_TIMEOUT_S = 300
_MIB = 2**20
_RGB = 3
_HALF_RANGE = 127.5


@dataclass(frozen=True, kw_only=True)
class StepCost:
    """Cost of one step for an image of 64x64 low-resolution pixels, on one thread.

    Attributes:
        side: 64.
        threads: 1.
        file_ms: median time of the first step in this file.
        float32_ms: the same in a float32 file of the same network, measured in turn with the other.
        speedup: median of the ratios of neighbouring runs, float32 over this file.
        opened_mib: resident memory that opening the file took.
        signature_mib: what the first run of each step's signature added, in sampling order.
        centre_ms: median time of the network that makes the centre, once for an image; None where
            that is bicubic.
        centre_float32_ms: the same in the float32 file.
        centre_mib: what its first run added, after all steps.
    """

    side: int
    threads: int
    file_ms: float
    float32_ms: float
    speedup: float
    opened_mib: float
    signature_mib: tuple[float, ...]
    centre_ms: float | None = None
    centre_float32_ms: float | None = None
    centre_mib: float | None = None


def measure_cost(content: bytes, floats: bytes, schedule: StepSchedule) -> StepCost:
    """Time a file's first step and its centre beside a float32 file's, and weigh all signatures.

    Args:
        content: the file, for every size.
        floats: float32 file of the same network, for every size.
        schedule: of the file.

    Raises:
        DataError: the process that weighs the file fails.
    """
    files = open_signatures(content), open_signatures(floats)
    times = _in_turn(files, schedule.steps[0].signature, schedule.scale)
    memory = _memory(content, schedule)
    steps = len(schedule.steps)
    centre = None
    if schedule.centre is not None:
        centre = _in_turn(files, schedule.centre.signature, schedule.scale)
    return StepCost(
        side=SIDE,
        threads=1,
        file_ms=round(median(one for one, _ in times), 3),
        float32_ms=round(median(other for _, other in times), 3),
        speedup=round(median(other / one for one, other in times), 2),
        opened_mib=round(memory[0], 2),
        signature_mib=tuple(round(one, 2) for one in memory[1 : 1 + steps]),
        centre_ms=None if centre is None else round(median(one for one, _ in centre), 3),
        centre_float32_ms=None if centre is None else round(median(one for _, one in centre), 3),
        centre_mib=None if centre is None else round(memory[1 + steps], 2),
    )


def _in_turn(
    files: tuple[SignatureModel, SignatureModel], signature: str, scale: int
) -> list[tuple[float, float]]:
    """Return times of one signature in both files, run in turn."""
    inputs = _inputs(scale)
    ours, theirs = (_prepared(file, signature, inputs) for file in files)
    times: list[tuple[float, float]] = []
    for number in range(_REPEATS + 1):
        pair = _milliseconds(*ours), _milliseconds(*theirs)
        if number:  # the first pair prepares the kernels
            times.append(pair)
    return times


Prepared = tuple[SignatureModel, str, Mapping[str, NDArray[Any]]]


def _inputs(scale: int) -> dict[str, NDArray[np.int8]]:
    random = np.random.default_rng(0)
    sides = dict(zip(INPUTS, (scale * SIDE, scale * SIDE, SIDE), strict=True))
    return {
        name: random.integers(-128, 128, (1, side, side, _RGB), np.int8)
        for name, side in sides.items()
    }


def _prepared(file: SignatureModel, signature: str, codes: Mapping[str, Any]) -> Prepared:
    grids = file.input_grids(signature)
    images = {
        name: codes[name]
        if grid.dtype == np.int8
        else codes[name].astype(np.float32) / np.float32(_HALF_RANGE)
        for name, grid in grids.items()
    }
    return file, signature, images


def _milliseconds(file: SignatureModel, signature: str, inputs: Mapping[str, Any]) -> float:
    start = time.perf_counter()
    file.run(signature, inputs)
    return 1000 * (time.perf_counter() - start)


def _memory(content: bytes, schedule: StepSchedule) -> list[float]:
    """Return what opening took and what each signature added, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(content)
        request = {
            "path": str(path),
            "scale": schedule.scale,
            "signatures": schedule.signatures,
        }
        try:
            done = subprocess.run(  # noqa: S603 - our own interpreter and module
                [sys.executable, "-m", "edgesr.export.step_cost", json.dumps(request)],
                capture_output=True,
                text=True,
                timeout=_TIMEOUT_S,
                check=True,
            )
        except subprocess.SubprocessError as error:
            raise DataError(f"the file's memory could not be measured ({error})") from error
    levels: list[float] = json.loads(done.stdout.splitlines()[-1])
    return [after - before for before, after in itertools.pairwise(levels)]


def _main() -> None:
    request = json.loads(sys.argv[1])
    __import__("ai_edge_litert.interpreter")  # the runtime's own memory is not the file's
    inputs = _inputs(request["scale"])
    levels = [_resident()]
    file = open_signatures(Path(request["path"]))
    levels.append(_resident())
    for signature in request["signatures"]:
        prepared = _prepared(file, signature, inputs)
        _milliseconds(*prepared)
        levels.append(_resident())
    print(json.dumps(levels))


def _resident() -> float:
    """Return the resident memory in MiB; where the system tells only the peak, the peak."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / (_MIB if sys.platform == "darwin" else 1024)
    import resource

    return pages * resource.getpagesize() / _MIB


if __name__ == "__main__":
    _main()
