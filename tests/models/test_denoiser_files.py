"""A denoiser's file holds its weights and the path that it was trained on, or is refused."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from edgesr.errors import CheckpointError
from edgesr.models import build_model
from edgesr.models.checkpoint import load_model, save_weights
from edgesr.models.denoiser_files import Schedule, load_denoiser, save_denoiser
from edgesr.models.denoisers import build_denoiser

NAME = "resshift_px_s"
SCHEDULE = Schedule(name="resshift", parameters={"num_steps": 4, "kappa": 0.5, "note": "v3"})
FACTS = {"schedule": "resshift", "schedule_parameters": "{}", "prediction": "residual"}


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return build_denoiser(NAME, 2).state_dict()


def written(
    path: Path, state: dict[str, Tensor], changed: dict[str, str | None], *, scale: int = 2
) -> Path:
    """Write a file whose metadata differs from a good one's; None leaves an entry out."""
    facts = {key: value for key, value in {**FACTS, **changed}.items() if value is not None}
    save_weights(path / "w.safetensors", state, model=NAME, scale=scale, metadata=facts)
    return path / "w.safetensors"


def saved(path: Path, state: dict[str, Tensor]) -> Path:
    file = path / "best.safetensors"
    save_denoiser(
        file,
        state,
        model=NAME,
        scale=2,
        schedule=SCHEDULE,
        prediction="residual",
        metadata={"step": "7"},
    )
    return file


def test_the_round_trip_is_exact(tmp_path: Path, state: dict[str, Tensor]) -> None:
    loaded = load_denoiser(saved(tmp_path, state))
    assert (loaded.descriptor.name, loaded.scale, loaded.prediction) == (NAME, 2, "residual")
    assert loaded.schedule == SCHEDULE
    assert loaded.metadata["step"] == "7"
    assert not loaded.module.training
    assert loaded.module.state_dict().keys() == state.keys()
    for key, value in loaded.module.state_dict().items():
        assert torch.equal(value, state[key])


def test_equal_weights_are_equal_files(tmp_path: Path, state: dict[str, Tensor]) -> None:
    first, second = saved(tmp_path / "a", state), saved(tmp_path / "b", state)
    assert first.read_bytes() == second.read_bytes()


def test_a_run_folder_gives_its_best_weights(tmp_path: Path, state: dict[str, Tensor]) -> None:
    file = saved(tmp_path, state)
    assert load_denoiser(tmp_path).path == file
    with pytest.raises(CheckpointError, match="no weights there"):
        load_denoiser(tmp_path.parent)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"schedule": None}, "does not say the schedule .* save it with save_denoiser"),
        ({"schedule": ""}, "does not say the schedule"),
        ({"schedule_parameters": None}, "does not say the schedule"),
        ({"schedule_parameters": "{"}, "parameters of schedule 'resshift' are no JSON"),
        ({"schedule_parameters": "[4]"}, "are a list, want names with values"),
        ({"prediction": None}, "predicts None, want one of x0, residual, eps, v"),
        ({"prediction": "noise"}, "predicts 'noise', want one of x0"),
        ({"scheme": "wi8_ai8"}, r"holds integers \(wi8_ai8\), want a float denoiser"),
    ],
)
def test_a_file_without_what_makes_it_usable_is_refused(
    tmp_path: Path, state: dict[str, Tensor], changed: dict[str, str | None], message: str
) -> None:
    with pytest.raises(CheckpointError, match=message):
        load_denoiser(written(tmp_path, state, changed))


def test_another_network_or_scale_is_named(tmp_path: Path, state: dict[str, Tensor]) -> None:
    file = saved(tmp_path, state)
    with pytest.raises(CheckpointError, match="is of scale 2, but scale 4 was asked for"):
        load_denoiser(file, scale=4)
    with pytest.raises(CheckpointError, match="but model resshift_px_l was asked for"):
        load_denoiser(file, model="resshift_px_l")
    with pytest.raises(CheckpointError, match="is of scale 8, want one of 2, 3, 4"):
        load_denoiser(written(tmp_path, state, {}, scale=8))
    with pytest.raises(CheckpointError, match=r"does not fit resshift_px_s x4: core\.stem\.weight"):
        load_denoiser(written(tmp_path, state, {}, scale=4))


def test_the_loaded_network_predicts_what_its_file_says(
    tmp_path: Path, state: dict[str, Tensor]
) -> None:
    loaded = load_denoiser(written(tmp_path, state, {"prediction": "x0"}))
    assert loaded.prediction == loaded.module.prediction == "x0"


def test_a_denoiser_is_no_regression_network(tmp_path: Path, state: dict[str, Tensor]) -> None:
    with pytest.raises(CheckpointError, match="is of the diffusion denoiser 'resshift_px_s'"):
        load_model(saved(tmp_path, state))


def test_a_regression_network_is_no_denoiser(tmp_path: Path) -> None:
    file = tmp_path / "w.safetensors"
    save_weights(file, build_model("ncnet", 2).state_dict(), model="ncnet", scale=2)
    with pytest.raises(CheckpointError, match="of model 'ncnet', which is no denoiser"):
        load_denoiser(file)


def test_damaged_missing_and_foreign_files_are_named(
    tmp_path: Path, state: dict[str, Tensor]
) -> None:
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        load_denoiser(tmp_path / "none.safetensors")
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match="does not say the schedule"):
        load_denoiser(tmp_path / "w.pth", model=NAME, scale=2)
    file = saved(tmp_path, state)
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="no readable safetensors file"):
        load_denoiser(file)


def test_weights_that_do_not_fit_are_named(tmp_path: Path, state: dict[str, Tensor]) -> None:
    key = "core.stem.bias"
    with pytest.raises(CheckpointError, match=f"misses {key} .1 missing, 0 unknown"):
        load_denoiser(saved(tmp_path, {k: v for k, v in state.items() if k != key}))
    with pytest.raises(CheckpointError, match="has extra too much"):
        load_denoiser(saved(tmp_path, {**state, "extra": torch.zeros(1)}))
    with pytest.raises(CheckpointError, match=f"{key} holds NaN"):
        load_denoiser(saved(tmp_path, {**state, key: torch.full_like(state[key], math.nan)}))


@pytest.mark.parametrize("value", [math.nan, math.inf, {1, 2}])
def test_a_schedule_that_json_cannot_hold_is_not_written(
    tmp_path: Path, state: dict[str, Tensor], value: object
) -> None:
    schedule = Schedule(name="resshift", parameters={"kappa": value})
    file = tmp_path / "w.safetensors"
    with pytest.raises(CheckpointError, match="parameters of schedule 'resshift' cannot be stored"):
        save_denoiser(file, state, model=NAME, scale=2, schedule=schedule, prediction="residual")
    assert not file.exists()
