"""What the gate writes: JSON, JUnit XML, Markdown and workflow commands of GitHub."""

import math
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from edgesr import __version__
from edgesr.bench.environment import environment
from edgesr.bench.gate import Check, Outcome
from edgesr.bench.stored import dataset_digest, image_psnr
from edgesr.errors import OutputError

SCHEMA = "edgesr/check/1"
SUMMARY_BYTES = 1024 * 1024
"""GitHub drops a step summary that is larger."""

MAX_ANNOTATIONS = 10
"""GitHub shows so many of one kind a step."""

_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MARKS = {"passed": "✅", "uncertain": "⚠️", "failed": "❌", "not checked": "❌"}


def to_json(outcome: Outcome) -> dict[str, Any]:
    """Return everything that is known about an outcome as JSON values."""
    measured, request = outcome.measured, outcome.measured.request
    evaluation, protocol = measured.evaluation, measured.request.budgets.protocol
    return {
        "schema": SCHEMA,
        "edgesr": __version__,
        "passed": outcome.passed,
        "model": {
            "file": str(request.model),
            "sha256": measured.sha256,
            "bytes": measured.bytes,
            "operators": list(measured.operators),
        },
        "dataset": {
            "description": evaluation.dataset,
            "sha256": dataset_digest(evaluation),
            "images": len(evaluation.images),
        },
        "scale": evaluation.scale,
        "protocol": protocol,
        "psnr": _number(evaluation.scores[protocol].psnr),
        "ssim": evaluation.scores[protocol].ssim,
        "colour_bias": list(evaluation.colour_bias),
        "budgets": asdict(request.budgets),
        "checks": [{**asdict(check), "ok": check.ok} for check in outcome.checks],
        "images": _images(outcome),
        "environment": environment(),
    }


def junit(outcome: Outcome) -> str:
    """Return JUnit XML: one case a check, and one an image with its PSNR as output."""
    failures = sum(not check.ok for check in outcome.checks)
    images = _images(outcome)
    suite = ET.Element(
        "testsuite",
        name="edgesr check",
        tests=str(len(outcome.checks) + len(images)),
        failures=str(failures),
        errors="0",
        skipped="0",
    )
    name = _xml(outcome.measured.request.model.name)
    for check in outcome.checks:
        case = ET.SubElement(suite, "testcase", classname=f"edgesr.{name}", name=check.name)
        if check.ok:
            ET.SubElement(case, "system-out").text = _xml(f"{check.status}: {check.message}")
        else:
            ET.SubElement(case, "failure", message=_xml(check.message), type=check.status)
    for image in images:
        case = ET.SubElement(
            suite, "testcase", classname=f"edgesr.{name}.images", name=_xml(image["name"])
        )
        facts = (f"{key} {value}" for key, value in image.items() if key != "name")
        ET.SubElement(case, "system-out").text = _xml(", ".join(facts))
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    text: str = ET.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def markdown(outcome: Outcome) -> str:
    """Return a summary for people: checks, then images, the largest loss first."""
    measured = outcome.measured
    verdict = "passed" if outcome.passed else "failed"
    about = (
        f"x{measured.evaluation.scale}, protocol `{measured.request.budgets.protocol}`, "
        f"{len(measured.evaluation.images)} images, {measured.bytes:,} bytes, SHA-256 "
        f"`{measured.sha256[:12]}`"
    )
    lines = [
        f"## edgesr check: {_cell(measured.request.model.name)} {verdict}",
        "",
        about,
        "",
        "| | check | result |",
        "|---|---|---|",
    ]
    lines += [
        f"| {_MARKS[check.status]} {check.status} | {check.name} | {_cell(check.message)} |"
        for check in outcome.checks
    ]
    images = sorted(_images(outcome), key=lambda one: -max(_losses(one), default=0.0))
    keys = [key for key in images[0] if key != "name"]
    lines += [
        "",
        "<details><summary>Images</summary>",
        "",
        f"| image | {' | '.join(keys)} |",
        f"|---|{'---:|' * len(keys)}",
    ]
    lines += [
        f"| {_cell(one['name'])} | {' | '.join(str(one[key]) for key in keys)} |" for one in images
    ]
    return "\n".join([*lines, "", "</details>", "", ""])


def append_summary(path: Path, text: str, *, room: int = SUMMARY_BYTES) -> None:
    """Append Markdown to ``path``, cut so that the whole file keeps within ``room`` bytes.

    Raises:
        OutputError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        before = path.stat().st_size if path.exists() else 0
        with path.open("ab") as stream:
            stream.write(_fitted(text, room - before))
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be written ({error.strerror}); choose another path"
        ) from error


def annotations(outcome: Outcome) -> list[str]:
    """Return ``::error::`` lines for what failed, as many as GitHub shows."""
    failed = [check for check in outcome.checks if not check.ok]
    shown = failed if len(failed) <= MAX_ANNOTATIONS else failed[: MAX_ANNOTATIONS - 1]
    lines = [_annotation(outcome, check) for check in shown]
    if len(shown) < len(failed):
        lines.append(f"::error title=edgesr check::and {len(failed) - len(shown)} more failures")
    return lines


def _annotation(outcome: Outcome, check: Check) -> str:
    title = f"edgesr check {check.name}".replace("%", "%25")
    text = f"{outcome.measured.request.model.name}: {check.message}"
    text = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return f"::error title={title}::{text}"


def _images(outcome: Outcome) -> list[dict[str, Any]]:
    measured, protocol = outcome.measured, outcome.measured.request.budgets.protocol
    now = image_psnr(measured.evaluation, protocol)
    others: dict[str, dict[str, float]] = {}
    if measured.reference is not None:
        others["drop_db"] = image_psnr(measured.reference, protocol)
    if measured.baseline is not None:
        others["regression_db"] = measured.baseline.psnr
    return [
        {
            "name": name,
            "psnr": round(psnr, 4),
            **{key: round(before[name] - psnr, 4) for key, before in others.items()},
        }
        for name, psnr in now.items()
    ]


def _losses(image: dict[str, Any]) -> list[float]:
    return [value for key, value in image.items() if key in {"drop_db", "regression_db"}]


def _fitted(text: str, room: int) -> bytes:
    """Cut ``text`` at a line so that it takes at most ``room`` bytes of UTF-8, and say so."""
    data = text.encode()
    if len(data) <= room:
        return data
    note = b"\n\nCut: the summary has no more room.\n"
    if room <= len(note):
        return b""
    kept = data[: room - len(note)]
    return kept[: kept.rfind(b"\n") + 1] + note if b"\n" in kept else note


def _cell(text: str) -> str:
    """Keep text inside its table cell, without markup."""
    text = " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|")
    return text.replace("<", "&lt;").replace("`", "'")


def _xml(text: str) -> str:
    return _NOT_XML.sub("?", text)


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
