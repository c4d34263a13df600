"""``edgesr ablate``: one run a switch at equal budget, kept after each, gone on with."""

import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgesr.cli import run
from edgesr.data.cache import DecodedImages
from edgesr.errors import ConfigError, DivergenceError
from edgesr.imresize import downscale
from edgesr.train import ablation, ablation_rows
from edgesr.train.ablation import BASE, ablate, base_config, new_document, rows_of, run_row
from edgesr.train.config import TrainConfig
from edgesr.train.loop import train
from edgesr.train.sources import TrainingImages
from edgesr.train.switches import check_switches

Photo = Callable[..., Any]
CONFIG = TrainConfig(
    model="edge_s", scale=3, steps=4, batch_size=2, patch_size=16, precision="fp32", log_every=2
)


@pytest.fixture
def images(photo: Photo) -> TrainingImages:
    hr = tuple(photo(90, 96, seed) for seed in range(2))
    lr = tuple(downscale(one, 3) for one in hr)
    decoded = DecodedImages(scale=3, names=("a", "b"), lr=lr, hr=hr, sha256=("", ""))
    return TrainingImages(description="two", is_demo=False, train=decoded, held_out=decoded)


def test_every_row_is_the_base_and_its_switch_and_settings_that_go_together() -> None:
    rows = rows_of(replace(CONFIG, teacher="ncnet_x3"))
    assert rows[0].name == BASE
    assert len({row.name for row in rows}) == len(rows) == 18
    base = base_config(CONFIG)
    configs = [replace(base, **row.changes) for row in rows]
    for config in configs:
        check_switches(config)
        assert (config.steps, config.batch_size) == (4, 2)
    assert len(set(configs)) == len(rows)
    everything = configs[-1]
    assert everything.form == "training"
    assert everything.self_ensemble
    assert everything.feature_weight
    assert everything.final_frequency_weight
    assert everything.patch_sizes
    assert everything.final_loss == "l2"
    assert [row for row in rows_of(CONFIG) if "teacher's" in row.name] == []
    assert "branches" not in [row.name for row in rows_of(replace(CONFIG, model="xlsr"))]


@pytest.mark.parametrize("side", [16, 32, 48, 64])
def test_growing_patches_see_about_as_many_pixels(side: int) -> None:
    config = replace(CONFIG, patch_size=side, steps=1000)
    (row,) = [row for row in rows_of(config) if row.name == "growing patches"]
    grown = ablation._pixels(replace(base_config(config), **row.changes))
    assert grown == pytest.approx(1000 * 2 * side**2, rel=0.05)
    assert ablation._pixels(config) == 1000 * 2 * side**2


def test_a_row_repeats_exactly_and_says_what_it_changed(images: TrainingImages) -> None:
    branches = next(row for row in rows_of(CONFIG) if row.name == "branches")
    one, two = (run_row(branches, CONFIG, seed=3, images=images, teacher=None) for _ in range(2))
    assert {**one, "seconds": 0} == {**two, "seconds": 0}
    assert one["changes"] == {"form": "training"}
    assert 0 <= one["fold_max_abs_difference"] < 1e-9
    assert np.isfinite(one["psnr"])


