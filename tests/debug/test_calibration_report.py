"""Planted faults of calibration are found, and the figures are right."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from edgesr.debug.calibration_json import SCHEMA, document
from edgesr.debug.calibration_page import html
from edgesr.debug.calibration_plot import PlotPoint, curve_svg
from edgesr.debug.calibration_report import (
    CalibrationReport,
    CalibrationRequest,
    calibration_report,
    recommended,
    report_of,
)
from edgesr.debug.calibration_trials import Trial, Trials, scale_spreads, stability_warnings
from edgesr.errors import CheckpointError, DatasetError
from edgesr.models import build_model
from edgesr.models.checkpoint import LoadedModel, load_model, save_weights
from edgesr.models.ncnet import NCNet
from edgesr.models.quantized import float_graph, save_quantized
from edgesr.quant.calibrate import CalibrationBatch
from edgesr.quant.ptq import quantize_graph
from edgesr.quant.recipe import UNPROTECTED

SCALE = 2
DEAD = 5
Folder = Callable[..., Path]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    """Narrow NCNet with a channel of the second layer that has neither weights nor bias."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("run") / "best.safetensors"
    save_weights(path, build_model("ncnet", SCALE).state_dict(), model="ncnet", scale=SCALE)
    module = NCNet(SCALE, width=8).eval()
    with torch.no_grad():
        module.get_parameter("body.2.weight")[DEAD] = 0.0
        module.get_parameter("body.2.bias")[DEAD] = 0.0
    return replace(load_model(path), module=module)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """Write photographs: ``folder(name, seeds, change)``, each changed by a function."""
    root = tmp_path_factory.mktemp("images")

    def make(
        name: str,
        seeds: range,
        change: Callable[[NDArray[np.uint8]], NDArray[np.uint8]] = lambda picture: picture,
    ) -> Path:
        (root / name).mkdir()
        for seed in seeds:
            y, x = np.arange(48)[:, None, None], np.arange(64)[None, :, None]
            waves = np.sin(x / (3 + np.arange(3))) + np.cos(y / (4 + seed % 5))
            noise = np.random.default_rng(seed).normal(0, 6, (48, 64, 3))
            picture = np.clip(128 + 50 * waves + noise, 0, 255).astype(np.uint8)
            Image.fromarray(change(picture)).save(root / name / f"{name}{seed}.png")
        return root / name

    return make


@pytest.fixture(scope="module")
def report(loaded: LoadedModel, folder: Folder) -> CalibrationReport:
    request = CalibrationRequest(
        calibration=folder("train", range(4)),
        data=folder("kept", range(8, 10)),
        seeds=2,
        counts=(1, 2, 4),
    )
    return report_of(loaded, request)


def test_a_planted_dead_channel_is_named_and_counted(report: CalibrationReport) -> None:
    planted = [one for one in report.dead if (one.layer, one.channel) == ("body.2", DEAD)]
    assert [(one.kind, one.weightless, one.value) for one in planted] == [("zero", True, 0.0)]
    assert not planted[0].alive_held_out
    warning = next(text for text in report.warnings if "dead" in text)
    assert f"{len(report.dead)} of {report.channels} channels" in warning
    assert "body.2: channel" in warning
    assert "with no weights" in warning


def test_the_curve_has_the_asked_counts_and_the_whole_set_all_seeds(
    report: CalibrationReport,
) -> None:
    assert [point.images for point in report.curve] == [1, 2, 4]
    assert [one.seed for one in report.whole.trials] == [0, 1]
    assert report.curve[-1] == report.whole
    assert report.images == 4
    assert set(report.spreads) == {one.name for one in report.tensors}
    assert all(spread >= 0 for spread in report.spreads.values())
    assert report.spreads["lr"] == 0.0


def test_the_json_round_trips_and_says_what_was_found(report: CalibrationReport) -> None:
    found = document(report)
    again = json.loads(json.dumps(found, allow_nan=False))
    assert again == found
    assert again["schema"] == SCHEMA
    assert [point["images"] for point in again["curve"]["points"]] == [1, 2, 4]
    drops = [trial["drop"] for trial in again["stability"]["trials"]]
    assert again["stability"]["drop"]["mean"] == pytest.approx(np.mean(drops))
    assert again["stability"]["drop"]["std"] == pytest.approx(np.std(drops, ddof=1))
    assert again["stability"]["widest_scale"]["spread"] == max(report.spreads.values())
    assert again["warnings"] == list(report.warnings)


def test_the_page_stands_alone_and_holds_both_curves(report: CalibrationReport) -> None:
    page = html(replace(report, warnings=("<script>alert(1)</script>",)))
    assert page.count('<svg viewBox="0 0 560 320"') == 2
    assert page.count("<circle") == 6
    assert "<script" not in page
    assert "http://" not in page
    assert "https://" not in page
    assert "prefers-color-scheme:dark" in page


