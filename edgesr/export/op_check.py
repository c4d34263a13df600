"""Compare the simulation of single operations with LiteRT, on random files."""

import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from edgesr import __version__
from edgesr.errors import DataError
from edgesr.export.op_cases_more import CASES
from edgesr.litert import Kernels, run_once, version

SCHEMA = "edgesr/exactness/1"
FULL_VALUES = 1_000_000
FAMILIES: tuple[Kernels, ...] = ("xnnpack", "builtin", "reference")


@dataclass(frozen=True, kw_only=True)
class Limit:
    """Why an operation is not exact on a family.

    Attributes:
        lsb: largest difference in codes.
        reason: for people.
    """

    lsb: int
    reason: str


NOT_EXACT: Mapping[tuple[str, str], Limit] = MappingProxyType(
    {
        ("SOFTMAX", "reference"): Limit(
            lsb=1,
            reason="the reference kernel computes exponentials otherwise, how was not found out; "
            "simulated is the float32 table of the other families",
        ),
    }
)
"""Operations that are known not to be exact, by operation and family; all others must be."""


@dataclass(frozen=True, kw_only=True)
class OpResult:
    """One operation on one family.

    Attributes:
        op: key of ``CASES``.
        kernels: family.
        cases: files that were run.
        values: output values compared.
        mismatches: values that differ.
        max_error: largest difference in codes.
    """

    op: str
    kernels: str
    cases: int
    values: int
    mismatches: int
    max_error: int

    @property
    def passed(self) -> bool:
        """Whether the operation is as exact as it should be."""
        limit = NOT_EXACT.get((self.op, self.kernels))
        return self.mismatches == 0 or (limit is not None and self.max_error <= limit.lsb)


def check_op(
    op: str, *, values: int = FULL_VALUES, seed: int = 0, families: tuple[Kernels, ...] = FAMILIES
) -> list[OpResult]:
    """Run random files of one operation until ``values`` outputs were compared on every family.

    Raises:
        DataError: no such operation.
        CheckpointError: the kernels refuse a file.
        MissingDependencyError: LiteRT or a kernel family is missing.
    """
    if op not in CASES:
        raise DataError(f"operation {op!r} is not simulated; choose one of {', '.join(CASES)}")
    cases = compared = 0
    differing = dict.fromkeys(families, 0)
    largest = dict.fromkeys(families, 0)
    while compared < values:
        case = CASES[op](np.random.default_rng([seed, zlib.crc32(op.encode()), cases]))
        for kernels in families:
            found = run_once(case.content, case.inputs, kernels=kernels).astype(np.int64)
            error = np.abs(found - case.simulate(kernels))
            differing[kernels] += int(np.count_nonzero(error))
            largest[kernels] = max(largest[kernels], int(error.max()))
        compared += error.size
        cases += 1
    return [
        OpResult(
            op=op,
            kernels=kernels,
            cases=cases,
            values=compared,
            mismatches=differing[kernels],
            max_error=largest[kernels],
        )
        for kernels in families
    ]


def to_json(
    results: list[OpResult],
    *,
    seed: int,
    environment: Mapping[str, Any],
    speed: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Return the results as JSON values."""
    return {
        "schema": SCHEMA,
        "edgesr": __version__,
        "litert": version(),
        "seed": seed,
        "environment": dict(environment),
        "speed": None if speed is None else dict(speed),
        "operations": [{**asdict(one), "status": _status(one)} for one in results],
    }


def _status(result: OpResult) -> str:
    if result.mismatches == 0:
        return "exact"
    limit = NOT_EXACT.get((result.op, result.kernels))
    if limit is None:
        return "differs"
    return f"not exact on family {result.kernels}, at most {limit.lsb} LSB: {limit.reason}"
