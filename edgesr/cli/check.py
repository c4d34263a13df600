"""``edgesr check``: the gate for continuous integration."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from edgesr.errors import DatasetError, GateError, UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from edgesr.bench.gate import Outcome, Request
    from edgesr.data.layouts import Dataset

_GET = (
    "get images with: edgesr data download div2k_valid_hr --to DIV2K, then "
    "--data DIV2K/DIV2K_valid_HR; or name any folder of photographs"
)
_DEMO = "demo"
_STYLES = {"passed": "green", "uncertain": "yellow", "failed": "red", "not checked": "red"}


def check(  # noqa: PLR0913 - one parameter a flag
    model: str | None = None,
    *,
    data: Path,
    lr: Path | None = None,
    reference: str | None = None,
    baseline: Path | None = None,
    latency_reference: Path | None = None,
    certificate: Path | None = None,
    config: Path | None = None,
    protocol: Literal["mai", "ntire-esr", "classic-y"] | None = None,
    max_drop: float | None = None,
    max_regression: float | None = None,
    min_psnr: float | None = None,
    max_colour_bias: float | None = None,
    max_bytes: int | None = None,
    forbid: Annotated[list[str] | None, Parameter(negative="")] = None,
    exact: bool | None = None,
    max_latency_ratio: float | None = None,
    confidence: float | None = None,
    strict: bool | None = None,
    limit: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    threads: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    update_baseline: Annotated[bool, Parameter(negative="")] = False,
    report: Path | None = None,
    junit: Path | None = None,
    markdown: Path | None = None,
    annotations: bool | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Pass or fail a .tflite file against limits: exit code 0 or 1.

    Limits come from flags, then `--config`, else from the budgets that ship with edgesr. A limit
    that cannot be checked fails.

    Args:
        model: .tflite file or shipped model; default is the shipped one.
        data: folder of images, whose layout is recognised; or `demo`, the photographs of
            scikit-image.
        lr: folder of low-resolution images to use instead of the ones found or made.
        reference: float weights to measure the drop against; limit 0.1 dB unless set.
        baseline: stored baseline to measure the regression against; limit 0.01 dB unless set.
        latency_reference: .tflite file that is timed in the same run; limit 1.1 unless set.
        certificate: report of the export, where it is not beside the file.
        config: TOML file of limits, such as `max_drop_db = 0.1`.
        protocol: of PSNR.
        max_drop: largest loss of PSNR against the reference, in dB.
        max_regression: largest loss of PSNR against the baseline, in dB.
        min_psnr: smallest mean PSNR, in dB.
        max_colour_bias: largest mean of SR - HR of a channel, in grey levels.
        max_bytes: largest file.
        forbid: operator or pattern that must not occur; may be repeated.
        exact: want the proof that the file equals its integer simulation.
        max_latency_ratio: longest time, over that of the latency reference.
        confidence: that a loss is real, before it fails.
        strict: fail as well where it is not shown that a limit is kept.
        limit: only the first so many images.
        threads: CPU threads; default is all.
        update_baseline: write the baseline when all other checks pass, for review.
        report: JSON file to write.
        junit: JUnit XML file to write.
        markdown: file to append a summary to, such as $GITHUB_STEP_SUMMARY.
        annotations: print `::error::` lines on stderr; default is where GitHub Actions runs it.
        json: print one JSON document instead of a table.
    """
    from edgesr.bench.budgets import load_budgets
    from edgesr.bench.gate import Request, run_gate

    if update_baseline and baseline is None:
        raise UsageError("--update-baseline wants --baseline FILE, the file to write")
    flags = {
        "protocol": protocol,
        "max_drop_db": max_drop,
        "max_regression_db": max_regression,
        "min_psnr_db": min_psnr,
        "max_colour_bias": max_colour_bias,
        "max_bytes": max_bytes,
        "forbidden_ops": None if forbid is None else tuple(forbid),
        "exact": exact,
        "max_latency_ratio": max_latency_ratio,
        "confidence": confidence,
        "strict": strict,
    }
    budgets = load_budgets(config, flags)
    path, weights = _model(model)
    request = Request(
        model=path,
        dataset=_dataset(path, data, lr),
        budgets=budgets,
        reference=reference or weights,
        baseline=None if update_baseline else baseline,
        latency_reference=latency_reference,
        certificate=certificate,
        limit=limit,
        threads=threads,
    )
    outcome = _run(request) if not json else run_gate(request)
    _write(outcome, report=report, junit=junit, markdown=markdown)
    if annotations if annotations is not None else os.environ.get("GITHUB_ACTIONS") == "true":
        _annotate(outcome)
    _print(outcome, json=json)
    if not outcome.passed:
        raise GateError(_failure(outcome, update_baseline=update_baseline))
    if update_baseline and baseline is not None:
        _update(outcome, baseline)


