"""Training the integers of steps: exact start, shared bytes, gain, resuming, files."""

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from edgesr.diffusion.integer_files import load_steps, save_steps
from edgesr.diffusion.integer_steps import QuantizedDenoiser, quantize_denoiser, step_graphs
from edgesr.diffusion.path import Path as DiffusionPath
from edgesr.diffusion.ranges import from_grey_levels
from edgesr.diffusion.schedules import resshift
from edgesr.diffusion.step_distillation import Course, Distillation, distil
from edgesr.diffusion.trajectories import all_steps
from edgesr.diffusion.two_pass import two_pass
from edgesr.errors import CheckpointError, DataError, GraphError
from edgesr.graph.execute import execute
from edgesr.models.checkpoint import read_weights, save_weights
from edgesr.models.denoiser_files import (
    LoadedDenoiser,
    Schedule,
    load_denoiser,
    save_denoiser,
)
from edgesr.models.denoisers import build_denoiser
from edgesr.quant.calibrate import CalibrationBatch
from edgesr.quant.recipe import UNPROTECTED
from edgesr.quant.scheme import SCHEMES
from edgesr.quant.step_ptq import quantize_steps
from edgesr.quant.step_qat import StepRates, StepsQat
from edgesr.quant.step_transform import LearnedTransform, start_transform
from edgesr.quant.stepwise import check_shared, codes_of_reals, run_step

ROUGH = replace(UNPROTECTED, observer="minmax", scheme=SCHEMES["wi4_ai8"])
FAST = StepRates(weight_share=0.05, bias_share=0.02, weight_scales=2e-3, activation_scales=2e-3)


@pytest.fixture(scope="module")
def course(
    tiny: LoadedDenoiser,
    tiny_whole: DiffusionPath,
    tiny_path: DiffusionPath,
    tiny_lrs: list[Tensor],
) -> Course:
    return Course(loaded=tiny, whole=tiny_whole, path=tiny_path, lrs=tiny_lrs)


@pytest.fixture(scope="module")
def batches(course: Course) -> list[CalibrationBatch]:
    return all_steps(course.loaded.module, course.whole, course.path, course.lrs)


@pytest.fixture(scope="module")
def rough(course: Course, batches: list[CalibrationBatch]) -> QuantizedDenoiser:
    return quantize_denoiser(course.loaded, course.path, batches, ROUGH, groups=2)


def _error(denoiser: QuantizedDenoiser, batches: list[CalibrationBatch]) -> float:
    """Mean squared error of every step's integers against its float network, as simulated."""
    errors = []
    for batch in batches:
        assert batch.timestep is not None
        real = execute(denoiser.graphs[batch.timestep], batch.inputs).permute(0, 3, 1, 2)
        found = run_step(denoiser.model.at(batch.timestep), codes_of_reals(batch.inputs))
        errors.append(float((found - real).square().mean()))
    return float(np.mean(errors))


def test_training_starts_with_the_integers_that_it_is_given(
    rough: QuantizedDenoiser, batches: list[CalibrationBatch]
) -> None:
    pupil = StepsQat(rough.result.quantized, rough.result.grouping.groups).eval()
    for batch in batches:
        assert batch.timestep is not None
        wanted = run_step(rough.model.at(batch.timestep), codes_of_reals(batch.inputs))
        with torch.no_grad():
            found = pupil(batch.inputs.permute(0, 3, 1, 2), batch.timestep)
        assert torch.equal(found, wanted)
    for timestep, quantized in pupil.to_quantized().items():
        given = rough.result.quantized[timestep]
        assert quantized.qparams == given.qparams
        for name, weight in given.weights.items():
            assert np.array_equal(quantized.weights[name].values, weight.values)
            assert np.array_equal(quantized.weights[name].bias, weight.bias)


