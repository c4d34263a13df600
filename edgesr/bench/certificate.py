"""Find the proof that a .tflite file is exact: its export report, or the card of a shipped one."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgesr.errors import DataError

_REPORT = "edgesr/export/"
_CARD = "edgesr/card/"


@dataclass(frozen=True, kw_only=True)
class Exactness:
    """What is proven about a file.

    Attributes:
        exact: True or False where a report of this very file says so, None where none does.
        message: one line for people.
    """

    exact: bool | None
    message: str


@dataclass(frozen=True, kw_only=True)
class _Proof:
    sha256: Any
    mismatches: Any
    values: Any
    kernels: Any


def find_exactness(model: Path, sha256: str, certificate: Path | None) -> Exactness:
    """Look into ``certificate``, or the JSON beside ``model``, for the proof about these bytes.

    Raises:
        DataError: the certificate is no JSON, or a named one is missing.
    """
    places = [certificate] if certificate else [model.with_suffix(".json"), _card(model)]
    found = [path for path in places if path.is_file()]
    if not found:
        if certificate:
            raise DataError(f"{certificate}: no such certificate; check the path")
        return Exactness(
            exact=None,
            message=f"not checked: no report {places[0].name} beside the file; export it with "
            "edgesr, or name its report with --certificate",
        )
    path = found[0]
    values = _read(path)
    for proof in (*_reports(values), *_cards(values, model.name)):
        if proof.sha256 == sha256:
            return _judged(path, proof)
    return Exactness(
        exact=None,
        message=f"not checked: {path.name} is no export report of this very file (SHA-256 "
        f"{sha256[:12]}); export it again",
    )


def _card(model: Path) -> Path:
    """Return where a shipped ``NAME_int8.tflite`` has its card."""
    return model.with_name(f"{model.stem.removesuffix('_int8')}.json")


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: is no JSON ({error}); restore it or export again") from error


def _reports(values: Any) -> list[_Proof]:
    """Return what export reports in a document say: itself, or one level down."""
    candidates = [values, *values.values()] if isinstance(values, dict) else []
    reports = [one for one in candidates if _is_of(one, _REPORT)]
    return [
        _Proof(
            sha256=report.get("sha256"),
            mismatches=_at(report, "verification", "mismatches"),
            values=_at(report, "verification", "values"),
            kernels=_at(report, "verification", "kernels"),
        )
        for report in reports
    ]


def _cards(values: Any, name: str) -> list[_Proof]:
    """Return what the card of a shipped network says about the file of that name."""
    if not _is_of(values, _CARD):
        return []
    return [
        _Proof(
            sha256=_at(values, "files", name, "sha256"),
            mismatches=_at(values, "int8", "mismatches"),
            values=_at(values, "int8", "values_compared"),
            kernels="xnnpack",
        )
    ]


def _is_of(values: Any, schema: str) -> bool:
    return isinstance(values, dict) and str(values.get("schema", "")).startswith(schema)


def _at(values: Any, *keys: str) -> Any:
    for key in keys:
        values = values.get(key) if isinstance(values, dict) else None
    return values


def _judged(path: Path, proof: _Proof) -> Exactness:
    differing, values = proof.mismatches, proof.values
    if type(differing) is not int or type(values) is not int or values <= 0:
        return Exactness(
            exact=None,
            message=f"not checked: {path.name} compares no values with an integer simulation",
        )
    return Exactness(
        exact=differing == 0,
        message=f"{differing:,} of {values:,} values differ from the integer simulation "
        f"({proof.kernels} kernels, {path.name})",
    )
