"""Denoisers of one bit in training: styles, gradients that sharpen, features of a float twin."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgesr.binary.conv import BinaryConv2d
from edgesr.binary.distillation import space_patched_loss
from edgesr.data.cache import DecodedImages
from edgesr.diffusion.conditioned import ConditionedDenoiser, enlarge
from edgesr.diffusion.ranges import from_grey_levels
from edgesr.errors import CheckpointError, ConfigError
from edgesr.imresize import downscale
from edgesr.models.centre import load_centre
from edgesr.models.checkpoint import read_weights
from edgesr.models.denoiser_files import Schedule, load_denoiser, save_denoiser
from edgesr.models.denoisers import build_denoiser
from edgesr.train.batches import to_float
from edgesr.train.config import TrainConfig
from edgesr.train.denoiser_config import path_of, schedule_of
from edgesr.train.diffusion import Diffusion
from edgesr.train.float_twin import TWIN_KEY, load_twin
from edgesr.train.loop import TrainResult
from edgesr.train.switches import check_switches
from edgesr.train.validation_loss import validation_loss
from edgesr.zoo.find import find_weights
from tests.train.running import stop_at, train_in

Photo = Callable[..., Any]
CONFIG = TrainConfig(
    model="resshift_px_s_1bit",
    scale=2,
    steps=4,
    batch_size=2,
    patch_size=8,
    loss="l2",
    learning_rate=1e-3,
    precision="fp32",
    val_every=4,
    save_every=2,
    log_every=1,
    samples=0,
)


@pytest.fixture
def images(photo: Photo) -> DecodedImages:
    hr = tuple(photo(32, 40, seed) for seed in range(2))
    lr = tuple(downscale(one, 2) for one in hr)
    return DecodedImages(scale=2, names=("a", "b"), lr=lr, hr=hr, sha256=("", ""))


def write_twin(path: Path, model: str = "resshift_px_s", **changes: Any) -> Path:
    torch.manual_seed(1)
    network = build_denoiser(model, changes.get("scale", 2))
    schedule: Schedule = changes.get("schedule", schedule_of(CONFIG))
    save_denoiser(
        path,
        network.state_dict(),
        model=model,
        scale=changes.get("scale", 2),
        schedule=schedule,
        prediction="residual",
        metadata=changes.get("metadata"),
    )
    return path


@pytest.fixture
def taught(tmp_path: Path) -> TrainConfig:
    twin = write_twin(tmp_path / "twin.safetensors")
    return replace(CONFIG, teacher=str(twin), spd_weight=0.01)


def go(
    folder: Path,
    images: DecodedImages,
    config: TrainConfig,
    listen: Callable[[dict[str, Any]], None] = lambda _event: None,
) -> TrainResult:
    check_switches(config)
    return train_in(
        folder,
        config,
        images,
        lambda rank: Diffusion(config=config, twin=load_twin(config, None), rank=rank),
        listen,
    )


def test_a_run_with_everything_resumes_to_the_same_bits_and_its_file_says_the_style(
    tmp_path: Path, images: DecodedImages, taught: TrainConfig
) -> None:
    config = replace(taught, binary_style="irnet", dream=True)

    go(tmp_path / "whole", images, config)
    assert go(tmp_path / "parts", images, config, stop_at(2)).interrupted
    go(tmp_path / "parts", images, config)
    whole, parts = (
        read_weights(tmp_path / name / "last.safetensors")[0] for name in ("whole", "parts")
    )
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[key], parts[key]) for key in whole)
    loaded = load_denoiser(tmp_path / "whole")
    assert loaded.style.name == "irnet"
    layers = [part for part in loaded.module.modules() if isinstance(part, BinaryConv2d)]
    assert {part.style.weights for part in layers} == {"irnet"}


def test_annealed_gradients_sharpen_with_the_steps() -> None:
    config = replace(CONFIG, binary_style="irnet", steps=10)
    objective = Diffusion(config=config)
    network = objective.build()
    lr, hr = torch.rand(2, 3, 8, 8) * 255, torch.rand(2, 3, 16, 16) * 255
    norms = []
    for step in (0, 5, 9):
        network.zero_grad()
        torch.nn.init.normal_(network.get_parameter("core.head.weight"), std=0.05)
        objective.loss(network, lr, hr, step).backward()  # type: ignore[no-untyped-call]
        assert {layer.progress for layer in objective.annealed} == {step / 10}
        norms.append(float(objective.annealed[0].weight.grad.abs().mean()))  # type: ignore[union-attr]
    assert len(objective.annealed) == 8
    assert len(set(norms)) == 3
    assert Diffusion(config=CONFIG).annealed == []


def test_the_log_has_the_parts_and_the_loss_is_their_weighted_sum(
    tmp_path: Path, images: DecodedImages, taught: TrainConfig
) -> None:
    events: list[dict[str, Any]] = []
    go(tmp_path / "run", images, taught, events.append)
    for event in events:
        if event["event"] == "train":
            parts = event["loss_parts"]
            whole = parts["prediction"] + 0.01 * 127.5**2 * parts["spd"]
            assert event["loss"] == pytest.approx(whole, rel=1e-5)
            assert parts["spd"] > 0.0
    metadata = read_weights(tmp_path / "run" / "last.safetensors")[1]
    assert metadata["twin"] == "resshift_px_s x2"
    assert len(metadata[TWIN_KEY]) == 64
    assert "teacher_sha256" not in metadata  # which is a distilled student's


def test_the_part_of_features_is_that_of_both_networks_on_the_same_noisy_images(
    taught: TrainConfig,
) -> None:
    twin = load_twin(taught, None)
    assert twin is not None
    objective = Diffusion(config=taught, twin=twin)
    network = objective.build()
    shown: list[tuple[torch.Tensor, ...]] = []

    def forward(*inputs: torch.Tensor) -> torch.Tensor:
        shown.append(inputs)
        made: torch.Tensor = network(*inputs)
        return made

    lr, hr = torch.rand(2, 3, 8, 8) * 255, torch.rand(2, 3, 16, 16) * 255
    objective.loss(forward, lr, hr, 0).backward()  # type: ignore[no-untyped-call]
    found = objective.report()["loss_parts"]["spd"]
    features: list[list[torch.Tensor]] = []
    for one in (network, twin.loaded.module):
        seen: list[torch.Tensor] = []
        hooks = [
            block.register_forward_hook(lambda *made, at=seen: at.append(made[2]))
            for block in one.core.blocks()  # type: ignore[operator, union-attr]
        ]
        one(*shown[0])
        for hook in hooks:
            hook.remove()
        features.append(seen)
    assert found == pytest.approx(float(space_patched_loss(*features).detach()), rel=1e-5)
    assert all(value.grad is None for value in twin.loaded.module.parameters())


def test_the_log_of_plain_training_has_no_parts(tmp_path: Path, images: DecodedImages) -> None:
    go(tmp_path / "run", images, CONFIG)
    lines = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    assert not any("loss_parts" in json.loads(line) for line in lines)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "resshift_px_m"}, "is a resshift_px_m x2, but the float twin of"),
        ({"scale": 4}, "is a resshift_px_s x4, but the float twin of resshift_px_s_1bit x2"),
        (
            {"schedule": Schedule(name="resshift", parameters={"num_steps": 5})},
            "set diffusion_path",
        ),
        ({"metadata": {"distilled_by": "sinsr"}}, "is distilled"),
    ],
)
def test_a_twin_that_cannot_teach_is_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    path = write_twin(tmp_path / "other.safetensors", **changes)
    with pytest.raises(ConfigError, match=message):
        load_twin(replace(CONFIG, teacher=str(path), spd_weight=1.0), None)


def test_a_network_without_a_twin_is_told_so() -> None:
    config = replace(CONFIG, model="resshift_px_s", teacher="any")
    with pytest.raises(ConfigError, match="resshift_px_s has no float twin to learn from; drop"):
        load_twin(config, None)


def test_a_twin_with_another_centre_or_file_is_refused(tmp_path: Path, taught: TrainConfig) -> None:
    centre = load_centre(find_weights("ncnet_x3"))
    with pytest.raises(
        ConfigError, match=r"its centre is bicubic, but that of this run is a ncnet"
    ):
        load_twin(taught, centre)
    with pytest.raises(CheckpointError, match="no such run"):
        load_twin(replace(taught, teacher=str(tmp_path / "none")), None)
    run = tmp_path / "run"
    run.mkdir()
    save_denoiser(
        run / "last.safetensors",
        build_denoiser(CONFIG.model, 2).state_dict(),
        model=CONFIG.model,
        scale=2,
        schedule=schedule_of(CONFIG),
        prediction="residual",
        metadata={TWIN_KEY: "0" * 64},
    )
    with pytest.raises(ConfigError, match="put the first file back"):
        load_twin(taught, None, resume=run)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"spd_weight": 1.0}, "no float twin to learn from; drop --spd-weight or name a trained"),
        ({"teacher": "x"}, "spd_weight = 0, so it teaches nothing"),
        ({"teacher": "x", "spd_weight": 1.0, "compile": True}, "reads hidden layers"),
        ({"binary_style": "irnet", "compile": True}, "change from step to step"),
        ({"binary_style": "ternary"}, "'ternary' is unknown"),
        ({"binary_style": "xnor", "binary_groups": 4}, "no shift or activation"),
        ({"model": "bidiffsr_edge", "spd_weight": 1.0}, "has no float twin"),
        ({"model": "resshift_px_s", "binary_style": "xnor"}, "no convolution of one bit"),
        ({"model": "resshift_px_s", "teacher": "x"}, "has no float twin to learn from"),
        ({"model": "ncnet", "binary_groups": 1}, "no convolution of one bit"),
        ({"form": "training"}, "is a denoiser"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        check_switches(replace(CONFIG, **changes))


def test_the_validation_loss_of_a_fresh_network_is_the_power_of_the_residual(
    images: DecodedImages,
) -> None:
    """Its prediction is nothing, so noise and state do not count."""
    network = build_denoiser("resshift_px_s", 2).eval()
    denoiser = ConditionedDenoiser(network, path_of(CONFIG))
    powers = []
    for lr, hr in zip(images.lr, images.hr, strict=True):
        small, large = (
            from_grey_levels(to_float(torch.from_numpy(np.array(one))[None], torch.device("cpu")))
            for one in (lr, hr)
        )
        powers.append(float(((large - enlarge(small, 2)) * 127.5).square().mean()))
    found = validation_loss(denoiser, images, torch.device("cpu"), loss="l2")
    assert found == pytest.approx(float(np.mean(powers)), rel=1e-5)
