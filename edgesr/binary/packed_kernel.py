"""Run one-bit convolutions on packed bits: the C kernel, by instruction set, or NumPy.

All kernels give the same numbers. Which one runs is chosen by the processor; ``$EDGESR_BITS`` or an
argument names another.
"""

import ctypes
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from edgesr.binary.packed_build import load_kernel
from edgesr.binary.packed_numpy import numpy_sums
from edgesr.binary.packed_weights import PackedWeights
from edgesr.errors import DataError, MissingDependencyError, UsageError

KERNEL_VARIABLE = "EDGESR_BITS"
KERNELS = ("portable", "popcnt", "avx2", "avx512", "neon")
"""In C, in the order of its enum; ``numpy`` comes beside them."""

_BEST = ("avx512", "avx2", "neon", "popcnt", "portable")
_SMALL = 8_000_000
"""Products of bits below which handing rows to another thread costs more than it saves."""

_LARGEST = 2**31 - 1


class _Job(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("features", "shift", "bits", "weights", "border")),
        *((name, ctypes.c_void_p) for name in ("factor", "before", "bend", "after", "gain")),
        *((name, ctypes.c_void_p) for name in ("made", "sums")),
        ("shortcut", ctypes.c_float),
        *((name, ctypes.c_int32) for name in ("height", "width", "inputs", "outputs", "padded")),
        *((name, ctypes.c_int32) for name in ("stride", "side", "first", "last")),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Tables:
    """What stands before the sign and behind the sum; see ``BinaryConv2d``.

    Attributes:
        shift: ``(inputs,)`` float32, added before the sign.
        factor: ``(padded,)`` float32, of the sum.
        before: ``(padded,)``, added to that.
        bend: ``(padded,)``, factor of what is below 0 then.
        after: ``(padded,)``, added last.
        shortcut: factor of the input that is added to the result; 0 adds none.
    """

    shift: NDArray[np.float32]
    factor: NDArray[np.float32]
    before: NDArray[np.float32]
    bend: NDArray[np.float32]
    after: NDArray[np.float32]
    shortcut: float = 0.0


def available_kernels() -> tuple[str, ...]:
    """Return the kernels that this machine runs, best first; ``numpy`` is always the last."""
    try:
        library = load_kernel()
    except MissingDependencyError:
        return ("numpy",)
    has = [name for name in _BEST if library.edgesr_bits_has(KERNELS.index(name))]
    return (*has, "numpy")


def find_kernel(name: str | None = None) -> str:
    """Return the kernel to use.

    Args:
        name: one that is wanted; None takes ``$EDGESR_BITS``, else the best. Where there is no C
            compiler that is ``numpy``, which is said on stderr once.

    Raises:
        UsageError: there is no kernel of that name.
        MissingDependencyError: this machine does not run it.
    """
    where = "kernel" if name is not None else f"${KERNEL_VARIABLE}"
    wanted = name if name is not None else os.environ.get(KERNEL_VARIABLE) or None
    if wanted is not None and wanted not in (*KERNELS, "numpy"):
        raise UsageError(
            f"{where} = {wanted!r}: no such kernel, want one of {', '.join([*KERNELS, 'numpy'])}"
        )
    if wanted is None:
        return _best()
    if wanted not in available_kernels():
        load_kernel()  # says so where the compiler is what is missing
        raise MissingDependencyError(
            f"{where} = {wanted}: this processor has {', '.join(available_kernels())}; drop it or "
            "name one of those"
        )
    return wanted


@cache
def _best() -> str:
    try:
        load_kernel()
    except MissingDependencyError as error:
        print(f"1-bit layers run in NumPy, which is slow: {error}", file=sys.stderr)
    return available_kernels()[0]


def packed_convolve(
    weights: PackedWeights,
    features: NDArray[np.float32],
    tables: Tables,
    *,
    gain: NDArray[np.float32] | None = None,
    threads: int = 1,
) -> NDArray[np.float32]:
    """Convolve the signs of an image, with what stands before and behind.

    Args:
        weights: of the layer.
        features: ``(h, w, inputs)`` float32, contiguous.
        tables: of the layer, for the image's group.
        gain: ``(h, w)`` factor of each output pixel.
        threads: at most so many at once.

    Returns:
        ``(h, w, outputs)`` float32.

    Raises:
        DataError: another shape or type.
    """
    _check(weights, features, tables, gain)
    if weights.kernel == "numpy":
        return _finished(numpy_sums(weights, features, tables.shift), features, tables, gain)
    made = np.empty((*features.shape[:2], weights.outputs), np.float32)

    def job(rows: range) -> "PackedJob":
        return PackedJob(weights, features, tables, rows=rows, gain=gain, made=made)

    _run(weights, features.shape[0], features.shape[1], threads, job)
    return made


def packed_sums(
    weights: PackedWeights, features: NDArray[np.float32], tables: Tables, *, threads: int = 1
) -> NDArray[np.int32]:
    """Return the sums alone, whole numbers: int32 ``(h, w, outputs)``; see ``packed_convolve``."""
    _check(weights, features, tables, None)
    if weights.kernel == "numpy":
        return numpy_sums(weights, features, tables.shift)
    sums = np.empty((*features.shape[:2], weights.outputs), np.int32)

    def job(rows: range) -> "PackedJob":
        return PackedJob(weights, features, tables, rows=rows, sums=sums)

    _run(weights, features.shape[0], features.shape[1], threads, job)
    return sums


