"""The tables of a report as plain rows, whatever they are dressed in."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgesr.bench.report_data import Model, ReportData
from edgesr.errors import EdgesrError

NONE = "-"
_MIB, _KIB, _MEGA, _GIGA = 2**20, 2**10, 1e6, 1e9


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """One table.

    Attributes:
        title: its caption.
        head: column titles; the first column names the row.
        rows: cells.
        text: numbers of columns that hold words, not numbers.
        note: a sentence below.
    """

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    text: frozenset[int] = frozenset({0})
    note: str = ""


def summary(report: ReportData) -> Sheet:
    """Return one row a model: quality, time, size, cost."""
    protocols = [f"PSNR dB {protocol}" for protocol in report.protocols]
    head = (
        "model",
        *protocols,
        "SSIM",
        "over bicubic dB",
        "median ms",
        "p5-p90 ms",
        "file KiB",
        "MMACs",
        "params",
        "peak memory MiB",
    )
    rows = tuple(_summary_row(model, report) for model in report.models)
    return Sheet(
        title="Models",
        head=head,
        rows=rows,
        note=f"SSIM and gain under protocol {report.protocol}. Peak memory is what the model adds "
        "to its process; the time is that of the first runtime listed below.",
    )


def timings(report: ReportData) -> Sheet | None:
    """Return one row a contender; None where nothing was timed."""
    rows = [
        (
            _contender(model, entry["name"]),
            entry.get("runtime") or NONE,
            str(entry.get("threads") or NONE),
            number(entry["median_ms"], 2),
            number(entry.get("min_ms"), 2),
            number(entry.get("p5_ms"), 2),
            number(entry.get("p90_ms"), 2),
            number(entry.get("iqr_ms"), 2),
            number(min(entry["cpu_ms"]), 2),
            _ratio(entry.get("ratio")),
            _drift(entry.get("drift")),
        )
        for model in report.models
        for entry in model.timings
    ]
    head = ("contender", "runtime", "threads", "median ms", "min", "p5", "p90", "IQR", "CPU ms")
    if not rows:
        return None
    return Sheet(
        title=f"Time on this host, input {', '.join(report.shapes) or NONE}",
        head=(*head, "ratio (99 % confidence)", "drift"),
        rows=tuple(rows),
        text=frozenset({0, 1, 9, 10}),
        note="Contenders took turns; ratios are paired. No winner is named where the spread is "
        "wider than the difference.",
    )


def published(report: ReportData) -> Sheet | None:
    """Return the baselines; None where there are none."""
    if not report.baselines:
        return None
    rows = tuple(
        (
            row["name"],
            number(row["psnr"], 2),
            number(row["ssim"], 4),
            number(row["latency_ms"], 2),
            row["device"] or NONE,
            number(row.get("params_m"), 3),
            number(row.get("flops_g"), 2),
            row["evidence"],
        )
        for row in report.baselines
    )
    sources = dict.fromkeys(row["source"] for row in report.baselines if row["source"])
    return Sheet(
        title="Published baselines",
        head=(
            "name",
            "PSNR dB",
            "SSIM",
            "ms",
            "on",
            "params M",
            "GMACs",
            "evidence",
        ),
        rows=rows,
        text=frozenset({0, 4, 7}),
        note="Recalled numbers were not read again in their source. Times of different devices do "
        f"not compare. Sources: {'; '.join(sources)}.",
    )


def per_image(report: ReportData) -> Sheet | None:
    """Return PSNR by image and model under the leading protocol; None without quality."""
    models = [model for model in report.models if model.images.get(report.protocol)]
    if not models:
        return None
    names = list(dict.fromkeys(i.name for m in models for i in m.images[report.protocol]))
    scores = [{image.name: image for image in m.images[report.protocol]} for m in models]
    rows = []
    for name in names:
        found = [score.get(name) for score in scores]
        bicubic = next((image.bicubic for image in found if image is not None), None)
        cells = [NONE if image is None else _psnr(image.psnr) for image in found]
        rows.append((name, _psnr(bicubic), *cells))
    return Sheet(
        title=f"PSNR by image in dB, protocol {report.protocol}",
        head=("image", "bicubic", *(model.label for model in models)),
        rows=tuple(rows),
    )


def operators(model: Model) -> Sheet | None:
    """Return a model's operators in execution order, with their time where it was measured."""
    timed = next((entry["operators"] for entry in model.timings if entry.get("operators")), None)
    if timed:
        rows = tuple(
            (
                str(entry["index"]),
                entry["operator"],
                entry["output"],
                number(entry["median_ms"], 3),
                f"{entry['low_ms']:.3f} to {entry['high_ms']:.3f}",
            )
            for entry in timed
        )
        return Sheet(
            title=f"Operators of {model.label}",
            head=("#", "operator", "output", "added ms", "99 % confidence"),
            rows=rows,
            text=frozenset({0, 1, 2}),
            note="Time that the file cut behind the operator takes longer than cut before it.",
        )
    names = _operator_names(model)
    if not names:
        return None
    return Sheet(
        title=f"Operators of {model.label}",
        head=("#", "operator"),
        rows=tuple((str(index), name) for index, name in enumerate(names)),
        text=frozenset({0, 1}),
    )


