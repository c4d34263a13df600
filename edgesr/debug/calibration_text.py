"""The rows of a calibration report's tables, for the terminal and for the page alike."""

import math

from edgesr.debug.calibration_report import CalibrationReport
from edgesr.debug.calibration_trials import Figure

TENSOR_HEADINGS = (
    "tensor",
    "seen",
    "held-out",
    "grid",
    "outside",
    "farthest",
    "saturated",
    "held-out",
    "unused",
    "spread",
)
CURVE_HEADINGS = ("images", "drop dB", "std", "PSNR to float dB", "std", "trials")


def fact_rows(report: CalibrationReport) -> list[tuple[str, str]]:
    """Return what is known of the whole set."""
    drop, to_float = report.whole.drop, report.whole.psnr_to_float
    seeds = len(report.whole.trials)
    widest = max(report.spreads, key=report.spreads.__getitem__)
    free = [one for one in report.tensors if not one.fixed]
    worst = min(free, key=lambda one: one.coverage) if free else None
    rows = [
        ("calibrated on", f"{report.images} images, {report.crops.count} crops ({report.source})"),
        ("judged on", f"{len(report.held_out)} crops ({report.held_out_source})"),
        ("ranges", report.observer),
        (f"drop over {seeds} seeds", f"{_figure(drop, 4)} dB of {report.psnr_float:.2f}"),
        ("PSNR to float", f"{_figure(to_float, 2)} dB"),
        ("scale that differs most", f"{widest}: {report.spreads[widest]:.1%} over {seeds} seeds"),
    ]
    if worst is not None:
        text = f"{worst.name}: {worst.coverage:.4%} inside, farthest {worst.farthest:.0f} steps"
        rows.append(("lowest coverage", text))
    rows.append(("dead channels", f"{len(report.dead)} of {report.channels}"))
    chosen = "none" if report.recommended is None else f"{report.recommended}"
    rows += [("images recommended", chosen), ("time", f"{report.seconds:.1f} s")]
    return rows


def tensor_rows(report: CalibrationReport) -> list[list[str]]:
    """Return one row a tensor, as ``TENSOR_HEADINGS`` has it."""
    return [
        [
            f"{one.name} *" if one.fixed else one.name,
            f"[{one.low:.3g}, {one.high:.3g}]",
            f"[{one.held_out_low:.3g}, {one.held_out_high:.3g}]",
            f"[{one.grid_low:.3g}, {one.grid_high:.3g}]",
            f"{1 - one.coverage:.3%}",
            f"{one.farthest:.0f}",
            f"{one.saturation:.3%}",
            f"{one.saturation_held_out:.3%}",
            f"{one.unused_codes:.0%}",
            f"{report.spreads[one.name]:.1%}",
        ]
        for one in report.tensors
    ]


def curve_rows(report: CalibrationReport) -> list[list[str]]:
    """Return one row a number of images, as ``CURVE_HEADINGS`` has it."""
    rows = []
    for point in report.curve:
        drop, to_float = point.drop, point.psnr_to_float
        mark = " *" if point.images == report.recommended else ""
        rows.append(
            [
                f"{point.images}{mark}",
                f"{drop.mean:+.4f}",
                _std(drop, 4),
                _number(to_float.mean, 2),
                _std(to_float, 2),
                str(len(point.trials)),
            ]
        )
    return rows


def dead_rows(report: CalibrationReport) -> list[list[str]]:
    """Return one row a dead channel: layer, channel, value, weights, on held-out images."""
    return [
        [
            one.layer,
            str(one.channel),
            f"{one.value:.4g}",
            "none" if one.weightless else "some",
            "changes" if one.alive_held_out else "dead as well",
        ]
        for one in report.dead
    ]


def _figure(figure: Figure, digits: int) -> str:
    text = _number(figure.mean, digits)
    return text if figure.std is None else f"{text} +- {figure.std:.{digits}f}"


def _std(figure: Figure, digits: int) -> str:
    return "-" if figure.std is None else f"{figure.std:.{digits}f}"


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if math.isfinite(value) else "exact"