def test_a_stopped_ablation_goes_on(
    images: TrainingImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[tuple[str, int]] = []

    def pretend(row: Any, _config: TrainConfig, *, seed: int, **_: Any) -> dict[str, Any]:
        made.append((row.name, seed))
        if len(made) == 3:
            raise KeyboardInterrupt
        return {"row": row.name, "seed": seed, "psnr": 30.0}

    monkeypatch.setattr(ablation, "run_row", pretend)
    kept: list[dict[str, Any]] = [new_document(CONFIG, images, None)]

    def go() -> dict[str, Any]:
        return ablate(CONFIG, kept[-1], seeds=(0, 1), images=images, teacher=None, keep=kept.append)

    with pytest.raises(KeyboardInterrupt):
        go()
    assert len(kept[-1]["results"]) == 2
    document = go()
    names = [row.name for row in rows_of(CONFIG)]
    assert [(one["row"], one["seed"]) for one in document["results"]] == [
        (name, seed) for name in names for seed in (0, 1)
    ]
    assert len(made) == 2 * len(names) + 1


def test_a_denoiser_has_rows_of_its_own() -> None:
    config = replace(CONFIG, model="resshift_px_s", scale=4, steps=8)
    rows = rows_of(config)
    assert [row.name for row in rows] == [BASE, "DREAM", "DREAM, 3/4 of the steps", "frequencies"]
    assert rows[2].changes == {"dream": True, "steps": 6, "val_every": 6, "save_every": 6}
    assert rows_of(config, ["dream"]) == rows[:3]
    with pytest.raises(ConfigError, match="--only 'SPD': no such row; want one of DREAM; DREAM, 3"):
        rows_of(config, ["SPD"])
    with pytest.raises(ConfigError, match="drop --qat"):
        rows_of(replace(config, distill="sinsr"))
    with pytest.raises(ConfigError, match="model = net: is unknown"):
        rows_of(replace(config, model="net"))


def test_a_network_of_one_bit_has_groups_published_weights_and_styles_on_request() -> None:
    config = replace(CONFIG, model="resshift_px_s_1bit", scale=4, teacher="twin", spd_weight=0.1)
    names = [row.name for row in rows_of(config)]
    spd = ["SPD, weight 0.01", "SPD, weight 4", "SPD, weight 0.1"]
    assert names[4:] == ["one group (no TaR/TaA)", *spd]
    styles = rows_of(config, ["STYLE"])
    # BI-DiffSR's is the network's own and BBCU's that of one group
    baselines = ("reactnet", "irnet", "dorefa", "xnor", "bnn", "bidm")
    assert [row.name for row in styles[1:]] == [f"style {name}" for name in baselines]
    for row in (*rows_of(config), *styles):
        check_switches(replace(base_config(config), **row.changes))
    assert "SPD, weight 4" not in [row.name for row in rows_of(replace(config, teacher=None))]


def test_a_row_of_a_denoiser_has_the_loss_of_held_out_images(photo: Photo) -> None:
    hr = (photo(32, 40, 0),)
    decoded = DecodedImages(
        scale=2, names=("a",), lr=tuple(downscale(one, 2) for one in hr), hr=hr, sha256=("",)
    )
    images = TrainingImages(description="one", is_demo=False, train=decoded, held_out=decoded)
    config = replace(CONFIG, model="resshift_px_s_1bit", scale=2, steps=2, patch_size=8)
    rows = {row.name: row for row in rows_of(config)}
    base, one = (
        run_row(rows[name], config, seed=0, images=images, teacher=None)
        for name in (BASE, "one group (no TaR/TaA)")
    )
    assert base["changes"] == {}
    assert one["changes"] == {"binary_groups": 1}
    assert np.isfinite([base["psnr"], base["validation_loss"]]).all()
    assert base["validation_loss"] != one["validation_loss"]


def test_a_run_that_diverges_is_a_result_without_figures(
    images: TrainingImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    def diverge(*_: Any, **__: Any) -> Any:
        raise DivergenceError("training diverged: the loss is nan at step 2")

    monkeypatch.setattr(ablation, "train", diverge)
    found = run_row(rows_of(CONFIG)[0], CONFIG, seed=0, images=images, teacher=None)
    assert found["psnr"] is None
    assert found["diverged"] == "training diverged: the loss is nan at step 2"


def test_the_command_writes_results_without_folders_and_prints_the_table(
    tmp_path: Path,
    save_photo: Photo,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for index in range(3):
        save_photo(tmp_path / "set" / f"{index}.png", 90, 96, seed=index)
    rows = (ablation.Row(name=BASE), ablation.Row(name="one", changes={"ema_decay": 0.0}))
    for module in (ablation, ablation_rows):
        monkeypatch.setattr(module, "all_rows", lambda _config: rows)
    output = tmp_path / "ablation_x.json"
    flags = ["--model=edge_s", "--scale=3", "--batch-size=2", "--patch-size=16", "--val-images=1"]
    flags += [f"--data={tmp_path / 'set'}", f"--output={output}", "--seeds", "0", "1"]
    assert run(["ablate", *flags, "--steps=2"]) == 0
    shown = capsys.readouterr()
    assert shown.out.splitlines()[2].startswith("| all off |")
    assert "4 of 4 runs done" in shown.err
    assert "rows with a teacher are left out" in shown.err
    text = output.read_text()
    assert str(tmp_path) not in text
    document = json.loads(text)
    assert document["data"]["demo"] is False
    assert len(document["results"]) == 4
    assert document["environment"]["packages"]["torch"]
    assert run(["ablate", *flags, "--steps=3"]) == 3
    assert "holds an ablation with other settings" in capsys.readouterr().err
    assert run(["ablate", *flags, "--steps=2", "--seeds", "0", "0"]) == 2
    assert output.read_text() == text


def test_an_interrupted_row_is_no_result(
    images: TrainingImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = train

    def interrupt(*arguments: Any, **options: Any) -> Any:
        def stop(_event: dict[str, Any]) -> None:
            os.kill(os.getpid(), signal.SIGINT)

        return made(*arguments, **{**options, "listen": stop})

    monkeypatch.setattr(ablation, "train", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run_row(rows_of(CONFIG)[0], CONFIG, seed=0, images=images, teacher=None)


def test_rows_fit_the_settings_before_anything_is_trained() -> None:
    compiled = replace(CONFIG, compile=True)
    for row in rows_of(compiled):
        check_switches(replace(base_config(compiled), **row.changes))
    with pytest.raises(ConfigError, match="start_from = x: rows start fresh"):
        rows_of(replace(CONFIG, start_from=Path("x")))
    stepped = replace(CONFIG, schedule="step", milestones=(2,), rates=(1e-3, 1e-4))
    (muon,) = (row for row in rows_of(stepped) if row.name == "Muon")
    assert muon.changes["rates"] == pytest.approx((3e-3, 3e-4))
