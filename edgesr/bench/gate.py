"""The gate: does a .tflite file keep to its budgets?"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from edgesr.bench.budgets import (
    DEFAULT_DROP_DB,
    DEFAULT_LATENCY_RATIO,
    DEFAULT_REGRESSION_DB,
    Budgets,
)
from edgesr.bench.stored import StoredBaseline, read_baseline, refuse_others
from edgesr.data.layouts import Dataset
from edgesr.errors import DatasetError
from edgesr.evaluate import Evaluation, evaluate
from edgesr.export.inspect import read_content
from edgesr.files import sha256_file
from edgesr.upscalers import load_upscaler

Status = Literal["passed", "uncertain", "failed", "not checked"]


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to check.

    Attributes:
        model: the .tflite file.
        dataset: images.
        budgets: limits.
        reference: float weights, or anything else that upscales; None compares with nothing.
        baseline: stored baseline; None compares with none.
        latency_reference: .tflite file timed in the same run.
        certificate: export report; None looks beside the file.
        limit: only the first so many images.
        threads: CPU threads of evaluation; None takes all.
    """

    model: Path
    dataset: Dataset
    budgets: Budgets
    reference: str | None = None
    baseline: Path | None = None
    latency_reference: Path | None = None
    certificate: Path | None = None
    limit: int | None = None
    threads: int | None = None


@dataclass(frozen=True, kw_only=True)
class Check:
    """One limit.

    Attributes:
        name: its key in ``Budgets``.
        status: ``uncertain`` passes: the limit is exceeded or kept, but not with confidence;
            ``not checked`` does not pass.
        message: one line for people.
        value: what came; None where that is no number.
        limit: what was wanted; None where that is no number.
    """

    name: str
    status: Status
    message: str
    value: float | None = None
    limit: float | None = None

    @property
    def ok(self) -> bool:
        """Whether it passes."""
        return self.status in {"passed", "uncertain"}


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Everything that checks look at.

    Attributes:
        request: what was asked for, its budgets with default limits filled in.
        sha256: of the file.
        bytes: of the file.
        operators: names in execution order.
        evaluation: of the file.
        reference: of the reference.
        baseline: stored.
    """

    request: Request
    sha256: str
    bytes: int
    operators: tuple[str, ...]
    evaluation: Evaluation
    reference: Evaluation | None
    baseline: StoredBaseline | None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What was measured and what it means."""

    measured: Measured
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether every check passes."""
        return all(check.ok for check in self.checks)


def run_gate(request: Request, *, on_image: Callable[[int, int], None] | None = None) -> Outcome:
    """Measure a file and judge it by its budgets.

    Args:
        request: what to check.
        on_image: called with images done and their total, for model and reference together.

    Raises:
        DatasetError: no images, or the model is of another scale.
        DataError: the output is not finite, or the baseline is of another protocol or data set.
        CheckpointError: a model is missing or damaged.
    """
    from edgesr.bench.gate_checks import run_checks

    measured = _measure(_with_defaults(request), on_image)
    return Outcome(measured=measured, checks=run_checks(measured))


def _with_defaults(request: Request) -> Request:
    budgets = request.budgets
    filled = {
        "max_drop_db": (request.reference, DEFAULT_DROP_DB),
        "max_regression_db": (request.baseline, DEFAULT_REGRESSION_DB),
        "max_latency_ratio": (request.latency_reference, DEFAULT_LATENCY_RATIO),
    }
    given: dict[str, Any] = {
        key: default
        for key, (comparand, default) in filled.items()
        if comparand is not None and getattr(budgets, key) is None
    }
    return replace(request, budgets=replace(budgets, **given))


def _measure(request: Request, on_image: Callable[[int, int], None] | None) -> Measured:
    baseline = None if request.baseline is None else read_baseline(request.baseline)
    upscaler = load_upscaler(request.model, scale=request.dataset.scale, threads=request.threads)
    content = read_content(request.model.read_bytes())
    count = len(request.dataset.pairs[: request.limit])
    if count == 0:
        raise DatasetError(f"{request.dataset.root}: no images to check with; raise the limit")
    total = count * (1 if request.reference is None else 2)

    def progress(before: int) -> Callable[[int, int], None]:
        return lambda done, _: on_image(before + done, total) if on_image else None

    protocols = [request.budgets.protocol]
    evaluation = evaluate(
        upscaler, request.dataset, protocols, limit=request.limit, on_image=progress(0)
    )
    if baseline is not None and request.baseline is not None:
        refuse_others(baseline, request.baseline, evaluation, request.budgets.protocol)
    reference = None
    if request.reference is not None:
        other = load_upscaler(
            request.reference, scale=request.dataset.scale, threads=request.threads
        )
        reference = evaluate(
            other, request.dataset, protocols, limit=request.limit, on_image=progress(count)
        )
    return Measured(
        request=request,
        sha256=sha256_file(request.model),
        bytes=request.model.stat().st_size,
        operators=content.operators,
        evaluation=evaluation,
        reference=reference,
        baseline=baseline,
    )
