"""The command line as a program: what it imports, where it prints, how it ends."""

import errno
import os
import subprocess
import sys

import pytest

from edgesr import __version__
from edgesr.cli import app, run
from edgesr.errors import EdgesrError, GateError, MissingDependencyError

HEAVY = {"ai_edge_litert", "cv2", "numpy", "safetensors", "skimage", "tflite_runtime", "torch"}


def _raise(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    import edgesr.cli.models

    def fail(**_: object) -> None:
        raise error

    # A command that is called for the first time is looked up by name, so register it anew.
    monkeypatch.setattr(edgesr.cli.models, "models", fail)
    monkeypatch.setitem(app._commands, "models", _fresh_models_command())


def _fresh_models_command() -> object:
    from cyclopts.command_spec import CommandSpec

    return CommandSpec("edgesr.cli.models:models", name="models")


def _python(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own program
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **env},
    )


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom edgesr.cli import run\nassert run(['--help']) == 0\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    imported = set(_python("-c", code).stdout.splitlines()[-1].split())
    assert "edgesr" in imported
    assert imported & HEAVY == set()


def test_a_mistyped_command_imports_nothing_heavy_either() -> None:
    code = (
        "import sys\nfrom edgesr.cli import run\nassert run(['upscal']) == 2\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    done = _python("-c", code)
    assert 'Did you mean "upscale"?' in done.stderr
    assert set(done.stdout.split()) & HEAVY == set()


def test_help_lists_every_command() -> None:
    done = _python("-m", "edgesr", "--help")
    assert done.returncode == 0
    for command in ("train", "eval", "export", "upscale", "models", "data"):
        assert f" {command} " in done.stdout


def test_version_is_the_package_version() -> None:
    done = _python("-m", "edgesr", "--version")
    assert (done.returncode, done.stdout) == (0, f"{__version__}\n")


@pytest.mark.parametrize("command", ["train", "eval", "export", "upscale", "models", "data"])
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([command, "--help"]) == 0
    assert f"Usage: edgesr {command}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments", [["frob"], ["--frob"], ["train", "--frob"], ["train", "--steps", "x"], ["eval"]]
)
def test_usage_errors_end_with_2_and_one_line(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1


def test_a_fraction_is_not_rounded_to_a_whole_number(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "--scale", "2.5", "--dry-run"]) == 2
    assert capsys.readouterr().err == "error: --scale = 2.5: want a whole number\n"


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (EdgesrError("two\nlines"), 3, "two lines"),
        (GateError("drop 0.3 dB"), 1, "drop 0.3 dB"),
        (MissingDependencyError("no network"), 4, "no network"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (
            OSError(errno.ENOSPC, "No space left on device", "a.png"),
            3,
            "a.png: No space left on device; check the path, rights and free space",
        ),
        (
            ModuleNotFoundError("No module named 'torch'", name="torch"),
            4,
            "the Python package torch is missing; install edgesr[train]",
        ),
    ],
)
def test_expected_errors_are_one_line_and_a_code(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    message: str,
) -> None:
    _raise(monkeypatch, error)
    assert run(["models"]) == code
    assert capsys.readouterr().err == f"error: {message}\n"


def test_an_error_is_printed_even_when_quiet(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _raise(monkeypatch, GateError("no"))
    assert run(["-q", "models"]) == 1
    assert capsys.readouterr().err == "error: no\n"


@pytest.mark.parametrize("error", [ZeroDivisionError(), ModuleNotFoundError(name="edgesr.typo")])
def test_a_mistake_in_the_code_keeps_its_traceback(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    _raise(monkeypatch, error)
    with pytest.raises(type(error)):
        run(["models"])


@pytest.mark.parametrize("place", [["--quiet", "data", "list"], ["data", "list", "-q"]])
def test_quiet_keeps_results_and_drops_messages(
    place: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["data", "list"]) == 0
    assert "fetch with" in capsys.readouterr().err
    assert run(place) == 0
    out, err = capsys.readouterr()
    assert "div2k_train_hr" in out
    assert err == ""


def test_no_colour_reaches_a_pipe_or_no_color() -> None:
    assert "\x1b[" not in _python("-m", "edgesr", "data", "list").stdout
    forced = _python("-m", "edgesr", "data", "list", FORCE_COLOR="1", NO_COLOR="1").stdout
    assert "\x1b[3" not in forced


def test_a_reader_that_leaves_is_no_error() -> None:
    code = (
        "import sys\nfrom edgesr.cli import run\nfrom edgesr.cli import data\n"
        "sys.exit(run(['data', 'list']))"
    )
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as pipe:
        done = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-c", code],
            stdout=pipe,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert "Traceback" not in done.stderr
    assert "error" not in done.stderr
