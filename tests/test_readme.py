"""The commands of the README are run as they stand there, in order."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from edgesr.cli import run

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)
LINES = [shlex.split(line, comments=True) for block in BLOCKS for line in block.splitlines()]
EDGESR = [line[1:] for line in LINES if line and line[0] == "edgesr"]
SHORT = ["--steps", "40", "--val-every", "40", "--warmup-steps", "10", "--log-every", "20"]


def _needs_the_shipped_network(arguments: list[str]) -> bool:
    return arguments[0] == "models" or (arguments[0] == "upscale" and "-n" not in arguments)


@pytest.fixture
def workplace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, save_photo: Callable[..., Path]
) -> Path:
    """Folder with the files that the README speaks of."""
    save_photo(tmp_path / "photo.png", 40, 60)
    for seed in range(2):
        save_photo(tmp_path / "photos" / f"{seed}.jpg", 30, 40, seed)
        save_photo(tmp_path / "Set5" / f"{seed}.png", 60, 90, seed)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_readme_shows_the_main_commands() -> None:
    shown = {arguments[0] for arguments in EDGESR}
    assert shown >= {"train", "eval", "export", "upscale", "models", "data"}


def test_make_targets_of_the_readme_exist() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    shown = {line[1] for line in LINES if line and line[0] == "make"}
    assert {"demo", "test"} <= shown <= targets


@pytest.mark.slow
def test_train_eval_export_upscale_run_in_this_order(workplace: Path) -> None:
    pytest.importorskip("skimage", reason="needs the demo extra")
    for arguments in EDGESR:
        if _needs_the_shipped_network(arguments):
            continue
        shorter = SHORT if arguments[0] == "train" else []
        assert run([*arguments, *shorter]) == 0, arguments
    assert (workplace / "model.json").is_file()
    assert sorted(path.name for path in (workplace / "large").iterdir()) == ["0_x3.png", "1_x3.png"]


def test_the_shipped_network_upscales_and_is_listed(workplace: Path) -> None:
    for arguments in filter(_needs_the_shipped_network, EDGESR):
        assert run(arguments) == 0, arguments
    assert (workplace / "photo_x3.png").is_file()