class PackedJob:
    """Rows of one image in the C kernel; it gives up Python's lock while it runs.

    Args:
        weights: arranged for a kernel in C.
        features: ``(h, w, inputs)`` float32.
        tables: of the layer.
        rows: to compute.
        gain: ``(h, w)`` float32, or None.
        made: ``(h, w, outputs)`` float32 to write, or None.
        sums: the same in int32.
    """

    def __init__(  # noqa: PLR0913 - all of them arrays of one call
        self,
        weights: PackedWeights,
        features: NDArray[np.float32],
        tables: Tables,
        *,
        rows: range,
        gain: NDArray[np.float32] | None = None,
        made: NDArray[np.float32] | None = None,
        sums: NDArray[np.int32] | None = None,
    ) -> None:
        library = load_kernel()
        if library.edgesr_bits_job_size() != ctypes.sizeof(_Job):
            raise MissingDependencyError("the C kernel is of another version; reinstall edgesr")
        height, width = features.shape[:2]
        edge = weights.side // 2
        bits = np.empty((len(rows) + 2 * edge) * (width + 2 * edge) * weights.stride, np.uint8)
        arrays = {
            "features": features,
            "shift": tables.shift,
            "bits": bits,
            "weights": weights.bits,
            "border": weights.border,
            "factor": tables.factor,
            "before": tables.before,
            "bend": tables.bend,
            "after": tables.after,
            "gain": gain,
            "made": made,
            "sums": sums,
        }
        self._kept = arrays
        self._job = _Job(
            **{name: None if one is None else one.ctypes.data for name, one in arrays.items()},
            shortcut=tables.shortcut,
            height=height,
            width=width,
            inputs=weights.inputs,
            outputs=weights.outputs,
            padded=weights.padded,
            stride=weights.stride,
            side=weights.side,
            first=rows.start,
            last=rows.stop,
        )
        self._kind = KERNELS.index(weights.kernel)
        self._library = library

    def pack(self) -> None:
        """Take the signs of the rows and of those beside them."""
        self._library.edgesr_bits_pack(self._kind, ctypes.byref(self._job))

    def convolve(self) -> None:
        """Convolve what was packed, and write the results."""
        self._library.edgesr_bits_convolve(self._kind, ctypes.byref(self._job))

    def __call__(self) -> None:
        """Do both."""
        self.pack()
        self.convolve()


def _run(
    weights: PackedWeights,
    height: int,
    width: int,
    threads: int,
    job: Callable[[range], PackedJob],
) -> None:
    work = height * width * weights.terms * weights.outputs
    count = max(1, min(threads, height, work // _SMALL))
    cuts = [height * part // count for part in range(count + 1)]
    bands = [job(range(*pair)) for pair in pairwise(cuts)]
    if count == 1:
        bands[0]()
        return
    waiting = [_pool(count).submit(band) for band in bands[1:]]
    bands[0]()
    for each in waiting:
        each.result()


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads - 1, thread_name_prefix="edgesr-bits")


def _finished(
    sums: NDArray[np.int32],
    features: NDArray[np.float32],
    tables: Tables,
    gain: NDArray[np.float32] | None,
) -> NDArray[np.float32]:
    """Do what the C kernel does behind its sums, in the same order of roundings."""
    count = sums.shape[2]
    factor, before, bend, after = (
        one[:count] for one in (tables.factor, tables.before, tables.bend, tables.after)
    )
    value = factor * sums.astype(np.float32)
    value = (value if gain is None else value * gain[:, :, None]) + before
    made: NDArray[np.float32] = np.where(value >= 0, value, value * bend) + after
    if tables.shortcut:
        made = made + np.float32(tables.shortcut) * features
    return made


def _check(
    weights: PackedWeights,
    features: NDArray[np.float32],
    tables: Tables,
    gain: NDArray[np.float32] | None,
) -> None:
    """Refuse what the C code would read or write beyond."""
    shape = features.shape
    if len(shape) != len("hwc") or shape[2] != weights.inputs or 0 in shape:
        raise DataError(f"features have shape {shape}, want (h, w, {weights.inputs})")
    largest = (shape[0] + 2) * (shape[1] + 2) * max(weights.stride, weights.padded, shape[2])
    if largest > _LARGEST:
        raise DataError(f"an image of {shape[1]}x{shape[0]} is too large; upscale it in tiles")
    outputs = [(weights.padded,)] * len("fbba")
    tails = (tables.factor, tables.before, tables.bend, tables.after)
    _want("tables", (tables.shift, *tails), [(weights.inputs,), *outputs])
    _want("features", (features,), [shape])
    if gain is not None:
        _want("gain", (gain,), [shape[:2]])
    if tables.shortcut and weights.inputs != weights.outputs:
        raise DataError("a shortcut wants as many channels out as in")


def _want(
    what: str, arrays: Sequence[NDArray[np.float32]], shapes: Sequence[tuple[int, ...]]
) -> None:
    for array, shape in zip(arrays, shapes, strict=True):
        if array.dtype != np.float32 or array.shape != shape or not array.flags.c_contiguous:
            raise DataError(
                f"{what} are {array.dtype} {array.shape}, want contiguous float32 {shape}"
            )
