"""What a calibration report found, as JSON values."""

import math
from dataclasses import asdict
from typing import Any

from edgesr import __version__
from edgesr.debug.calibration_report import CalibrationReport
from edgesr.debug.calibration_trials import Figure, Trials
from edgesr.files import sha256_file

SCHEMA = "edgesr/calibration/1"


def document(report: CalibrationReport) -> dict[str, Any]:
    """Return everything that was found.

    PSNR and drops are in dB, PSNR is None where it is infinite; values of tensors are in real
    units, shares from 0 to 1, time in seconds.
    """
    loaded, crops = report.loaded, report.crops
    widest = max(report.spreads, key=report.spreads.__getitem__)
    return {
        "schema": SCHEMA,
        "edgesr": __version__,
        "model": loaded.descriptor.name,
        "scale": loaded.scale,
        "checkpoint": {"file": str(loaded.path), "sha256": sha256_file(loaded.path)},
        "observer": report.observer,
        "calibration": {
            "source": report.source,
            "images": report.images,
            "crops": crops.count,
            "digest": crops.digest,
            "names": list(crops.images),
        },
        "held_out": {
            "source": report.held_out_source,
            "crops": list(report.held_out),
            "psnr_float": _finite(report.psnr_float),
            "protocol": "mai",
        },
        "warnings": list(report.warnings),
        "stability": {
            **_trials(report.whole),
            "widest_scale": {"tensor": widest, "spread": report.spreads[widest]},
            "scale_spreads": dict(report.spreads),
        },
        "curve": {
            "points": [_trials(point) for point in report.curve],
            "left_out": list(report.skipped),
            "recommended": report.recommended,
        },
        "tensors": [asdict(one) for one in report.tensors],
        "channels": report.channels,
        "dead_channels": [asdict(one) for one in report.dead],
        "seconds": round(report.seconds, 3),
    }


def _trials(trials: Trials) -> dict[str, Any]:
    return {
        "images": trials.images,
        "drop": _figure(trials.drop),
        "psnr_to_float": _figure(trials.psnr_to_float),
        "trials": [
            {
                "seed": one.seed,
                "drop": _finite(one.drop),
                "psnr_to_float": _finite(one.psnr_to_float),
            }
            for one in trials.trials
        ],
    }


def _figure(figure: Figure) -> dict[str, float | None]:
    return {"mean": _finite(figure.mean), "std": figure.std}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
