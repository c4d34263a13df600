"""``edgesr eval --perceptual``: a second table, more keys, and the old ones as they were."""

import json
from collections.abc import Callable
from pathlib import Path
from statistics import fmean

import pytest

from edgesr.cli import run
from edgesr.perception import PERCEPTUAL

SavePhoto = Callable[..., Path]
EVAL = ["eval", "bicubic", "-s", "2", "--data"]


@pytest.fixture
def images(tmp_path: Path, save_photo: SavePhoto) -> Path:
    for seed in range(2):
        save_photo(tmp_path / "set" / f"{seed}.png", 182, 190, seed)
    return tmp_path / "set"


def test_a_second_table_names_the_better_direction(
    images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*EVAL, str(images), "--perceptual"]) == 0
    printed = capsys.readouterr().out
    for metric in PERCEPTUAL.values():
        assert metric.title in printed
    assert "near 1" in printed
    assert "PSNR dB" in printed


def test_json_has_new_keys_beside_the_old_ones(
    images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*EVAL, str(images), "--json"]) == 0
    plain = json.loads(capsys.readouterr().out)["evaluations"][0]
    assert run([*EVAL, str(images), "--json", "--perceptual"]) == 0
    rich = json.loads(capsys.readouterr().out)["evaluations"][0]
    assert set(rich) - set(plain) == {"perceptual", "perceptual_bicubic"}
    assert {key: rich[key] for key in ("mean", "bicubic", "colour_bias", "count")} == {
        key: plain[key] for key in ("mean", "bicubic", "colour_bias", "count")
    }
    assert list(rich["perceptual"]) == list(PERCEPTUAL)
    assert rich["perceptual"] == rich["perceptual_bicubic"]
    assert rich["perceptual"]["high_frequency_ratio"] < 0.5
    for name, value in rich["perceptual"].items():
        assert value == pytest.approx(fmean(i["perceptual"][name] for i in rich["images"]))
    assert "perceptual" not in plain["images"][0]


def test_single_metrics_can_be_named(images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--metric", "gmsd", "--metric", "vif", "--json"]
    assert run([*EVAL, str(images), *flags]) == 0
    document = json.loads(capsys.readouterr().out)
    assert list(document["evaluations"][0]["perceptual"]) == ["gmsd", "vif"]


def test_an_image_too_small_for_a_metric_is_named(
    tmp_path: Path, save_photo: SavePhoto, capsys: pytest.CaptureFixture[str]
) -> None:
    small = save_photo(tmp_path / "small" / "a.png", 100, 120)
    assert run([*EVAL, str(small.parent), "--perceptual"]) == 3
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(f"error: {small}: MS-SSIM wants at least 176 pixels")
    assert "--metric" in error
    assert run([*EVAL, str(small.parent), "--metric", "vif"]) == 0


def test_bicubic_on_set5_is_seen_to_be_blurred(
    shared_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["eval", "bicubic", "-s", "3", "--data", str(shared_data / "eval" / "Set5")]
    assert run([*command, "--perceptual", "--json", "--limit", "2"]) == 0
    values = json.loads(capsys.readouterr().out)["evaluations"][0]["perceptual"]
    assert values["high_frequency_ratio"] < 0.1
    assert values["spectrum_distance_db"] > 10
    assert values["ms_ssim"] > 0.95
