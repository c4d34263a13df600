"""A suite's quality and runtime of your models, among the numbers that others published."""

import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgesr.bench.baselines import Baseline, load_baselines
from edgesr.bench.inference import Request, measure
from edgesr.bench.suites import Suite, load_suite, not_the_same, open_suite
from edgesr.bench.timing import one_line
from edgesr.data.layouts import Dataset
from edgesr.errors import DatasetError
from edgesr.evaluate import Evaluation, evaluate, to_json
from edgesr.litert import open_model
from edgesr.upscalers import load_upscaler

Row = dict[str, Any]

_PSNR = {
    "mai": ("psnr",),
    "ntire-esr": ("psnr_val", "psnr"),
    "classic-y": ("psnr_y", "psnr"),
}
"""Protocol -> numbers of a baseline that may be its PSNR, the first that a table has."""


def measure_suite(  # noqa: PLR0913 - what to measure, on what, and who hears of it
    request: Request,
    name: str,
    *,
    data: Path | None = None,
    lr: Path | None = None,
    limit: int | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Measure quality and runtime, and place the models; a model that fails is listed.

    Without the suite's images the runtime alone is measured, and ``say`` gets how to fetch them.

    Args:
        request: models and how to time them; its shape defaults to the suite's.
        name: suite.
        data: folder of the suite's images; None takes the usual place.
        lr: folder of the low-resolution ones, where it lies elsewhere.
        limit: only the first so many images.
        say: gets messages.

    Returns:
        A ``bench`` document with ``suite``, ``evaluations``, ``placement`` and ``notes`` added.

    Raises:
        ConfigError: there is no such suite.
        DatasetError: ``data`` has no images.
        DataError: every model fails.
    """
    suite = load_suite(name)
    fitting, failures = _fitting(request.models, suite)
    notes = list(suite.notes)
    comparable = False
    evaluations: dict[str, Evaluation] = {}
    dataset = _dataset(suite, data, lr, say) if suite.measurable else None
    if not suite.measurable:
        notes.append(f"quality metric {suite.protocol} is none of edgesr's: runtime alone")
    if dataset is not None:
        different = not_the_same(suite, dataset)
        if different is None and limit is not None and limit < len(dataset.pairs):
            different = f"only the first {limit} images"
        comparable = different is None
        if different is not None:
            notes.append(f"not placed among the baselines: {different}")
        evaluations = _evaluations(fitting, suite, dataset, limit, failures)
    working = {key: source for key, source in fitting.items() if key not in failures}
    if not working and failures:
        key, reason = next(iter(failures.items()))
        raise DatasetError(f"nothing could be measured: {key}: {reason}")
    shape = request.shape or suite.input
    document = measure(replace(request, models=working, shape=shape))
    document["failures"] += [{"name": key, "reason": reason} for key, reason in failures.items()]
    document["suite"] = {
        "name": suite.name,
        "title": suite.title,
        "scale": suite.scale,
        "protocol": suite.protocol,
        "dataset": None if dataset is None else dataset.describe(),
        "limit": limit,
        "comparable": comparable,
    }
    document["evaluations"] = [to_json(found) for found in evaluations.values()]
    document["placement"] = place(suite, evaluations, document["timings"], comparable=comparable)
    document["notes"] = notes
    return document


def place(
    suite: Suite,
    evaluations: Mapping[str, Evaluation],
    timings: Sequence[Mapping[str, Any]],
    *,
    comparable: bool = True,
) -> list[Row]:
    """Return your models and the suite's baselines, best PSNR first, unknown PSNR last.

    Runtimes stand with their device: those of different devices do not compare. Your models come
    last, without a place, where they were measured on other images than the baselines.
    """
    published = [row for table in suite.baselines for row in load_baselines(table)]
    key = next(
        (key for key in _PSNR.get(suite.protocol, ()) if any(row.value(key) for row in published)),
        "psnr",
    )
    rows = [baseline_row(row, key) for row in published]
    names = list(evaluations) or [str(timing["name"]) for timing in timings]
    for name in names:
        score = evaluations[name].scores[suite.protocol] if name in evaluations else None
        timing = next((one for one in timings if str(one["name"]).startswith(name)), None)
        rows.append(
            {
                "name": name,
                "ours": True,
                "psnr": None if score is None else score.psnr,
                "ssim": None if score is None else score.ssim,
                "latency_ms": None if timing is None else timing["median_ms"],
                "device": "this host",
                "params_m": None,
                "flops_g": None,
                "evidence": "measured",
                "source": "measured here",
            }
        )
    rows.sort(key=lambda row: (row["psnr"] is None, -(row["psnr"] or 0)))
    if not comparable:
        rows.sort(key=lambda row: row["ours"])
    for number, row in enumerate(rows, start=1):
        outside = row["psnr"] is None or (row["ours"] and not comparable)
        row["place"] = None if outside else number
    return rows


def baseline_row(row: Baseline, key: str = "psnr") -> Row:
    """Return a published row as JSON values; ``key`` names the number that is its PSNR."""
    return {
        "name": row.name,
        "ours": False,
        "psnr": row.value(key),
        "ssim": row.ssim_y if key == "psnr_y" else row.ssim,
        "latency_ms": row.runtime_ms,
        "device": row.device,
        "params_m": row.params_m,
        "flops_g": row.flops_g,
        "evidence": row.evidence_of(key),
        "source": row.source,
    }


def _fitting(
    models: Mapping[str, Path | bytes], suite: Suite
) -> tuple[dict[str, Path | bytes], dict[str, str]]:
    fitting: dict[str, Path | bytes] = {}
    failures: dict[str, str] = {}
    for name, source in models.items():
        try:
            scale = _scale(source)
        except Exception as error:  # noqa: BLE001 - one model's failure is not the others'
            failures[name] = one_line(error)
            continue
        if scale is not None and scale != suite.scale:
            failures[name] = (
                f"upscales x{scale}, but suite {suite.name} is x{suite.scale}; choose a suite of "
                f"x{scale}"
            )
        else:
            fitting[name] = source
    return fitting, failures


def _scale(source: Path | bytes) -> int | None:
    if isinstance(source, bytes) or source.suffix == ".tflite":
        return open_model(source).scale
    if source.suffix == ".onnx":
        return None
    return load_upscaler(source).scale


def _dataset(
    suite: Suite, data: Path | None, lr: Path | None, say: Callable[[str], None]
) -> Dataset | None:
    if data is not None:
        dataset = open_suite(suite, data, lr=lr)
    else:
        usual = re.search(r"then --data (\S+)", suite.get)
        if usual is None or not Path(usual[1]).is_dir():
            say(f"no quality without {suite.dataset}; to get it: {suite.get}")
            return None
        dataset = open_suite(suite, Path(usual[1]), lr=lr)
    say(dataset.describe())
    return dataset


def _evaluations(
    models: Mapping[str, Path | bytes],
    suite: Suite,
    dataset: Dataset,
    limit: int | None,
    failures: dict[str, str],
) -> dict[str, Evaluation]:
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, source) in enumerate(models.items()):
            path = source
            if isinstance(path, bytes):
                path = Path(folder) / f"{number}.tflite"
                path.write_bytes(source if isinstance(source, bytes) else b"")
            if path.suffix == ".onnx":
                failures[name] = "quality is measured of .tflite files and checkpoints, not .onnx"
                continue
            try:
                upscaler = load_upscaler(path)
                result = evaluate(upscaler, dataset, (suite.protocol,), limit=limit)
            except DatasetError:
                raise
            except Exception as error:  # noqa: BLE001 - one model's failure is not the others'
                failures[name] = one_line(error)
                continue
            found[name] = replace(result, upscaler=name)
    return found