def _model(name: str | None) -> tuple[Path, str | None]:
    """Return the file, and the float weights of a shipped model."""
    from edgesr.zoo import DEFAULT, ZOO
    from edgesr.zoo.find import find_entry

    if (entry := find_entry(name or DEFAULT)) is not None:
        return entry.intact(entry.tflite), str(entry.weights) if entry.weights.is_file() else None
    path = Path(name or "")
    if path.suffix != ".tflite":
        raise UsageError(f"{path}: want a .tflite file or one of {', '.join(ZOO)}")
    return path, None


def _dataset(model: Path, data: Path, lr: Path | None) -> "Dataset":
    from edgesr.data.layouts import find_dataset
    from edgesr.upscalers import load_upscaler

    scale = load_upscaler(model, threads=1).scale
    if str(data) == _DEMO:  # always, or a folder left by `edgesr demo` would change the gate
        from edgesr.data.demo import demo_dataset

        return demo_dataset(scale)
    try:
        return find_dataset(data, scale, lr_root=lr)
    except DatasetError as error:
        raise DatasetError(f"{error}; {_GET}") from error


def _run(request: "Request") -> "Outcome":
    from rich.progress import Progress

    from edgesr.bench.gate import run_gate
    from edgesr.cli.console import err, say

    say(request.dataset.describe())
    with Progress(console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task("measuring", total=None)
        return run_gate(
            request,
            on_image=lambda done, total: progress.update(task, completed=done, total=total),
        )


def _write(
    outcome: "Outcome", *, report: Path | None, junit: Path | None, markdown: Path | None
) -> None:
    from edgesr.bench import gate_report
    from edgesr.files import write_json, write_text

    if report is not None:
        write_json(report, gate_report.to_json(outcome))
    if junit is not None:
        write_text(junit, gate_report.junit(outcome))
    if markdown is not None:
        gate_report.append_summary(markdown, gate_report.markdown(outcome))


def _annotate(outcome: "Outcome") -> None:
    import sys

    from edgesr.bench.gate_report import annotations

    for line in annotations(outcome):
        print(line, file=sys.stderr)


def _print(outcome: "Outcome", *, json: bool) -> None:
    from edgesr.bench.gate_report import to_json
    from edgesr.cli.console import out

    if json:
        out.print_json(data=to_json(outcome))
    else:
        out.print(_table(outcome))


def _table(outcome: "Outcome") -> "Table":
    from rich.table import Table
    from rich.text import Text

    measured = outcome.measured
    table = Table(
        title=f"{measured.request.model.name}: {'passed' if outcome.passed else 'failed'}"
    )
    for heading in ("check", "status", "result"):
        table.add_column(heading, overflow="fold")
    for one in outcome.checks:
        status = Text(one.status, style=_STYLES[one.status])
        table.add_row(one.name, status, Text(one.message))
    return table


def _failure(outcome: "Outcome", *, update_baseline: bool) -> str:
    failed = [one for one in outcome.checks if not one.ok]
    kept = "; the baseline stays as it was" if update_baseline else ""
    return (
        f"{outcome.measured.request.model}: {len(failed)} of {len(outcome.checks)} checks failed, "
        f"the first is {failed[0].name}: {failed[0].message}{kept}"
    )


def _update(outcome: "Outcome", path: Path) -> None:
    from edgesr.bench.stored import image_psnr, read_baseline, refuse_others, write_baseline
    from edgesr.cli.console import say
    from edgesr.errors import DataError

    measured = outcome.measured
    protocol = measured.request.budgets.protocol
    now = image_psnr(measured.evaluation, protocol)
    mean = sum(now.values()) / len(now)
    change = "new"
    if path.exists():
        try:
            old = read_baseline(path)
            refuse_others(old, path, measured.evaluation, protocol)
            change = f"{mean - sum(old.psnr.values()) / len(old.psnr):+.4f} dB"
        except DataError as error:
            change = f"replaces what does not compare: {error}"
    write_baseline(
        path,
        measured.evaluation,
        model=measured.request.model,
        model_sha256=measured.sha256,
        protocol=protocol,
    )
    say(f"{path}: mean PSNR {mean:.4f} dB ({change}); review the difference before committing it")