@pytest.mark.parametrize("rank", [None, 2])
def test_training_lowers_the_error_and_keeps_the_bytes_shared(
    rough: QuantizedDenoiser, course: Course, batches: list[CalibrationBatch], rank: int | None
) -> None:
    settings = Distillation(steps=60, batch=2, side=16, rank=rank, rates=FAST)
    found = distil(rough, course, settings)
    assert _error(found, batches) < 0.8 * _error(rough, batches)
    check_shared(found.result.quantized)
    before, after = (one.model.steps[0].quantized.weights for one in (rough, found))
    assert any(not np.array_equal(after[name].values, before[name].values) for name in before)
    assert max(np.abs(one.values).max() for one in after.values()) <= 127
    grids = {step.group: step.quantized.qparams for step in found.model.steps}
    assert all(step.quantized.qparams == grids[step.group] for step in found.model.steps)
    assert grids[0] != grids[1]


def test_the_learning_rate_of_weights_follows_their_scale(rough: QuantizedDenoiser) -> None:
    pupil = StepsQat(rough.result.quantized, rough.result.grouping.groups)
    rates = {
        id(parameter): group["lr"]
        for group in pupil.groups_of_parameters(StepRates())
        for parameter in group["params"]
    }
    first = pupil.at(pupil.timesteps[0])
    scales = rough.model.steps[0].quantized.weights["stem"].scales
    assert rates[id(first.layer("stem").weight)] == pytest.approx(float(scales.mean()) / 2500)
    trained = [one for one in pupil.parameters() if one.requires_grad]
    assert {id(one) for one in trained} == set(rates)


