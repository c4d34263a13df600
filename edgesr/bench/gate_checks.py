"""The checks of the gate: one function a limit."""

import math
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from types import MappingProxyType

from edgesr.bench.certificate import find_exactness
from edgesr.bench.gate import Check, Measured, Status
from edgesr.bench.inference import inference_contenders
from edgesr.bench.statistics import Interval, paired_interval
from edgesr.bench.stored import image_psnr
from edgesr.bench.timing import interleave
from edgesr.litert import open_model


def run_checks(measured: Measured) -> tuple[Check, ...]:
    """Return the results of all limits that are set."""
    found = (check(measured) for check in CHECKS.values())
    return tuple(check for check in found if check is not None)


def _min_psnr(measured: Measured) -> Check | None:
    limit = measured.request.budgets.min_psnr_db
    if limit is None:
        return None
    psnr = image_psnr(measured.evaluation, measured.request.budgets.protocol)
    mean = sum(psnr.values()) / len(psnr)
    return Check(
        name="min_psnr_db",
        status="failed" if mean < limit else "passed",
        message=f"mean PSNR {mean:.3f} dB, want {limit:g} or more",
        value=mean,
        limit=limit,
    )


def _max_drop(measured: Measured) -> Check | None:
    reference = measured.reference
    before = None
    if reference is not None:
        before = image_psnr(reference, measured.request.budgets.protocol)
    return _loss(
        measured,
        "max_drop_db",
        before,
        against="float reference" if reference is None else reference.upscaler,
        remedy="--reference WEIGHTS",
    )


def _max_regression(measured: Measured) -> Check | None:
    baseline = measured.baseline
    return _loss(
        measured,
        "max_regression_db",
        None if baseline is None else baseline.psnr,
        against="baseline" if baseline is None else f"baseline {baseline.model}",
        remedy="--baseline FILE",
    )


def _loss(
    measured: Measured, name: str, before: Mapping[str, float] | None, *, against: str, remedy: str
) -> Check | None:
    """Judge the paired losses of PSNR against ``before``."""
    budgets = measured.request.budgets
    limit: float | None = getattr(budgets, name)
    if limit is None:
        return None
    if before is None:
        return Check(
            name=name, status="not checked", message=f"not checked: give {remedy}", limit=limit
        )
    now = image_psnr(measured.evaluation, budgets.protocol)
    interval = paired_interval(
        # Stored baselines are rounded to 1e-4 dB; what is smaller is no loss.
        [round(before[image] - psnr, 4) for image, psnr in now.items()],
        confidence=budgets.confidence,
        resamples=budgets.resamples,
        seed=budgets.seed,
    )
    return Check(
        name=name,
        status=_judge(interval.low, interval.high, limit, strict=budgets.strict),
        message=f"PSNR drops by {interval.mean:+.3f} dB against {against}"
        f"{_range(interval)}, want {limit:g} at most",
        value=interval.mean,
        limit=limit,
    )


def _max_colour_bias(measured: Measured) -> Check | None:
    limit = measured.request.budgets.max_colour_bias
    if limit is None:
        return None
    bias = measured.evaluation.colour_bias
    worst = max(map(abs, bias))
    shown = " ".join(f"{c} {b:+.3f}" for c, b in zip("RGB", bias, strict=True))
    return Check(
        name="max_colour_bias",
        status="failed" if worst > limit else "passed",
        message=f"mean SR - HR is {shown} grey levels, want {limit:g} at most",
        value=worst,
        limit=limit,
    )


def _max_bytes(measured: Measured) -> Check | None:
    limit = measured.request.budgets.max_bytes
    if limit is None:
        return None
    return Check(
        name="max_bytes",
        status="failed" if measured.bytes > limit else "passed",
        message=f"{measured.bytes:,} bytes, want {limit:,} at most",
        value=measured.bytes,
        limit=limit,
    )


def _forbidden_ops(measured: Measured) -> Check | None:
    patterns = measured.request.budgets.forbidden_ops
    if not patterns:
        return None
    kinds = sorted(set(measured.operators))
    bad = [op for op in kinds if any(fnmatchcase(op, pattern.upper()) for pattern in patterns)]
    found = ", ".join(f"{op} x{measured.operators.count(op)}" for op in bad or kinds)
    return Check(
        name="forbidden_ops",
        status="failed" if bad else "passed",
        message=f"forbidden operators: {found}" if bad else f"operators are {found}",
    )


def _exact(measured: Measured) -> Check | None:
    request = measured.request
    if not request.budgets.exact:
        return None
    found = find_exactness(request.model, measured.sha256, request.certificate)
    statuses: Mapping[bool | None, Status] = {True: "passed", False: "failed", None: "not checked"}
    return Check(name="exact", status=statuses[found.exact], message=found.message)


def _max_latency_ratio(measured: Measured) -> Check | None:
    request, name = measured.request, "max_latency_ratio"
    limit = request.budgets.max_latency_ratio
    if limit is None:
        return None
    if request.latency_reference is None:
        return Check(
            name=name,
            status="not checked",
            message="not checked: give --latency-reference FILE.tflite",
            limit=limit,
        )
    budgets = request.budgets
    fixed = [open_model(path).fixed_shape for path in (request.model, request.latency_reference)]
    height, width = fixed[0] or fixed[1] or budgets.latency_shape
    works = inference_contenders(
        {"model": request.model, "reference": request.latency_reference},
        shape=(height, width),
        threads=1,
    )
    model, reference = interleave(works, repeats=budgets.latency_repeats)
    logs = [math.log(a / b) for a, b in zip(model.wall_ms, reference.wall_ms, strict=True)]
    interval = paired_interval(
        logs, confidence=budgets.confidence, resamples=budgets.resamples, seed=budgets.seed
    )
    mean, low, high = map(math.exp, (interval.mean, interval.low, interval.high))
    return Check(
        name=name,
        status=_judge(low, high, limit, strict=budgets.strict),
        message=f"{mean:.3f} times the time of {request.latency_reference.name} "
        f"({low:.3f} to {high:.3f}; {model.median_ms:.1f} and {reference.median_ms:.1f} ms at "
        f"{height}x{width}), want {limit:g} at most",
        value=mean,
        limit=limit,
    )


def _judge(low: float, high: float, limit: float, *, strict: bool) -> Status:
    if low > limit:
        return "failed"
    if high <= limit:
        return "passed"
    return "failed" if strict else "uncertain"


def _range(interval: Interval) -> str:
    if interval.method == "mean":
        return f" ({interval.count} images)"
    return (
        f" ({interval.low:+.3f} to {interval.high:+.3f} with {interval.confidence:.1%} each, "
        f"{interval.count} images)"
    )


CHECKS: Mapping[str, Callable[[Measured], Check | None]] = MappingProxyType(
    {
        "min_psnr_db": _min_psnr,
        "max_drop_db": _max_drop,
        "max_regression_db": _max_regression,
        "max_colour_bias": _max_colour_bias,
        "max_bytes": _max_bytes,
        "forbidden_ops": _forbidden_ops,
        "exact": _exact,
        "max_latency_ratio": _max_latency_ratio,
    }
)
"""Check by the limit that it looks at; each returns None where the limit is not set."""
