"""A denoiser trains on what a regression network leaves over, and takes that network along."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from edgesr.cli import run
from edgesr.data.cache import DecodedImages
from edgesr.diffusion.centre import RegressionCentre
from edgesr.diffusion.conditioned import enlarge
from edgesr.diffusion.ranges import from_grey_levels
from edgesr.errors import CheckpointError, ConfigError
from edgesr.imresize import downscale
from edgesr.models import build_model
from edgesr.models.centre import CentreNetwork, load_centre
from edgesr.models.checkpoint import read_weights, save_weights
from edgesr.models.denoiser_files import load_denoiser
from edgesr.train.batches import to_float
from edgesr.train.centre import find_centre
from edgesr.train.config import TrainConfig
from edgesr.train.diffusion import Diffusion
from edgesr.train.distill import OneStep
from edgesr.train.loop import TrainResult, train
from edgesr.train.run import Run, go, open_run
from edgesr.train.samples import sample_grid
from edgesr.train.teacher import load_teacher
from edgesr.upscalers import load_upscaler, upscale_image
from tests.train.running import stop_at

SETTINGS: dict[str, Any] = {
    "model": "resshift_px_s",
    "scale": 2,
    "steps": 6,
    "batch_size": 2,
    "patch_size": 8,
    "val_images": 1,
    "loss": "l2",
    "precision": "fp32",
    "val_every": 3,
    "save_every": 3,
    "log_every": 1,
    "samples": 0,
}


@pytest.fixture
def blocks() -> DecodedImages:
    """Pictures of flat squares, of which nearest enlargement lacks less than bicubic."""
    levels = np.random.default_rng(0).integers(0, 256, (2, 6, 8, 3))
    hr = tuple(np.kron(one, np.ones((8, 8, 1))).astype(np.uint8) for one in levels)
    lr = tuple(downscale(one, 2) for one in hr)
    return DecodedImages(scale=2, names=("a", "b"), lr=lr, hr=hr, sha256=("", ""))


def write_network(path: Path, *, scale: int = 2, seed: int = 0) -> Path:
    """Write NCNet as it starts: nearly nearest enlargement."""
    torch.manual_seed(seed)
    state = build_model("ncnet", scale).state_dict()
    save_weights(path, state, model="ncnet", scale=scale)
    return path


@pytest.fixture
def network(tmp_path: Path) -> Path:
    return write_network(tmp_path / "ncnet.safetensors")


@pytest.fixture
def folder(tmp_path: Path, save_photo: Callable[..., Path]) -> Path:
    for index in range(3):
        save_photo(tmp_path / "set" / f"{index}.png", 40, 48, seed=index)
    return tmp_path / "set"


def trained(
    folder: Path, images: DecodedImages, centre: CentreNetwork | None, **changes: Any
) -> tuple[TrainResult, list[dict[str, Any]]]:
    folder.mkdir(exist_ok=True)
    config = TrainConfig(**{**SETTINGS, **changes})
    events: list[dict[str, Any]] = []
    result = train(
        config,
        folder,
        images=images,
        held_out=images,
        metadata={},
        objective=lambda rank: Diffusion(config=config, centre=centre, rank=rank),
        listen=events.append,
    )
    return result, events


def as_batch(images: DecodedImages, which: str) -> torch.Tensor:
    stacked = torch.from_numpy(np.stack(getattr(images, which)))
    return to_float(stacked, torch.device("cpu"))


def test_the_residual_shrinks_and_the_loss_with_it(blocks: DecodedImages, network: Path) -> None:
    lr, hr = as_batch(blocks, "lr"), as_batch(blocks, "hr")
    small, x0 = from_grey_levels(lr), from_grey_levels(hr)
    centre = load_centre(network)
    ours, bicubic = (
        float((x0 - made).square().mean()) * 127.5**2
        for made in (RegressionCentre(centre)(small), enlarge(small, 2))
    )
    assert ours < 0.8 * bicubic
    config = TrainConfig(**SETTINGS)
    for known, residual in ((centre, ours), (None, bicubic)):
        objective = Diffusion(config=config, centre=known)
        loss = objective.loss(objective.build(), lr, hr, 0).item()
        assert loss == pytest.approx(residual, rel=1e-4)  # a fresh network predicts no residual


def test_the_run_is_used_with_its_centre(
    tmp_path: Path, blocks: DecodedImages, network: Path
) -> None:
    centre = load_centre(network)
    result, _ = trained(tmp_path / "run", blocks, centre, steps=1)
    network.unlink()
    loaded = load_denoiser(tmp_path / "run").centre
    assert loaded is not None
    assert loaded.sha256 == centre.sha256
    levels = [load_upscaler(tmp_path / "run")(one) for one in blocks.lr]
    errors = [np.square(a.astype(float) - b) for a, b in zip(levels, blocks.hr, strict=True)]
    found = np.mean([10 * np.log10(255**2 / one.mean()) for one in errors])
    assert found == pytest.approx(result.best_psnr, abs=0.02)


def test_a_photograph_is_the_same_in_tiles(
    tmp_path: Path, blocks: DecodedImages, network: Path, photo: Callable[..., NDArray[np.uint8]]
) -> None:
    trained(tmp_path / "run", blocks, load_centre(network), steps=2)
    upscaler, lr = load_upscaler(tmp_path / "run"), photo(57, 75)
    whole, tiled = upscaler(lr), upscale_image(upscaler, lr, tile=56)
    difference = np.abs(whole.astype(int) - tiled)
    assert difference.max() <= 1
    assert (difference > 0).mean() <= 1e-4


def test_only_a_centre_of_its_own_is_shown(blocks: DecodedImages, network: Path) -> None:
    config, cpu = TrainConfig(**SETTINGS), torch.device("cpu")
    widths = []
    for centre, names in ((None, []), (load_centre(network), ["centre"])):
        objective = Diffusion(config=config, centre=centre)
        made = objective.build().eval()
        shown = objective.pictures(made, as_batch(blocks, "lr")[:1])
        assert list(shown) == [*names, "sampled, 4 steps"]
        grid = sample_grid(lambda lr: objective.pictures(made, lr), blocks, count=1, device=cpu)  # noqa: B023
        widths.append(grid.shape[1])
    assert widths[1] > widths[0]


def opened(folder: Path, tmp_path: Path, centre: Path | str, **changes: Any) -> Run:
    resume = changes.pop("resume", None)
    settings = {**SETTINGS, "data": folder, "runs": tmp_path / "runs", "name": "r", **changes}
    return open_run(TrainConfig(**settings, centre=str(centre)), resume=resume)


def test_a_resumed_run_keeps_its_centre_and_ends_with_the_same_bits(
    folder: Path, tmp_path: Path, network: Path
) -> None:
    go(opened(folder, tmp_path, network, name="whole"))
    assert go(opened(folder, tmp_path, network, name="parts"), listen=stop_at(4)).interrupted
    write_network(network, seed=1)  # as a run that goes on writes better weights
    parts = tmp_path / "runs" / "parts"
    go(opened(folder, tmp_path, network, name="parts", resume=parts))
    whole = read_weights(tmp_path / "runs" / "whole" / "last.safetensors")
    again = read_weights(parts / "last.safetensors")
    assert whole[0].keys() == again[0].keys()
    assert any(key.startswith("centre.") for key in whole[0])
    assert all(torch.equal(whole[0][key], again[0][key]) for key in whole[0])
    assert whole[1] == again[1]
    other = write_network(tmp_path / "other.safetensors", seed=1)
    for changed in (other, "bicubic"):
        with pytest.raises(ConfigError, match=r"centre is .*ncnet.*a resumed run keeps it"):
            opened(folder, tmp_path, changed, name="parts", resume=parts)
    (parts / "last.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"last\.safetensors: no such checkpoint"):
        opened(folder, tmp_path, network, name="parts", resume=parts)


@pytest.mark.parametrize("distill", ["sinsr", "rsd"])
def test_a_student_takes_its_teachers_centre(
    tmp_path: Path, blocks: DecodedImages, network: Path, distill: Literal["sinsr", "rsd"]
) -> None:
    trained(tmp_path / "teacher", blocks, load_centre(network), steps=1)
    weights = load_denoiser(tmp_path / "teacher")
    config = TrainConfig(
        **SETTINGS, distill=distill, start_from=tmp_path / "teacher", score_weight=0.0
    )
    teacher = load_teacher(config)
    assert teacher is not None
    assert teacher.regression is not None
    lr, hr = as_batch(blocks, "lr")[..., :8, :8], as_batch(blocks, "hr")[..., :16, :16]
    student = OneStep(config=config, teacher=teacher)
    made = student.build()
    assert torch.isfinite(student.loss(made, lr, hr, 0))
    small = from_grey_levels(lr)
    centre = teacher.conditioned(teacher.module).centre(small)
    assert torch.equal(centre, RegressionCentre(load_centre(network))(small))  # type: ignore[arg-type]
    assert list(student.pictures(made.eval(), lr[:1])) == ["centre", "teacher, 4 steps", "student"]
    student.save(tmp_path / "student.safetensors", made, {})
    found = load_denoiser(tmp_path / "student.safetensors").centre
    assert found is not None
    assert weights.centre is not None
    assert found.sha256 == weights.centre.sha256
    state = found.module.state_dict()
    assert all(torch.equal(state[k], v) for k, v in weights.centre.module.state_dict().items())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"centre": "ncnet_x3"}, r"centre = ncnet_x3: .* enlarges by 3, but the denoiser by 2"),
        ({"centre": "ncnet_x3", "model": "ncnet"}, "enlarges in one pass and has no centre"),
        (
            {"centre": "ncnet_x3", "distill": "sinsr", "start_from": Path("runs/teacher")},
            "centre = ncnet_x3: a student takes its teacher's; drop --centre",
        ),
    ],
)
def test_centres_that_do_not_fit_are_refused(
    folder: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        open_run(TrainConfig(**{**SETTINGS, "data": folder, **changes}), dry_run=True)


def test_what_is_no_network_is_refused() -> None:
    with pytest.raises(CheckpointError, match="nowhere: no such run, weights file or shipped"):
        find_centre(TrainConfig(**SETTINGS, centre="nowhere"))
    with pytest.raises(CheckpointError, match="holds no float weights"):
        find_centre(TrainConfig(**SETTINGS, centre=__file__))


def test_the_shipped_network_is_a_centre_by_name(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--model", "resshift_px_s", "--scale", "3", "--centre", "ncnet_x3", "--dry-run"]
    where = ["--data", str(folder), "--runs", str(tmp_path), "--val-images", "1"]
    assert run(["train", *flags, *where, "--patch-size", "8"]) == 0
    assert (
        "the centre is made by a ncnet of 52,279 parameters (ncnet_x3)" in capsys.readouterr().err
    )
