"""The switches of one-pass training: branches, teachers, growing patches, frequencies."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from edgesr.cli import run
from edgesr.data.cache import DecodedImages
from edgesr.data.patches import PatchSampler, dihedral
from edgesr.errors import ConfigError, DataError
from edgesr.export.card import public_config
from edgesr.models import Form, build_model
from edgesr.models.checkpoint import FOLD_KEY, load_model, save_weights
from edgesr.models.quantized import float_graph
from edgesr.models.reparameterize import collapse
from edgesr.train.config import TrainConfig
from edgesr.train.features import FeatureReader, attention, attention_distance
from edgesr.train.image_teacher import ImageTeacher, load_image_teacher
from edgesr.train.losses import frequency_losses, frequency_weight_at
from edgesr.train.regression import Regression
from edgesr.train.state import load_state
from edgesr.train.switches import check_switches
from tests.train.running import stop_at
from tests.train.switched import SETTINGS as SHORT
from tests.train.switched import Photo, pairs, trained_events

SETTINGS = {**SHORT, "samples": 1}
EVERYTHING: dict[str, Any] = {
    "form": "training",
    "teacher_weight": 0.5,
    "self_ensemble": True,
    "feature_weight": 2.0,
    "patch_milestones": (3,),
    "patch_sizes": (12,),
    "final_loss_steps": 2,
    "final_frequency_weight": 0.3,
}


@pytest.fixture
def images(photo: Photo) -> DecodedImages:
    return pairs(photo, 2)


@pytest.fixture
def teacher(tmp_path: Path) -> Path:
    """A network with another width and depth than the student."""
    torch.manual_seed(1)
    module = build_model("edge_m", 2)
    with torch.no_grad():
        for value in module.parameters():
            value.add_(0.01 * torch.randn_like(value))
    save_weights(tmp_path / "teacher.safetensors", module.state_dict(), model="edge_m", scale=2)
    return tmp_path / "teacher.safetensors"


go = partial(trained_events, SETTINGS)


def test_branches_are_trained_and_every_file_holds_the_folded_network(
    tmp_path: Path, images: DecodedImages
) -> None:
    events = go(tmp_path / "r", images, form="training")
    state = load_state(tmp_path / "r")
    branched = build_model("edge_s", 2, "training")
    branched.load_state_dict(state.averages)
    loaded = load_model(tmp_path / "r" / "last.safetensors")
    folded = collapse(branched).module.state_dict()
    assert folded.keys() == loaded.module.state_dict().keys()
    for name, value in loaded.module.state_dict().items():
        torch.testing.assert_close(value, folded[name])
    assert float(loaded.metadata[FOLD_KEY]) < 1e-9
    figures = [event for event in events if event["event"] == "validate"]
    assert [0 <= event[FOLD_KEY] < 1e-9 for event in figures] == [True, True]
    count = sum(p.numel() for p in loaded.module.parameters())
    assert sum(p.numel() for p in branched.parameters()) > 10 * count
    assert float_graph(loaded.module, "edge_s")  # what quantization-aware training starts from


def test_a_resumed_run_with_every_switch_ends_with_the_same_bits(
    tmp_path: Path, images: DecodedImages, teacher: Path
) -> None:
    changes = {**EVERYTHING, "teacher": str(teacher)}

    whole = go(tmp_path / "whole", images, **changes)
    go(tmp_path / "parts", images, stop_at(4), **changes)
    assert load_state(tmp_path / "parts").step == 4
    go(tmp_path / "parts", images, **changes)
    for name in ("last.safetensors", "best.safetensors"):
        first, second = ((tmp_path / part / name).read_bytes() for part in ("whole", "parts"))
        assert first == second
    shown = [event["loss_parts"] for event in whole if event["event"] == "train"]
    assert [sorted(one) for one in shown] == [
        ["feature", "pixel", "teacher"],
        ["feature", "pixel", "teacher"],
        ["feature", "frequency", "pixel", "teacher"],
    ]
    metadata = load_model(tmp_path / "whole").metadata
    assert metadata["teacher"] == "edge_m x2"
    assert len(metadata["teacher_sha256"]) == 64


def test_the_loss_is_the_weighted_sum_of_its_parts(teacher: Path, images: DecodedImages) -> None:
    config = TrainConfig(**{**SETTINGS, **EVERYTHING, "teacher": str(teacher)})
    objective = Regression(config=config, teacher=load_image_teacher(config))
    network = objective.build()
    lr, hr = (
        torch.from_numpy(np.stack(some)).permute(0, 3, 1, 2).float()
        for some in (images.lr, images.hr)
    )
    loss = float(objective.loss(network, lr, hr, 5).detach())
    parts = objective.report()["loss_parts"]
    weighted = parts["pixel"] + 0.5 * parts["teacher"] + 2 * parts["feature"]
    assert loss == pytest.approx(weighted + 0.3 * parts["frequency"], rel=1e-5)
    sr = network(lr).detach()
    assert parts["pixel"] == pytest.approx(float((sr - hr).square().mean()), rel=1e-5)
    assert parts["frequency"] == pytest.approx(float(frequency_losses(sr, hr).mean()), rel=1e-5)


class _Crooked(nn.Module):
    """Enlarges by 2 and looks to the right, so that turning the image changes the result."""

    def forward(self, lr: torch.Tensor) -> torch.Tensor:
        mixed = lr + 0.25 * lr.roll(1, 3)
        return mixed.repeat_interleave(2, 2).repeat_interleave(2, 3)


def test_the_self_ensemble_is_the_mean_over_the_eight_symmetries(
    teacher: Path, photo: Photo
) -> None:
    loaded = load_model(teacher)
    crooked = ImageTeacher(loaded=type(loaded)(**{**vars(loaded), "module": _Crooked()}), sha256="")
    picture = photo(8, 8)
    lr = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
    wanted = np.zeros((16, 16, 3))
    for symmetry in range(8):
        turned = torch.from_numpy(dihedral(picture, symmetry).copy()).permute(2, 0, 1)[None].float()
        made = _Crooked()(turned)[0].permute(1, 2, 0).numpy()
        back = next(
            one for one in range(8) if (dihedral(dihedral(picture, symmetry), one) == picture).all()
        )
        wanted += dihedral(made, back) / 8

    found = crooked.teach(lr, self_ensemble=True)[0][0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    alone = crooked.teach(lr, self_ensemble=False)[0]
    assert torch.equal(alone, _Crooked()(lr))


def test_attention_ignores_strength_and_number_of_channels() -> None:
    torch.manual_seed(0)
    features = torch.rand(2, 5, 6, 7)
    doubled = 3 * torch.cat([features, features], 1)
    assert float(attention_distance([features], [doubled])) < 1e-5
    assert float(attention_distance([features], [torch.rand(2, 8, 6, 7)])) > 0.01
    torch.testing.assert_close(attention(features).square().mean((1, 2, 3)), torch.ones(2))


def test_dead_features_have_a_finite_gradient() -> None:
    dead = torch.zeros(1, 4, 5, 5, requires_grad=True)
    attention_distance([dead], [torch.rand(1, 2, 5, 5)]).backward()  # type: ignore[no-untyped-call]
    assert dead.grad is not None
    assert bool(torch.isfinite(dead.grad).all())


@pytest.mark.parametrize(
    "name", ["ncnet", "xlsr", "sesr_m3", "quicksrnet_s", "ecbsr_m4c8", "etds_t"]
)
def test_hidden_layers_of_every_kind_of_network_are_read(name: str) -> None:
    forms: tuple[Form, ...] = ("deploy",) if name == "xlsr" else ("deploy", "training")
    for form in forms:
        network = build_model(name, 2, form)
        reader = FeatureReader(training_only=True)
        reader.attach(network)
        network.train()(torch.rand(1, 3, 8, 8))
        taken = reader.take()
        assert [one.shape[2:] for one in taken] == [(8, 8)] * 3
        assert min(one.shape[1] for one in taken) > 3
        network.eval()(torch.rand(1, 3, 8, 8))
        assert reader.take() == []
        if form == "training":
            collapse(network)
            assert reader.take() == []


def test_patches_grow_at_their_milestones(images: DecodedImages) -> None:
    sampler = PatchSampler(
        images=images,
        patch_size=8,
        patch_milestones=(2, 5),
        patch_sizes=(12, 16),
        batch_size=2,
        seed=0,
        sampling="area",
    )
    sides = [sampler.batch(step)[0].shape[1] for step in range(7)]
    assert sides == [8, 8, 12, 12, 12, 16, 16]
    assert sampler.batch(6)[1].shape == (2, 32, 32, 3)
    same = PatchSampler(images=images, patch_size=16, batch_size=2, seed=0, sampling="area")
    np.testing.assert_array_equal(sampler.batch(6)[0], same.batch(6)[0])
    with pytest.raises(DataError, match="smaller than a patch of 24"):
        PatchSampler(
            images=images,
            patch_size=8,
            patch_milestones=(1,),
            patch_sizes=(24,),
            batch_size=1,
            seed=0,
        )


def test_frequencies_count_in_the_last_steps_alone() -> None:
    config = TrainConfig(
        steps=10, final_loss_steps=3, frequency_weight=0.1, final_frequency_weight=0.4
    )
    assert [frequency_weight_at(config, step) for step in (0, 6, 7, 9)] == [0.1, 0.1, 0.4, 0.4]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "xlsr", "form": "training"}, "'xlsr' has no training form"),
        ({"scale": 5}, "'edge_s' has no scale 5; choose one of 2, 3, 4"),
        ({"self_ensemble": True}, r"self_ensemble = true: there is no teacher.*--teacher"),
        ({"feature_weight": 1.0}, r"feature_weight = 1.0: there is no teacher"),
        ({"teacher": "t", "teacher_weight": 0.0}, "teaches nothing"),
        (
            {"teacher": "t", "teacher_weight": 0.0, "feature_weight": 1.0, "self_ensemble": True},
            "self_ensemble = true: changes the teacher's images",
        ),
        ({"teacher": "t", "feature_weight": 1.0, "compile": True}, "compile = true"),
        ({"final_frequency_weight": 1.0}, "final_loss_steps = 0"),
        ({"qat": True, "form": "training"}, "form = training: qat = true trains integers"),
        ({"qat": True, "teacher": "t"}, "teacher = t: qat = true"),
        ({"model": "resshift_px_s", "form": "training"}, "resshift_px_s is a denoiser"),
        ({"patch_milestones": (1,)}, "patch_sizes has 0 values for 1 patch_milestones"),
        (
            {"patch_milestones": (5, 3), "patch_sizes": (9, 9)},
            r"patch_milestones = \[5, 3\]: want steps that rise",
        ),
        ({"patch_milestones": (5,), "patch_sizes": (4,)}, "patch_sizes = 4: want at least 8"),
    ],
)
def test_switches_that_contradict_each_other_are_refused(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        check_switches(TrainConfig(**{**SETTINGS, **changes}))


def test_a_diverged_network_with_branches_is_told_apart_from_a_wrong_fold(
    tmp_path: Path, images: DecodedImages
) -> None:
    objective = Regression(config=TrainConfig(**SETTINGS, form="training"))
    network = objective.build().eval()
    with torch.no_grad():
        next(network.parameters()).fill_(torch.nan)
    with pytest.raises(DataError, match="training diverged"):
        objective.validate(network, images, torch.device("cpu"))
    with pytest.raises(DataError, match="training diverged"):
        objective.save(tmp_path / "w.safetensors", network, {})
    assert not (tmp_path / "w.safetensors").exists()


def command(folder: Path, runs: Path, *more: str) -> list[str]:
    keys = ("model", "scale", "steps", "batch_size", "patch_size", "val_every", "log_every")
    flags = [f"--{key.replace('_', '-')}={SETTINGS[key]}" for key in keys]
    where = [f"--data={folder}", f"--runs={runs}", "--name=r", "--val-images=1", "--samples=0"]
    return ["train", *flags, *where, *more]


def test_a_teacher_is_named_checked_and_stays_out_of_the_card(
    tmp_path: Path,
    save_photo: Photo,
    teacher: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for index in range(3):
        save_photo(tmp_path / "set" / f"{index}.png", 40, 48, seed=index)
    runs = tmp_path / "runs"
    base = command(tmp_path / "set", runs)

    def refused(*flags: str) -> str:
        assert run([*base, *flags]) == 3
        assert not runs.exists()
        return capsys.readouterr().err.splitlines()[-1]

    assert "enlarges x3, but scale = 2; name a teacher of x2" in refused("--teacher", "ncnet_x3")
    assert "teacher = /no/such: " in refused("--teacher", "/no/such")
    teacher.with_suffix(".pth").write_bytes(b"no weights")
    assert "no readable .pth" in refused("--teacher", str(teacher.with_suffix(".pth")))
    monkeypatch.chdir(tmp_path)
    assert run([*base, "--teacher", teacher.name, "--form", "training"]) == 0
    assert f'teacher = "{teacher}"' in (runs / "r" / "config.toml").read_text()
    assert "teacher" not in public_config(runs / "r")
    events = [json.loads(line) for line in (runs / "r" / "log.jsonl").read_text().splitlines()]
    assert any("teacher" in event.get("loss_parts", {}) for event in events)
    assert any(FOLD_KEY in event for event in events)
    capsys.readouterr()

    other = build_model("edge_m", 2)
    save_weights(teacher, other.state_dict(), model="edge_m", scale=2)
    assert run(["train", "--resume", str(runs / "r")]) == 3
    assert "began with a file with sha256" in capsys.readouterr().err
    qat = ["--qat", "--from", str(runs / "r"), f"--runs={tmp_path / 'q'}"]
    started = [flag for flag in base if not flag.startswith("--runs")]
    assert run([*started, *qat]) == 0  # the folded network is what it starts from