def certificate(model: Model) -> Sheet | None:
    """Return what was verified; None where neither export report nor card was given."""
    facts = _exported(model) if model.export is not None else _carded(model)
    if not facts:
        return None
    return Sheet(
        title=f"Export certificate of {model.label}",
        head=("what", "found"),
        rows=tuple((what, str(found)) for what, found in facts),
        text=frozenset({0, 1}),
    )


def _exported(model: Model) -> list[tuple[str, Any]]:
    if model.export is None:
        return []
    export = model.export
    checked = export["verification"]
    facts: list[tuple[str, Any]] = [
        ("accepted", "yes" if export["accepted"] else f"no: {'; '.join(export['problems'])}"),
        ("file", export["file"]),
        ("sha256", export["sha256"]),
        ("network", f"{export['model']} x{export['scale']}, {export['precision']}"),
        ("input and output", export["io"]),
        ("verified with", f"{export['litert']}, {checked['kernels']} kernels"),
        ("on", f"{checked['images']} images of {checked['source']}"),
        (
            "values that differ from the simulation",
            f"{checked['mismatches']} of {checked['values']}",
        ),
        ("PSNR", f"{_psnr(checked['psnr'])} dB, float {_psnr(checked['psnr_float'])} dB"),
        ("drop", f"{checked['drop']:.4f} dB, {checked['max_drop']} dB allowed"),
        ("colour bias R G B", " ".join(f"{value:+.3f}" for value in checked["colour_bias"])),
    ]
    calibration = export.get("calibration")
    if calibration:
        facts.append(("calibrated on", f"{calibration['crops']} crops of {calibration['source']}"))
        facts.append(("calibration digest", calibration["digest"]))
    return facts


def _carded(model: Model) -> list[tuple[str, Any]]:
    """Return what the card of a shipped network says of its int8 file."""
    if model.card is None:
        return []
    card, proof = model.card, model.card["int8"]
    facts = [
        ("file", card["file"]),
        ("sha256", card["sha256"]),
        ("network", f"{card['model']} x{card['scale']}, int8"),
        ("input and output", proof["io"]),
        (
            "values that differ from the simulation",
            f"{proof['mismatches']} of {proof['values_compared']}",
        ),
        ("PSNR to float", f"{proof['psnr_to_float']} dB"),
        ("grey levels kept exactly", f"{proof['constant_levels_exact']} of 256"),
        ("calibration digest", proof["calibration"]["digest"]),
    ]
    for name, found in card["evaluations"].items():
        scores = ", ".join(f"{key} {_psnr(one['psnr'])}" for key, one in found["mean"].items())
        facts.append((f"PSNR dB on {name}", f"{scores} ({found['count']} images)"))
    return facts


def environments(report: ReportData) -> list[Sheet]:
    """Return one table for each machine that the results come from."""
    return [
        Sheet(
            title=f"Environment of {Path(source).name}",
            head=("what", "found"),
            rows=tuple((key.replace("_", " "), _fact(value)) for key, value in facts.items()),
            text=frozenset({0, 1}),
        )
        for source, facts in report.environments
    ]


def number(value: float | None, digits: int) -> str:
    """Return ``value`` with ``digits`` decimals, or a dash."""
    return NONE if value is None else f"{value:.{digits}f}"


def _summary_row(model: Model, report: ReportData) -> tuple[str, ...]:
    psnr, ssim = model.mean.get(report.protocol, (None, None))
    bicubic = model.bicubic.get(report.protocol)
    gain = None if psnr is None or bicubic is None else psnr - bicubic
    first = model.timings[0] if model.timings else {}
    memory = (first.get("memory") or {}).get("model_rss_mib")
    span = f"{first['p5_ms']:.1f}-{first['p90_ms']:.1f}" if "p5_ms" in first else NONE
    return (
        model.label,
        *(number(model.psnr(protocol), 3) for protocol in report.protocols),
        number(ssim, 4),
        NONE if gain is None else f"{gain:+.3f}",
        number(model.latency_ms, 2),
        span,
        number(None if model.bytes is None else model.bytes / _KIB, 1),
        number(None if model.macs is None else model.macs / _MEGA, 1),
        NONE if model.params is None else f"{model.params:,}",
        number(memory, 1),
    )


def _operator_names(model: Model) -> list[str]:
    if model.export is not None:
        return list(map(str, model.export["operator_list"]))
    if model.file is None or not model.file.endswith(".tflite") or not Path(model.file).is_file():
        return []
    try:
        from edgesr.export.inspect import read_content

        return list(read_content(Path(model.file).read_bytes()).operators)
    except (ImportError, EdgesrError, OSError, ValueError):
        return []  # the file has changed or gone since: the report goes without


def _contender(model: Model, name: str) -> str:
    return name.replace(model.file, model.label) if model.file else name


def _ratio(ratio: dict[str, Any] | None) -> str:
    if ratio is None:
        return NONE
    return f"{ratio['median']:.2f} ({ratio['low']:.2f} to {ratio['high']:.2f}) {ratio['verdict']}"


def _drift(found: dict[str, Any] | None) -> str:
    if found is None:
        return NONE
    return f"{found['relative']:+.0%}" if found["significant"] else "none"


def _psnr(value: float | None) -> str:
    return "∞" if value is None else f"{value:.2f}"


def _fact(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {found}" for key, found in value.items()) or NONE
    if isinstance(value, list):
        return ", ".join(map(str, value)) or NONE
    return NONE if value is None else str(value)
