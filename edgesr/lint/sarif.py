"""A lint report as SARIF 2.1.0, which GitHub and editors show.

Source: OASIS, Static Analysis Results Interchange Format 2.1.0.
"""

from pathlib import PurePath
from typing import Any

from edgesr import __version__
from edgesr.lint.check import LintReport
from edgesr.lint.findings import CODES, Finding
from edgesr.lint.report import place

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def sarif(report: LintReport) -> dict[str, Any]:
    """Return a report as a SARIF log with one run; a place is a logical location in the file."""
    used = sorted({one.code for one in report.findings})
    return {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "edgesr lint",
                        "semanticVersion": __version__,
                        "rules": [
                            {"id": code, "shortDescription": {"text": CODES[code]}} for code in used
                        ],
                    }
                },
                "artifacts": [
                    {"location": {"uri": _uri(report.file)}, "length": report.model.size}
                ],
                "results": [_result(report, one, used) for one in report.findings],
                "properties": {"target": report.target.label},
            }
        ],
    }


def _result(report: LintReport, finding: Finding, used: list[str]) -> dict[str, Any]:
    graph = report.model.subgraphs[finding.subgraph]
    where = place(report, finding)
    return {
        "ruleId": finding.code,
        "ruleIndex": used.index(finding.code),
        "level": finding.severity,
        "message": {"text": f"{where}: {finding.what}; {finding.why}. Do: {finding.remedy}"},
        "locations": [
            {
                "physicalLocation": {"artifactLocation": {"uri": _uri(report.file), "index": 0}},
                "logicalLocations": [
                    {
                        "name": finding.op or graph.name or "subgraph",
                        "fullyQualifiedName": f"subgraph{finding.subgraph}"
                        + ("" if finding.operator is None else f".operator{finding.operator}"),
                        "kind": "element",
                    }
                ],
            }
        ],
        "properties": {"tensors": list(finding.tensors), "source": finding.source},
    }


def _uri(file: str) -> str:
    from urllib.parse import quote

    return quote(PurePath(file).as_posix())
