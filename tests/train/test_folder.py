import dataclasses
import tomllib
from pathlib import Path
from typing import Any

import pytest

from edgesr.cli import app
from edgesr.errors import CheckpointError, ConfigError, OutputError
from edgesr.train.config import TrainConfig
from edgesr.train.folder import check_resumable, config_toml, new_folder

UNUSUAL: dict[str, Any] = {
    "model": "abpn",
    "scale": 4,
    "steps": 30,
    "schedule": "step",
    "milestones": (10, 20),
    "rates": (1e-3, 5e-4, 1e-5),
    "learning_rate": 3e-4,
    "loss": "charbonnier",
    "compile": True,
    "ema_decay": 0.5,
    "sampling": "area",
}


def test_config_toml_brings_back_every_setting(tmp_path: Path) -> None:
    config = TrainConfig(
        data=tmp_path / "im ages", val_data=tmp_path, runs=tmp_path / "runs", name="r", **UNUSUAL
    )
    folder = new_folder(config)
    assert folder == tmp_path / "runs" / "r"
    _, bound, _ = app.parse_args(["train", "--resume", str(folder)], exit_on_error=False)
    assert bound.arguments["settings"] == config
    check_resumable(config, folder)


def test_every_setting_with_a_value_is_written() -> None:
    config = TrainConfig()
    empty = {f.name for f in dataclasses.fields(config) if getattr(config, f.name) is None}
    written = tomllib.loads(config_toml(config))
    assert set(written) == {f.name for f in dataclasses.fields(config)} - empty
    assert Path(written["runs"]).is_absolute()


@pytest.mark.parametrize(
    ("key", "value"), [("scale", 3), ("steps", 31), ("learning_rate", 1e-2), ("seed", 7)]
)
def test_a_resumed_run_with_another_setting_is_refused_by_key(
    tmp_path: Path, key: str, value: float
) -> None:
    config = TrainConfig(runs=tmp_path, name="r", **UNUSUAL)
    folder = new_folder(config)
    changed = TrainConfig(**{**vars(config), key: value})
    flag = f"--{key.replace('_', '-')}"
    with pytest.raises(ConfigError, match=rf"config\.toml: {key} is .*, but .*drop {flag}"):
        check_resumable(changed, folder)


def test_what_does_not_change_the_result_may_change(tmp_path: Path) -> None:
    config = TrainConfig(runs=tmp_path, name="r", **UNUSUAL)
    folder = new_folder(config)
    check_resumable(dataclasses.replace(config, num_workers=2, log_every=1), folder)


def test_a_folder_that_is_no_run_cannot_be_resumed(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"config\.toml: cannot be read.*name a run folder"):
        check_resumable(TrainConfig(), tmp_path)


def test_a_name_in_use_is_refused(tmp_path: Path) -> None:
    config = TrainConfig(runs=tmp_path, name="r")
    new_folder(config)
    with pytest.raises(ConfigError, match="there is a run already; choose another --name"):
        new_folder(config)


def test_a_run_without_a_name_is_called_after_model_and_scale(tmp_path: Path) -> None:
    assert new_folder(TrainConfig(runs=tmp_path)).name.startswith("ncnet_x3-")


def test_runs_that_cannot_be_made_are_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match=r"file/r: cannot be made \(.*set --runs"):
        new_folder(TrainConfig(runs=tmp_path / "file", name="r"))
