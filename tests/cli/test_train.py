"""How `edgesr train` understands its flags and files, and what it says when it cannot."""

import subprocess
import sys
from pathlib import Path

import pytest

from edgesr.cli import app, run
from edgesr.cli.config import recipe_names
from edgesr.train.config import TrainConfig

COMMANDS = ("upscale", "train", "eval", "export", "models", "data", "bench", "demo")
HEAVY = "torch ai_edge_litert tflite_runtime cv2 skimage accelerate"


def settings(*arguments: str) -> TrainConfig:
    """Return the configuration that ``edgesr train`` would run with."""
    _, bound, _ = app.parse_args(["train", *arguments], exit_on_error=False, print_error=False)
    found = bound.arguments["settings"]
    assert isinstance(found, TrainConfig)
    return found


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_imports_nothing_heavy(command: str) -> None:
    code = (
        "import sys\nfrom edgesr.cli import run\n"
        f"assert run([{command!r}, '--help']) == 0\n"
        f"assert set('{HEAVY}'.split()).isdisjoint(sys.modules)"
    )
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-W", "error", "-c", code], check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--learningrate", "1"], 2, "--learningrate"),
        (["--loss", "l3"], 2, "--loss"),
        (["--recipe", "quick", "--resume", "{tmp}/run"], 2, "contradict"),
        (["--steps", "0"], 3, "steps = 0: want at least 1"),
        (["--data", "{tmp}/gone"], 3, "gone: does not exist; want a folder"),
        (["--data", "{tmp}/empty"], 3, "empty: no images in it"),
        (["--model", "vgg"], 3, "model 'vgg' is unknown; choose one of ncnet"),
        (["--resume", "{tmp}/empty"], 3, "empty/config.toml: cannot be read"),
        (["--resume", "{tmp}/run"], 3, "training_state.pt: no training state there"),
    ],
)
def test_an_error_is_one_line_on_stderr_with_its_code(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.toml").write_text(f'runs = "{tmp_path}"\n')
    assert run(["train", *(argument.format(tmp=tmp_path) for argument in arguments)]) == code
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("error: ")
    assert shown.err.count("\n") == 1
    assert message in shown.err


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_is_a_whole_configuration(name: str) -> None:
    assert settings("--recipe", name) != TrainConfig()


def test_help_names_every_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "--help"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in recipe_names())


def test_a_flag_beats_the_config_which_beats_the_recipe_which_beats_the_default(
    tmp_path: Path,
) -> None:
    config = tmp_path / "my.toml"
    config.write_text('steps = 77\nbatch_size = 5\ndata = "photos"\n')
    found = settings("--recipe", "quick", "--config", str(config), "--batch-size", "6")
    recipe, default = settings("--recipe", "quick"), TrainConfig()
    assert found.batch_size == 6
    assert found.steps == 77
    assert found.data == Path("photos")
    assert found.patch_size == recipe.patch_size != default.patch_size
    assert found.seed == default.seed
