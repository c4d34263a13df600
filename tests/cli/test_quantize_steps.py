"""``edgesr quantize`` of a diffusion denoiser: integers written, trained, refused."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from edgesr.bench.results import read_document
from edgesr.bench.step_methods import Method
from edgesr.bench.step_quantization import SCHEMA, sampled_by, squared_error
from edgesr.bench.step_quantization_page import step_quantization_page
from edgesr.cli import run
from edgesr.cli.mixed_subject import Request
from edgesr.cli.quantize_case import CalibrationSets, open_case, quantized_by
from edgesr.cli.quantize_steps import error_parts
from edgesr.debug.step_parts import PartlyRounded
from edgesr.diffusion.integer_files import load_steps
from edgesr.diffusion.integer_steps import IntegerNetwork
from edgesr.diffusion.schedules import resshift
from edgesr.export.read import read_signatures
from edgesr.export.step_parity import simulation, trajectory
from edgesr.images import read_image
from edgesr.models import build_model
from edgesr.models.checkpoint import save_weights
from edgesr.models.denoiser_files import Schedule, save_denoiser
from edgesr.models.denoisers import build_denoiser
from edgesr.quant.recipe import UNPROTECTED
from edgesr.quant.stepwise import Correction
from edgesr.upscalers.step_schedule import from_text, read_schedule
from tests.export.stepwise_case import made_centre, save_restless

ROOT = Path(__file__).resolve().parents[2]

QUICK = ["--rounding", "nearest", "--bias-correction", "none", "--no-equalize"]


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    network = build_denoiser("resshift_px_s", 2)
    with torch.no_grad():
        network.get_parameter("core.head.weight").normal_(0.0, 0.02)
    path = tmp_path / "float.safetensors"
    save_denoiser(
        path,
        network.state_dict(),
        model="resshift_px_s",
        scale=2,
        schedule=Schedule(name="resshift", parameters={"num_steps": 2}),
        prediction="residual",
    )
    return path


@pytest.fixture
def photos(tmp_path: Path, save_photo: Callable[..., Path]) -> Path:
    for number in range(2):
        save_photo(tmp_path / "photos" / f"{number}.png", 64, 64, seed=number)
    return tmp_path / "photos"


@pytest.fixture
def held_out(tmp_path: Path, save_photo: Callable[..., Path]) -> Path:
    return save_photo(tmp_path / "held_out" / "9.png", 32, 32, seed=9).parent


def test_trained_steps_are_written_and_narrow_ones_never_exported(
    checkpoint: Path,
    photos: Path,
    held_out: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    integers = tmp_path / "w6.safetensors"
    images = ["--calibration", str(photos), "--data", str(held_out)]
    asked = ["quantize", str(checkpoint), "--output", str(integers), *images, *QUICK]
    assert run([*asked, "--scheme", "wi6_ai6", "--qat-steps", "2"]) == 0
    assert "QAT" in capsys.readouterr().out
    loaded, model = load_steps(integers)
    assert loaded.metadata["qat_steps"] == "2"
    assert model.timesteps == (2, 1)
    assert not list(tmp_path.glob("*.state.pt"))
    export = ["export", str(tmp_path / "w6.tflite"), "--checkpoint", str(integers), *images]
    assert run(export) == 3
    assert "W6A6 (simulated), which no kernel computes" in capsys.readouterr().err


def test_trained_steps_and_their_corrections_are_exported_and_upscale(
    checkpoint: Path, photos: Path, held_out: Path, tmp_path: Path
) -> None:
    integers, file = tmp_path / "int8.safetensors", tmp_path / "int8.tflite"
    images = ["--calibration", str(photos), "--data", str(held_out)]
    asked = ["quantize", str(checkpoint), "--output", str(integers), *images, *QUICK]
    assert run([*asked, "--qat-steps", "2", "--correct-sampler"]) == 0
    _, model = load_steps(integers)
    export = ["export", str(file), "--checkpoint", str(integers), *images, "--max-drop", "9"]
    assert run(export) == 0
    schedule = read_schedule(file)
    assert schedule is not None
    beside = file.with_suffix(".schedule.json")
    assert from_text(beside.read_text(), "beside") == schedule
    written = {step.timestep: Correction(mean=step.mean, gain=step.gain) for step in schedule.steps}
    assert written == model.corrections
    assert any(one.gain != 1.0 for one in written.values())

    photo, picture = held_out / "9.png", tmp_path / "picture.png"
    assert run(["upscale", str(photo), "-n", str(file), "-o", str(picture), "--seed", "3"]) == 0
    simulated = simulation(read_signatures(file.read_bytes()), kernels="xnnpack")
    wanted, _ = trajectory(read_image(photo), schedule, simulated, seed=3)
    found = read_image(picture)
    assert np.array_equal(found, wanted)
    # and the network that was trained samples it, but for the last bits of float32
    sample = sampled_by(IntegerNetwork(model), resshift(num_steps=2), resshift(num_steps=2), seed=3)
    difference = np.abs(np.rint(sample(read_image(photo))) - found)
    assert difference.max() <= 2
    assert difference.mean() < 0.02


def test_the_part_of_a_centre_is_the_error_of_its_integers(
    photos: Path, held_out: Path, tmp_path: Path
) -> None:
    path = save_restless(tmp_path / "px.safetensors", centre=made_centre(tmp_path))
    asked = Request(
        data=[held_out], limit=None, calibration=photos, seed=0, candidates=(), random=0
    )
    case = open_case(path, asked)
    source = CalibrationSets(tmp_path / "sets", case)
    method = Method(recipe=replace(UNPROTECTED, observer="minmax"), grids="one")
    denoiser, _ = quantized_by("plain", method, source, case, tmp_path / "state.pt")
    found = error_parts(denoiser, case)["held_out"]
    rounded = PartlyRounded(denoiser.model, "centre")
    sample = sampled_by(rounded, *case.paths, seed=0, centre=case.loaded.centre)
    assert found["centre"] > 1.2 * squared_error(case.sets[0], sample)
    total = found.pop("all")
    assert 0.5 * total < sum(found.values()) < 2.0 * total


def test_the_page_in_the_docs_is_what_its_template_and_results_give() -> None:
    results = sorted((ROOT / "benchmarks" / "results").glob("diffusion_quantization_*.json"))
    assert results
    page = step_quantization_page([read_document(path, {SCHEMA}) for path in results])
    assert page == (ROOT / "docs" / "diffusion-quantization.md").read_text()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "compare ways to quantize it with --compare, or write its integers with --output"),
        (["--output", "x.safetensors", "--qat-rank", "2"], "--qat-rank is for training"),
        (["--compare", "--qat-steps", "9"], "--compare runs methods as they are"),
        (["--compare", "--correct-sampler"], "--compare runs methods as they are"),
        (["--compare", "--with", "x"], "--with is for plain networks"),
    ],
)
def test_flags_that_do_not_go_together_are_refused(
    checkpoint: Path, capsys: pytest.CaptureFixture[str], flags: list[str], message: str
) -> None:
    assert run(["quantize", str(checkpoint), *flags]) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_a_plain_network_has_no_steps_to_train(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "net.safetensors"
    save_weights(path, build_model("abpn", 2).state_dict(), model="abpn", scale=2)
    for flags in (["--qat-steps", "9"], ["--correct-sampler"]):
        assert run(["quantize", str(path), *flags]) == 2
        assert "are for diffusion denoisers" in " ".join(capsys.readouterr().err.split())
