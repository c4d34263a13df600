"""A lint report as text lines and as JSON values."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from edgesr import __version__
from edgesr.lint.analyzers import Verdict
from edgesr.lint.check import LintReport
from edgesr.lint.findings import Finding

SCHEMA = "edgesr/lint/1"


def text_lines(report: LintReport, verdicts: Sequence[Verdict] = ()) -> list[str]:
    """Return a report for people: findings, partitions, verdicts of others, a summary."""
    lines: list[str] = []
    for one in report.findings:
        lines += [
            f"{one.severity} {one.code} {place(report, one)}: {one.what}",
            f"    why: {one.why}",
            f"    do: {one.remedy}" + (" (edgesr lint --fix tries it)" if one.fix else ""),
        ]
    for graph, cut in zip(report.model.subgraphs, report.partitions, strict=True):
        name = f"subgraph {graph.index}" + (f" ({graph.name})" if graph.name else "")
        lines.append(
            f"{name}, {report.target.title}: {cut.delegated} of {cut.operators} operators in "
            f"{len(cut.taken)} partition{'' if len(cut.taken) == 1 else 's'} (predicted)"
        )
    lines += [f"{one.name}: {one.text}" for one in verdicts]
    if report.target.caveat:
        lines.append(f"not covered: {report.target.caveat}")
    lines += [f"source: {one}" for one in dict.fromkeys(_sources(report))]
    counts = ", ".join(
        f"{count} {severity}{'' if count == 1 else 's'}"
        for severity, count in report.counts.items()
    )
    lines.append(f"{report.file}: {counts} for {report.target.label}")
    return lines


def _sources(report: LintReport) -> list[str]:
    return [text for one in report.findings if one.source for text in one.source.split("; ")]


def place(report: LintReport, finding: Finding) -> str:
    """Return where a finding is, such as ``operator 3 (ADD)``."""
    several = len(report.model.subgraphs) > 1
    where = f"subgraph {finding.subgraph}" if several or finding.operator is None else ""
    if finding.operator is None:
        return where
    operator = f"operator {finding.operator} ({finding.op})"
    return f"{where} {operator}" if where else operator


def to_json(report: LintReport, verdicts: Sequence[Verdict] = ()) -> dict[str, Any]:
    """Return everything that is known about a file as JSON values."""
    return {
        "schema": SCHEMA,
        "edgesr": __version__,
        "file": report.file,
        "bytes": report.model.size,
        "target": {
            "name": report.target.name,
            "level": report.target.level if report.target.levels else None,
            "title": report.target.title,
            "caveat": report.target.caveat,
        },
        "clean": not report.errors,
        "counts": report.counts,
        "signatures": [{"key": key, "subgraph": one} for key, one in report.model.signatures],
        "subgraphs": [
            {
                "name": graph.name,
                "operators": cut.operators,
                "delegated": cut.delegated,
                "partitions": len(cut.taken),
                "cut_by": list(cut.breakers),
            }
            for graph, cut in zip(report.model.subgraphs, report.partitions, strict=True)
        ],
        "findings": [asdict(one) for one in report.findings],
        "others": [asdict(one) for one in verdicts],
    }