def test_dark_calibration_leaves_bright_images_outside_and_names_the_tensor(
    loaded: LoadedModel, folder: Folder
) -> None:
    request = CalibrationRequest(
        calibration=folder("dark", range(4), lambda picture: picture // 8),
        data=folder("bright", range(2), lambda picture: 255 - picture // 8),
        seeds=1,
        counts=(),
    )
    report = report_of(loaded, request)
    worst = min((one for one in report.tensors if not one.fixed), key=lambda one: one.coverage)
    assert worst.coverage < 0.9
    assert worst.farthest > 255
    assert worst.held_out_high > worst.grid_high
    warning = next(text for text in report.warnings if "outside the grids" in text)
    assert worst.name in warning
    assert f"{1 - worst.coverage:.2%}" in warning
    assert f"up to {worst.farthest:.0f} steps" in warning
    fixed = {one.name: one for one in report.tensors}["lr"]
    assert (fixed.coverage, fixed.farthest) == (1.0, 0.0)


def test_one_image_warns_with_its_number_and_counts_beyond_it_are_left_out(
    loaded: LoadedModel, folder: Folder
) -> None:
    request = CalibrationRequest(
        calibration=folder("one", range(1)),
        data=folder("other", range(8, 9)),
        seeds=1,
        counts=(1, 2, 8),
    )
    report = report_of(loaded, request)
    few = next(text for text in report.warnings if text.startswith("calibrated on 1 image "))
    assert f"({report.crops.count} crops), want 8 or more" in few
    assert [point.images for point in report.curve] == [1]
    assert report.skipped == (2, 8)
    assert any("left out: 2, 8" in text for text in report.warnings)
    assert report.recommended is None
    assert document(report)["stability"]["drop"]["std"] is None


def test_an_empty_folder_and_a_missing_network_are_errors(
    loaded: LoadedModel, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="empty"):
        calibration_report(loaded.path, CalibrationRequest(calibration=tmp_path / "empty"))
    with pytest.raises(CheckpointError, match="no such run"):
        calibration_report(tmp_path / "nothing", CalibrationRequest())


def test_a_run_whose_ranges_were_trained_is_refused(loaded: LoadedModel, tmp_path: Path) -> None:
    teacher = load_model(loaded.path)
    batch = CalibrationBatch(inputs=torch.linspace(0, 255, 3 * 256).reshape(1, 16, 16, 3))
    quantized = quantize_graph(float_graph(teacher.module, "ncnet"), [batch], UNPROTECTED).quantized
    save_quantized(tmp_path / "trained.safetensors", quantized, teacher, {})
    with pytest.raises(CheckpointError, match="trained and not calibrated"):
        calibration_report(tmp_path / "trained.safetensors", CalibrationRequest())


def _trials(images: int, *drops: float) -> Trials:
    return Trials(
        trials=tuple(
            Trial(images=images, seed=seed, drop=drop, psnr_to_float=50.0)
            for seed, drop in enumerate(drops)
        )
    )


@pytest.mark.parametrize(
    ("drops", "wanted"),
    [
        ({1: 0.5, 2: 0.2, 4: 0.013, 8: 0.009}, 4),
        ({1: 0.001, 2: 0.2, 4: 0.013, 8: 0.009}, 4),
        ({1: 0.001, 2: 0.002}, 1),
        ({1: 0.5, 2: 0.2}, None),
        ({}, None),
    ],
)
def test_recommended_is_the_smallest_count_that_stays_within_one_deviation(
    drops: Mapping[int, float], wanted: int | None
) -> None:
    whole = _trials(16, 0.005, 0.01, 0.015)  # mean 0.01, standard deviation 0.005
    curve = [_trials(images, drop) for images, drop in drops.items()]
    assert recommended(curve, whole) == wanted


def test_a_seed_spread_above_the_drop_warns_with_both_numbers() -> None:
    (warning,) = stability_warnings(_trials(8, -0.01, 0.012, 0.001))
    assert "drop is +0.0010 dB" in warning
    assert "0.0110 dB" in warning
    assert stability_warnings(_trials(8, 0.05, 0.06, 0.07)) == ()


def test_a_drop_that_export_refuses_warns_and_no_number_of_images_is_recommended() -> None:
    whole = _trials(8, 3.1, 3.2, 3.3)
    (warning,) = stability_warnings(whole)
    assert "3.200 dB with all 8 images, above the 0.1 dB" in warning
    assert recommended([_trials(1, 3.2), whole], whole) is None


def test_spread_is_the_range_of_scales_over_their_mean() -> None:
    found = scale_spreads([{"a": 1.0, "b": 2.0}, {"a": 1.5, "b": 2.0}, {"a": 2.0, "b": 2.0}])
    assert found == {"a": pytest.approx(1.0 / 1.5), "b": 0.0}


def test_a_plot_of_infinite_psnr_leaves_the_point_out() -> None:
    points = [PlotPoint(x=1, y=40.0, std=1.0), PlotPoint(x=2, y=float("inf"))]
    svg = curve_svg(
        points,
        level=PlotPoint(x=2, y=float("inf")),
        chosen=1,
        name="plot",
        title="t",
        y_title="dB",
    )
    assert svg.count("<circle") == 1
    assert "inf" not in svg
    assert "nan" not in svg
