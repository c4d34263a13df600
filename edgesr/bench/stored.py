"""The stored baseline: per-image PSNR of an accepted model, kept in the repository and reviewed."""

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgesr.bench.environment import environment
from edgesr.errors import DataError
from edgesr.evaluate import Evaluation
from edgesr.files import write_json

SCHEMA = "edgesr/check-baseline/1"
PSNR_CAP = 100.0
"""dB that stand for equal images, whose PSNR is infinite."""


@dataclass(frozen=True, kw_only=True)
class StoredBaseline:
    """What an accepted model reached.

    Attributes:
        model: file name.
        model_sha256: of the file.
        protocol: of PSNR.
        scale: upscaling factor.
        dataset_sha256: of names and contents of the images.
        psnr: dB by image.
    """

    model: str
    model_sha256: str
    protocol: str
    scale: int
    dataset_sha256: str
    psnr: dict[str, float]


def dataset_digest(evaluation: Evaluation) -> str:
    """Return the SHA-256 of names and contents of the images, wherever they lie."""
    lines = sorted(f"{i.name}\0{i.hr_sha256}\0{i.lr_sha256}\n" for i in evaluation.images)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def image_psnr(evaluation: Evaluation, protocol: str) -> dict[str, float]:
    """Return dB by image, at most ``PSNR_CAP``."""
    return {i.name: min(i.scores[protocol].psnr, PSNR_CAP) for i in evaluation.images}


def write_baseline(
    path: Path, evaluation: Evaluation, *, model: Path, model_sha256: str, protocol: str
) -> None:
    """Write a baseline that a diff shows well: rounded, sorted by image.

    Raises:
        OutputError: the path cannot be written.
    """
    psnr = image_psnr(evaluation, protocol)
    write_json(
        path,
        {
            "schema": SCHEMA,
            "model": model.name,
            "model_sha256": model_sha256,
            "protocol": protocol,
            "scale": evaluation.scale,
            "dataset": f"{len(psnr)} images",
            "dataset_sha256": dataset_digest(evaluation),
            "mean_psnr": round(sum(psnr.values()) / len(psnr), 4),
            "psnr": {name: round(psnr[name], 4) for name in sorted(psnr)},
            "environment": environment(),
        },
    )


def read_baseline(path: Path) -> StoredBaseline:
    """Read a baseline.

    Raises:
        DataError: the file is missing, damaged, or no baseline.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(
            f"{path}: no baseline ({error.strerror}); write one with --update-baseline"
        ) from error
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{path}: is no JSON ({error}); restore it, or write it with --update-baseline"
        ) from error
    if not isinstance(values, dict) or values.get("schema") != SCHEMA:
        raise DataError(f"{path}: is no baseline, want schema {SCHEMA}; name another file")
    return _parsed(path, values)


def refuse_others(
    baseline: StoredBaseline, path: Path, evaluation: Evaluation, protocol: str
) -> None:
    """Refuse a baseline of another protocol, scale or data set.

    Raises:
        DataError: its numbers do not compare with the evaluation's.
    """
    digest = dataset_digest(evaluation)
    for what, stored, now in (
        ("protocol", baseline.protocol, protocol),
        ("scale", baseline.scale, evaluation.scale),
        ("number of images", len(baseline.psnr), len(evaluation.images)),
        ("data set", baseline.dataset_sha256[:12], digest[:12]),
    ):
        if stored != now:
            raise DataError(
                f"{path}: baseline of another {what} ({stored}, here {now}), which does not "
                "compare; use that one, or write a new baseline with --update-baseline"
            )


def _parsed(path: Path, values: dict[str, Any]) -> StoredBaseline:
    try:
        psnr = {str(name): float(number) for name, number in values["psnr"].items()}
        baseline = StoredBaseline(
            model=str(values["model"]),
            model_sha256=str(values["model_sha256"]),
            protocol=str(values["protocol"]),
            scale=int(values["scale"]),
            dataset_sha256=str(values["dataset_sha256"]),
            psnr=psnr,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{path}: damaged baseline ({error}); restore it") from error
    if not psnr or not all(map(math.isfinite, psnr.values())):
        raise DataError(f"{path}: damaged baseline (PSNR missing or not finite); restore it")
    return baseline