def test_an_interrupted_training_goes_on_to_the_same_integers(
    rough: QuantizedDenoiser, course: Course, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgesr.diffusion.step_distillation.SAVE_EVERY", 6)
    settings = Distillation(steps=18, batch=1, side=16, rates=FAST)
    whole = distil(rough, course, settings)
    state = tmp_path / "state.pt"

    def stop(step: int, _loss: float) -> None:
        if step >= 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        distil(rough, course, settings, state=state, listen=stop)
    found = distil(rough, course, settings, state=state)
    for timestep, quantized in whole.result.quantized.items():
        again = found.result.quantized[timestep]
        assert again.qparams == quantized.qparams
        for name, weight in quantized.weights.items():
            assert np.array_equal(again.weights[name].values, weight.values)
            assert np.array_equal(again.weights[name].bias, weight.bias)
    with pytest.raises(DataError, match="is of another training"):
        distil(rough, replace(course, identity="other"), settings, state=state)
    state.write_bytes(b"broken")
    with pytest.raises(DataError, match="cannot be read"):
        distil(rough, course, settings, state=state)


def test_steps_come_back_from_their_file(tmp_path: Path) -> None:
    path = tmp_path / "steps.safetensors"
    torch.manual_seed(0)
    module = build_denoiser("resshift_px_s", 2).eval()
    with torch.no_grad():
        module.core.get_parameter("head.weight").normal_(0.0, 0.02)
    source = tmp_path / "float.safetensors"
    save_denoiser(
        source,
        module.state_dict(),
        model="resshift_px_s",
        scale=2,
        schedule=Schedule(name="resshift", parameters={"num_steps": 2}),
        prediction="residual",
    )
    loaded = load_denoiser(source)
    whole = resshift(num_steps=2)
    lr = from_grey_levels(torch.randint(0, 256, (1, 3, 16, 16)).float())
    batches = all_steps(loaded.module, whole, whole, [lr])
    plain = replace(UNPROTECTED, observer="minmax")
    found = quantize_denoiser(loaded, whole, batches, plain, groups=2).model
    save_steps(path, found, loaded, {"note": "kept"})
    again, model = load_steps(path)
    assert again.metadata["note"] == "kept"
    assert model.timesteps == found.timesteps
    for one, other in zip(model.steps, found.steps, strict=True):
        codes = codes_of_reals(batches[0].inputs)
        assert torch.equal(run_step(one, codes), run_step(other, codes))
        assert one.group == other.group
    state, metadata = read_weights(path)
    wrong = {key: value for key, value in state.items() if key != "steps.layer.stem.bias"}
    save_weights(path, wrong, model="resshift_px_s", scale=2, metadata=metadata)
    with pytest.raises(CheckpointError, match=r"steps\.layer\.stem\.bias is missing"):
        load_steps(path)
    with pytest.raises(CheckpointError, match="holds no integers"):
        load_steps(source)


def test_windows_larger_than_the_images_and_ranks_of_zero_are_refused(
    rough: QuantizedDenoiser, course: Course
) -> None:
    with pytest.raises(DataError, match="16x20 low-resolution pixels, want 64"):
        distil(rough, course, Distillation(steps=2, side=64))
    with pytest.raises(GraphError, match="adapters of rank 0"):
        distil(rough, course, Distillation(steps=2, rank=0))
    with pytest.raises(DataError, match="distillation of 0 steps"):
        Distillation(steps=0)


def test_a_learned_transform_starts_as_nothing_and_is_exact_in_float(
    course: Course, batches: list[CalibrationBatch]
) -> None:
    graphs = step_graphs(course.loaded.module, "tiny", [6, 4, 2])
    fed = [[one for one in batches if one.timestep == timestep] for timestep in graphs]
    started = dict(zip(graphs, start_transform(list(graphs.values()), fed), strict=True))
    result = quantize_steps(started, batches, ROUGH, groups=1)
    pupil = StepsQat(result.quantized, result.grouping.groups).eval()
    inputs = batches[0].inputs.permute(0, 3, 1, 2)
    with torch.no_grad():
        before = pupil(inputs, 6)
        transform = LearnedTransform(pupil)
        after = pupil(inputs, 6)
    assert transform.logs
    assert torch.equal(before, after)
    with torch.no_grad():
        for log in transform.logs.values():
            log.uniform_(-0.5, 0.5)
    folded = transform.apply(started)
    for batch in batches:
        assert batch.timestep is not None
        wanted = execute(graphs[batch.timestep], batch.inputs)
        for made in (started, folded):
            found = execute(made[batch.timestep], batch.inputs)
            assert torch.allclose(found, wanted, atol=1e-4)


def test_learned_factors_and_boundaries_lower_the_error_of_uneven_channels(course: Course) -> None:
    module = copy.deepcopy(course.loaded.module)
    with torch.no_grad():
        for level in ("encoder", "decoder"):
            module.core.get_parameter(f"{level}.0.0.first.conv.weight")[0] *= 16
            module.core.get_parameter(f"{level}.0.0.second.weight")[:, 0] /= 16
    uneven = replace(course, loaded=replace(course.loaded, module=module))
    batches = all_steps(module, uneven.whole, uneven.path, uneven.lrs[1:])
    recipe = replace(UNPROTECTED, observer="minmax", scheme=SCHEMES["wi6_ai6"])
    plain = quantize_denoiser(uneven.loaded, uneven.path, batches, recipe, groups=1)
    settings = Distillation(steps=24, batch=1, side=16)
    found = two_pass(uneven, batches, recipe, settings, groups=1)
    assert _error(found, batches) < _error(plain, batches)
    check_shared(found.result.quantized)
    with pytest.raises(DataError, match="equalize=False"):
        two_pass(uneven, batches, replace(recipe, equalize=True), settings)


def test_both_ends_of_a_range_are_learned(rough: QuantizedDenoiser) -> None:
    pupil = StepsQat(rough.result.quantized, rough.result.grouping.groups)
    scales, zeros = pupil.learn_boundaries()
    assert {id(one) for one in pupil.parameters() if one.requires_grad} == {
        id(one) for one in (*scales, *zeros)
    }
    start = rough.result.quantized[6].qparams
    with torch.no_grad():
        for zero in zeros:
            zero.add_(3.2)
    for timestep, quantized in pupil.to_quantized().items():
        moved = {
            name: grid.zero_point - rough.result.quantized[timestep].qparams[name].zero_point
            for name, grid in quantized.qparams.items()
        }
        assert set(moved.values()) == {0, 3}
        assert all(not change for name, change in moved.items() if start[name].zero_point == -128)
    inputs = torch.zeros(1, 27, 8, 8)
    pupil.train()
    pupil(inputs, 6).square().sum().backward()
    assert any(zero.grad is not None for zero in zeros)
