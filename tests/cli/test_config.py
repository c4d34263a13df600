"""Default < recipe < --config < flag, for any command whose settings are one dataclass."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import pytest
from cyclopts import App, ArgumentCollection, CycloptsError, Parameter

from edgesr.cli import run
from edgesr.cli.config import (
    RECIPES,
    check_whole_numbers,
    fill_from_toml,
    recipe_names,
    train_config_files,
)
from edgesr.errors import ConfigError, UsageError


@dataclass(frozen=True, kw_only=True)
class Settings:
    steps: int = 1
    learning_rate: float = 0.1
    data: Path | None = None
    loss: Literal["l1", "l2"] = "l1"
    milestones: tuple[int, ...] = ()
    compile: bool = False


_DEFAULTS = Settings()


def _parse(folder: Path, *flags: str) -> Settings:
    """Run a command of the same form as `edgesr train` over low.toml and, first, high.toml."""

    def files(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
        for name in ("high.toml", "low.toml"):
            if (folder / name).exists():
                fill_from_toml(folder / name, app, commands, arguments)

    app = App(config=check_whole_numbers)

    @app.command(config=(files, check_whole_numbers))
    def work(
        *, settings: Annotated[Settings, Parameter(name="*")] = _DEFAULTS, dry: bool = False
    ) -> Settings:
        assert not dry
        return settings

    @app.command
    def data() -> None:
        """Share a name with a field, as `edgesr data` does."""

    arguments = ["work", *flags]
    result: Settings = app(
        arguments, exit_on_error=False, print_error=False, result_action="return_value"
    )
    return result


def test_a_flag_beats_the_upper_file_that_beats_the_lower_that_beats_the_default(
    tmp_path: Path,
) -> None:
    (tmp_path / "low.toml").write_text("steps = 2\nlearning_rate = 0.2\nloss = 'l2'\n")
    (tmp_path / "high.toml").write_text("steps = 3\nlearning_rate = 0.3\n")
    assert _parse(tmp_path, "--steps", "4") == Settings(steps=4, learning_rate=0.3, loss="l2")
    assert _parse(tmp_path / "none") == Settings()


def test_every_kind_of_value_is_read(tmp_path: Path) -> None:
    text = "data = 'photos'\nmilestones = [1, 2]\ncompile = true\nlearning_rate = 1\n"
    (tmp_path / "low.toml").write_text(text)
    assert _parse(tmp_path) == Settings(
        data=Path("photos"), milestones=(1, 2), compile=True, learning_rate=1.0
    )


def test_a_list_in_a_file_is_replaced_by_a_flag_not_joined(tmp_path: Path) -> None:
    (tmp_path / "low.toml").write_text("milestones = [1, 2]\n")
    assert _parse(tmp_path, "--milestones", "7").milestones == (7,)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("learning_rat = 1", r"low\.toml: unknown key learning_rat; did you mean learning_rate\?"),
        ("[train]\nsteps = 2", r"low\.toml: unknown key train; want one of steps, learning_rate"),
        ("dry = true", r"low\.toml: unknown key dry"),
        ("steps = \n", r"low\.toml: is no TOML \(.*line 1"),
        ("steps = 1.5", r"low\.toml: steps = 1\.5: want a whole number"),
        ("milestones = [1, 2.5]", r"low\.toml: milestones = 2\.5: want a whole number"),
    ],
)
def test_a_wrong_file_is_named_with_its_key(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "low.toml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        _parse(tmp_path)


@pytest.mark.parametrize("text", ["steps = 'many'", "loss = 'l3'", "compile = 'perhaps'"])
def test_a_wrong_value_names_file_and_key(tmp_path: Path, text: str) -> None:
    (tmp_path / "low.toml").write_text(text)
    with pytest.raises(CycloptsError) as caught:
        _parse(tmp_path)
    assert "low.toml" in str(caught.value)
    assert text.split(maxsplit=1)[0] in str(caught.value)


def test_a_fraction_on_the_command_line_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--steps = 1\.5: want a whole number"):
        _parse(tmp_path, "--steps", "1.5")


@pytest.mark.parametrize(
    ("text", "code"), [("learning_rat = 1\n", 3), ("steps = 'x'\n", 3), ("steps = 0\n", 3)]
)
def test_train_ends_with_3_on_a_wrong_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, code: int
) -> None:
    (tmp_path / "my.toml").write_text(text)
    assert run(["train", "--dry-run", "--config", str(tmp_path / "my.toml")]) == code
    assert capsys.readouterr().err.count("\n") == 1


def test_a_key_that_is_also_a_command_is_not_dropped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("accelerate", reason="needs the train extra")
    (tmp_path / "my.toml").write_text("data = '/no/such/photos'\n")
    assert run(["train", "--dry-run", "--config", str(tmp_path / "my.toml")]) == 3
    assert "/no/such/photos: does not exist" in capsys.readouterr().err


def test_a_missing_config_file_and_an_unknown_recipe_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["train", "--config", str(tmp_path / "none.toml")]) == 3
    assert "none.toml: cannot be read (No such file or directory)" in capsys.readouterr().err
    assert run(["train", "--recipe", "quik"]) == 3
    assert "recipe 'quik' is unknown; choose one of abpn_x3_qat" in capsys.readouterr().err


def test_every_recipe_is_made_of_settings() -> None:
    from edgesr.train.config import TrainConfig

    app = App()

    @app.command(config=train_config_files)
    def train(
        *,
        recipe: str,
        settings: Annotated[TrainConfig, Parameter(name="*")] = TrainConfig(),  # noqa: B008
    ) -> TrainConfig:
        assert recipe
        return settings

    assert "quick" in recipe_names()
    for name in recipe_names():
        config = app(
            ["train", "--recipe", name],
            exit_on_error=False,
            print_error=False,
            result_action="return_value",
        )
        assert isinstance(config, TrainConfig)
        assert (RECIPES / f"{name}.toml").is_file()
