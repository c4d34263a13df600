"""Prove that two files compute the same bits, by running both with LiteRT on the same inputs."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgesr.errors import CheckpointError, MissingDependencyError
from edgesr.litert import Kernels, open_interpreter

_SIZES = ((16, 16), (23, 37), (40, 8))
_IMAGE_RANK = 4
_SLOW_PIXELS = 64 * 64
_PATTERNS = ("random", "extremes", "lowest")
_KERNELS: tuple[Kernels, ...] = ("xnnpack", "builtin", "reference")


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What running two files showed.

    Attributes:
        equal: whether every value was the same, of at least one kernel family.
        kernels: families that ran the file before.
        runs: how often both were run.
        values: numbers compared.
        reason: why not equal, or which families could not run.
    """

    equal: bool
    kernels: tuple[Kernels, ...]
    runs: int
    values: int
    reason: str


def prove(before: bytes, after: bytes) -> Proof:
    """Compare two files on random, extreme and constant inputs, several sizes where they are free.

    Families that cannot run the file before are left out and named.
    """
    ran: list[Kernels] = []
    left_out: list[str] = []
    runs = values = 0
    for kernels in _KERNELS:
        try:
            old = open_interpreter(before, kernels=kernels)
            expected = list(_results(old, kernels))
        except (CheckpointError, MissingDependencyError, RuntimeError, ValueError) as error:
            left_out.append(f"{kernels} ({' '.join(str(error).split())[:80]})")
            continue
        ran.append(kernels)
        if not expected:
            left_out.append(f"{kernels} (the image is too large for its slow kernels)")
            ran.pop()
            continue
        try:
            found = list(_results(open_interpreter(after, kernels=kernels), kernels))
        except (CheckpointError, RuntimeError, ValueError) as error:
            reason = f"{kernels} kernels refuse the new file: {' '.join(str(error).split())[:120]}"
            return Proof(equal=False, kernels=tuple(ran), runs=runs, values=values, reason=reason)
        runs += len(expected)
        values += sum(one.size for several in expected for one in several)
        differing = sum(map(_differing, expected, found))
        if differing or len(expected) != len(found):
            reason = f"{differing} values differ on {kernels} kernels"
            return Proof(equal=False, kernels=tuple(ran), runs=runs, values=values, reason=reason)
    without = f"without {'; '.join(left_out)}" if left_out else ""
    return Proof(equal=bool(ran), kernels=tuple(ran), runs=runs, values=values, reason=without)


def _differing(old: list[npt.NDArray[Any]], new: list[npt.NDArray[Any]]) -> int:
    if len(old) != len(new):
        return 1
    return sum(_count(one, other) for one, other in zip(old, new, strict=True))


def _count(old: npt.NDArray[Any], new: npt.NDArray[Any]) -> int:
    if old.shape != new.shape or old.dtype != new.dtype:
        return max(old.size, 1)
    if old.dtype == np.float32:  # as bits: -0.0 is not 0.0, and NaN is NaN
        return int((old.view(np.uint32) != new.view(np.uint32)).sum())
    return int((old != new).sum())


def _results(interpreter: Any, kernels: Kernels) -> Iterator[list[npt.NDArray[Any]]]:
    keys = list(interpreter.get_signature_list()) or [None]
    for key in keys:
        runner = None if key is None else interpreter.get_signature_runner(key)
        details = (
            {one["name"]: one for one in interpreter.get_input_details()}
            if runner is None
            else runner.get_input_details()
        )
        for size in _sizes(details, kernels):
            for seed, pattern in enumerate(_PATTERNS):
                generator = np.random.default_rng(seed)
                inputs = {
                    name: _draw(one, size, pattern, generator) for name, one in details.items()
                }
                if runner is None:
                    yield _run(interpreter, details, inputs)
                else:
                    found = runner(**inputs)
                    yield [found[name] for name in sorted(found)]


def _run(
    interpreter: Any, details: dict[str, Any], inputs: dict[str, npt.NDArray[Any]]
) -> list[npt.NDArray[Any]]:
    for name, value in inputs.items():
        interpreter.resize_tensor_input(details[name]["index"], value.shape)
    interpreter.allocate_tensors()
    for name, value in inputs.items():
        interpreter.set_tensor(details[name]["index"], value)
    interpreter.invoke()
    return [interpreter.get_tensor(one["index"]) for one in interpreter.get_output_details()]


def _sizes(details: dict[str, Any], kernels: Kernels) -> list[tuple[int, int] | None]:
    free = any(-1 in one["shape_signature"] for one in details.values())
    if free:
        return list(_SIZES)
    images = [one["shape"] for one in details.values() if len(one["shape"]) == _IMAGE_RANK]
    pixels = max((int(one[1]) * int(one[2]) for one in images), default=0)
    return [] if kernels == "reference" and pixels > _SLOW_PIXELS else [None]


def _draw(
    details: Any, size: tuple[int, int] | None, pattern: str, generator: np.random.Generator
) -> npt.NDArray[Any]:
    shape = [int(one) for one in details["shape"]]
    for axis, free in enumerate(details["shape_signature"]):
        if free == -1:
            image = size is not None and len(shape) == _IMAGE_RANK and axis in {1, 2}
            shape[axis] = size[axis - 1] if image and size is not None else 1
    dtype = np.dtype(details["dtype"])
    drawn: npt.NDArray[Any]
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        low, high = int(limits.min), int(limits.max)
        drawn = generator.integers(low, high, shape, np.int64, endpoint=True)
    elif dtype.kind == "f":
        low, high = 0, 255
        drawn = generator.uniform(low, high, shape)
    else:
        low, high = 0, 1
        drawn = generator.integers(0, 2, shape)
    if pattern == "extremes":
        drawn = generator.choice(np.array([low, high]), shape)
    elif pattern == "lowest":
        drawn = np.full(shape, low)
    return np.asarray(drawn, dtype)
