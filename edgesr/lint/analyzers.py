"""What LiteRT's own programs say of a file, beside our prediction.

They are C++ that trusts its input, so each runs in a process of its own.
"""

import importlib.util
import json
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ai_edge_litert import schema_py_generated as schema

from edgesr.export.flatbuffer import ModelBuilder
from edgesr.lint.targets import Target

_SECONDS = 60
_GPU = (
    "import sys; from ai_edge_litert import _pywrap_analyzer_wrapper as a; "
    "print(a.ModelAnalyzer(sys.argv[1], True, True))"
)
_STATISTICS = re.compile(
    r"Partitioned subgraph<(\d+)>, selected (\d+) ops, from a total of (\d+) ops\. "
    r"resulted in (\d+) partitions"
)
_WARNING = "GPU COMPATIBILITY WARNING:"
_MOST_WARNINGS = 3


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What another program says.

    Attributes:
        name: of the program.
        text: its verdict, or why there is none.
        partitions: how many it counts, None where it says nothing of that.
        delegated: how many operators it takes, None likewise.
    """

    name: str
    text: str
    partitions: int | None = None
    delegated: int | None = None


def verdicts(path: Path, target: Target) -> tuple[Verdict, ...]:
    """Ask LiteRT's program for a target about a file that the linter could read."""
    if target.analyzer == "gpu":
        return (_gpu(path),)
    if target.analyzer == "delegation":
        return (_delegation(path),)
    if target.analyzer == "plugin" and target.plugin is not None:
        return (_plugin(path, *target.plugin),)
    return (
        Verdict(name="LiteRT's analyzer", text=f"the installed LiteRT has none for {target.name}"),
    )


def _gpu(path: Path) -> Verdict:
    name = "LiteRT's GPU compatibility check"
    ran, done = _run([sys.executable, "-c", _GPU, str(path)])
    if not ran:
        return Verdict(name=name, text=done)
    if not _tells(path):
        text = "accepts this file, but also a ROUND, which no GPU delegate takes: no verdict"
        return Verdict(name=name, text=text)
    lines = [" ".join(line.split()) for line in done.splitlines()]
    warnings = [line.partition(_WARNING)[2].strip() for line in lines if _WARNING in line]
    if not warnings:
        fits = [line for line in lines if "compatible with GPU delegate" in line]
        return Verdict(name=name, text=fits[0] if fits else "says nothing of the GPU")
    shown = "; ".join(warnings[:_MOST_WARNINGS])
    more = len(warnings) - _MOST_WARNINGS
    return Verdict(name=name, text=shown + (f"; and {more} more" if more > 0 else ""))


def _tells(path: Path) -> bool:
    """Tell whether the installed check refuses anything: that of LiteRT 2.3.0 accepts all."""
    builder = ModelBuilder(name="probe", description="an operator that GPUs lack")
    source, output = (builder.tensor(name, (1, 4, 4, 3), "float32") for name in ("x", "y"))
    builder.operator(schema.BuiltinOperator.ROUND, [source], output)
    with tempfile.TemporaryDirectory() as scratch:
        probe = Path(scratch) / path.name
        probe.write_bytes(builder.finish({"x": source}, {"y": output}, {}))
        ran, done = _run([sys.executable, "-c", _GPU, str(probe)])
    return ran and _WARNING in done


def _delegation(path: Path) -> Verdict:
    name = "LiteRT's XNNPACK here"
    ran, done = _run([sys.executable, "-m", "edgesr.lint.delegation", str(path)])
    if not ran:
        return Verdict(name=name, text=done)
    try:
        found = json.loads(done.splitlines()[-1])
    except (ValueError, IndexError):
        return Verdict(name=name, text="gave no answer")
    if "error" in found:
        return Verdict(name=name, text=found["error"])
    return Verdict(
        name=name,
        text=f"takes {found['delegated']} of {found['operators']} operators in "
        f"{found['partitions']} partition{'' if found['partitions'] == 1 else 's'} (measured)",
        partitions=found["partitions"],
        delegated=found["delegated"],
    )


def _plugin(path: Path, folder: str, maker: str, chip: str) -> Verdict:
    name = f"LiteRT's {maker} compiler plugin ({chip})"
    found = importlib.util.find_spec("ai_edge_litert")
    root = Path(found.origin).parent if found is not None and found.origin else None
    program = None if root is None else root / "tools" / "apply_plugin_main"
    if root is None or program is None or not program.is_file():
        return Verdict(name=name, text="the installed LiteRT has none")
    with tempfile.TemporaryDirectory() as scratch:
        _, done = _run(
            [
                str(program),
                "--cmd=partition",
                f"--libs={root / 'vendors' / folder / 'compiler'}",
                f"--soc_manufacturer={maker}",
                f"--soc_model={chip}",
                f"--model={path.resolve()}",
                f"--o={scratch}/out.tflite",
            ],
            folder=scratch,
            any_code=True,
        )
    counts = [tuple(map(int, one)) for one in _STATISTICS.findall(done)]
    if counts:
        taken, total, parts = (sum(one[place] for one in counts) for place in (1, 2, 3))
        text = f"takes {taken} of {total} operators in {parts} partitions"
        return Verdict(name=name, text=text, partitions=parts, delegated=taken)
    missing = re.search(r"(\S+): cannot open shared object file", done)
    reason = f"it needs {missing[1]}, which the maker ships" if missing else "it gave no answer"
    return Verdict(name=name, text=f"could not be asked: {reason}")


def _run(
    command: list[str], *, folder: str | None = None, any_code: bool = False
) -> tuple[bool, str]:
    """Return whether a program ran and what it prints; where it failed, a sentence that says so."""
    try:
        done = subprocess.run(  # noqa: S603 - programs of LiteRT and this Python
            command, capture_output=True, check=False, timeout=_SECONDS, cwd=folder
        )
    except subprocess.TimeoutExpired:
        return False, f"took longer than {_SECONDS} s"
    except OSError as error:
        return False, f"cannot be started ({error.strerror})"
    text = (done.stdout + (done.stderr if any_code else b"")).decode(errors="replace")
    if done.returncode and not any_code:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no message"]
        return False, f"failed with code {done.returncode}: {' '.join(last[0].split())[:200]}"
    return True, text
