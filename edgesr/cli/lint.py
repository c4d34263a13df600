"""``edgesr lint``: what a delegate will make of a .tflite file, before there is a phone."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from edgesr.errors import GateError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgesr.export.pipeline import Export, ExportRequest
    from edgesr.lint.check import LintReport
    from edgesr.lint.fix import Fixed
    from edgesr.models.checkpoint import LoadedModel
    from edgesr.quant.scheme import QuantizedGraph

Flag = Annotated[bool, Parameter(negative="")]


def lint(  # noqa: PLR0913 - one parameter a flag
    model: str | None = None,
    /,
    *,
    target: Annotated[str, Parameter(name=["--target", "-t"])] = "nnapi",
    fix: Path | None = None,
    sarif: Path | None = None,
    others: Annotated[bool, Parameter(negative="--no-others")] = True,
    targets: Flag = False,
    json: Flag = False,
) -> None:
    """Say what a target refuses in a .tflite file, from wherever it comes, and what to do.

    Exit code 0: no errors. 1: errors. 3: no .tflite file, or a damaged one. With `--fix` it is
    about the new file.

    Args:
        model: .tflite file or shipped model; default is the shipped one.
        target: nnapi or nnapi-LEVEL (default 4), litert-gpu, xnnpack, ethos-u, hexagon, cpu, or the
            path of a TOML file like those.
        fix: file to write with the rewrites that LiteRT proves to be bit-equal.
        sarif: SARIF 2.1.0 file to write.
        others: also ask LiteRT's own program for the target, where there is one.
        targets: list the targets.
        json: print one JSON document instead of text.
    """
    from edgesr.cli.console import out
    from edgesr.lint.analyzers import verdicts
    from edgesr.lint.check import lint as run
    from edgesr.lint.reader import read_bytes
    from edgesr.lint.report import text_lines, to_json
    from edgesr.lint.targets import load_target

    if targets:
        _list(json=json)
        return
    path, chosen = _path(model), load_target(target)
    if fix is not None and fix.suffix != ".tflite":
        raise UsageError(f"{fix}: want a file name that ends in .tflite")
    content = read_bytes(path)
    report = run(content, chosen, name=str(path))
    asked = verdicts(path, chosen) if others else ()
    values: dict[str, Any] = to_json(report, asked)
    lines = text_lines(report, asked)
    if fix is not None:
        fixed, more = _fix(content, report, fix)
        report = fixed.after
        values["fix"] = more
        lines += ["", *_fix_lines(fixed, fix)]
    if sarif is not None:
        _write_sarif(report, sarif)
    if json:
        out.print_json(data=values)
    else:
        for line in lines:
            out.print(line, markup=False, soft_wrap=True)
    refuse(report)


def refuse(report: "LintReport") -> None:
    """Refuse a file that has errors.

    Raises:
        GateError: names how many there are, and the first.
    """
    from edgesr.lint.report import place

    if report.errors:
        first = report.errors[0]
        raise GateError(
            f"{report.file}: {report.counts['error']} error{'s' * (len(report.errors) > 1)} for "
            f"{report.target.label}, the first is "
            f"{first.code} {place(report, first)}: {first.what}; {first.remedy}"
        )


def export_linted(
    loaded: "LoadedModel",
    request: "ExportRequest",
    trained: "QuantizedGraph | None",
    target: str,
) -> "Export":
    """Export as ``export_model`` does, but put the file into place only if a target takes it.

    Raises:
        GateError: the target refuses the file, or the export's own checks do.
    """
    import tempfile
    from dataclasses import replace

    from edgesr.cli.console import say
    from edgesr.export.pipeline import export_model
    from edgesr.export.report import report as export_report
    from edgesr.files import write_bytes, write_json
    from edgesr.lint.check import lint as run
    from edgesr.lint.report import text_lines
    from edgesr.lint.targets import load_target

    chosen, output = load_target(target), request.output
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        try:
            result = export_model(loaded, replace(request, output=scratch / output.name), trained)
        except GateError as error:
            for path in scratch.glob("*.rejected*"):
                write_bytes(output.with_name(path.name), path.read_bytes())
            raise GateError(str(error).replace(str(scratch), str(output.parent))) from error
    report = run(result.content, chosen, name=str(output))
    if report.errors:
        for line in text_lines(report):
            say(line)
    refuse(report)
    result = replace(result, request=request)
    write_bytes(output, result.content)
    write_json(output.with_suffix(".json"), export_report(result))
    return result


def _path(model: str | None) -> Path:
    from edgesr.zoo import DEFAULT
    from edgesr.zoo.find import find_entry

    entry = find_entry(model or DEFAULT)
    return entry.intact(entry.tflite) if entry is not None else Path(model or "")


def _list(*, json: bool) -> None:
    from edgesr.cli.console import out
    from edgesr.lint.targets import load_target, target_names

    found = [load_target(name) for name in target_names()]
    if json:
        rows = [
            {
                "name": one.name,
                "title": one.title,
                "operators": len(one.ops),
                "levels": [level.number for level in one.levels],
                "sources": list(one.sources.values()),
            }
            for one in found
        ]
        out.print_json(data=rows)
        return
    for one in found:
        levels = f", levels {one.levels[0].number} to {one.levels[-1].number}" if one.levels else ""
        text = f"{one.name}: {one.title}, {len(one.ops)} operators{levels}"
        out.print(text, markup=False, soft_wrap=True)
        for source in one.sources.values():
            out.print(f"    source: {source}", markup=False, soft_wrap=True)


def _fix(content: bytes, before: "LintReport", output: Path) -> "tuple[Fixed, dict[str, Any]]":
    from dataclasses import asdict, replace

    from edgesr.files import write_bytes
    from edgesr.lint.fix import fix
    from edgesr.lint.report import to_json

    fixed = fix(content, before.target, name=before.file)
    written = fixed.proof is not None and fixed.proof.equal
    if written:
        write_bytes(output, fixed.content)
        fixed = replace(fixed, after=replace(fixed.after, file=str(output)))
    return fixed, {
        "file": str(output) if written else None,
        "steps": [asdict(one) for one in fixed.steps],
        "proof": None if fixed.proof is None else asdict(fixed.proof),
        "after": to_json(fixed.after),
    }


def _fix_lines(fixed: "Fixed", output: Path) -> "Sequence[str]":
    from edgesr.lint.fix import proof_text
    from edgesr.lint.report import text_lines

    lines = [
        f"{'fixed' if one.kept else 'left'} {one.code} {one.where} ({one.rewrite}): {one.text}"
        for one in fixed.steps
    ]
    if fixed.proof is None:
        why = "no rewrite was bit-equal and possible" if lines else "nothing to rewrite"
        return [*lines, f"{why}: {output} is not written"]
    if not fixed.proof.equal:
        return [*lines, f"{output} is not written: {proof_text(fixed.proof)}"]
    return [
        *lines,
        f"{output} against the file before: {proof_text(fixed.proof)}",
        "",
        *text_lines(fixed.after),
    ]


def _write_sarif(report: "LintReport", path: Path) -> None:
    from edgesr.files import write_json
    from edgesr.lint.sarif import sarif

    write_json(path, sarif(report))
