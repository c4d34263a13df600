"""Denoisers in integers: shared weights, exact inputs, whole trajectories, calibration sets."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from edgesr.diffusion.calibration_files import SetFacts, make_set
from edgesr.diffusion.conditioned import ConditionedDenoiser
from edgesr.diffusion.integer_steps import (
    IntegerNetwork,
    QuantizedDenoiser,
    measure_corrections,
    quantize_denoiser,
    sampled_timesteps,
    step_graphs,
    with_corrections,
)
from edgesr.diffusion.path import Path as DiffusionPath
from edgesr.diffusion.ranges import from_grey_levels
from edgesr.diffusion.schedules import resshift
from edgesr.diffusion.temporal_features import disturbances
from edgesr.diffusion.trajectories import (
    all_steps,
    choose_samples,
    density_and_diversity,
    trajectories,
)
from edgesr.errors import DataError, DiffusionError, GraphError
from edgesr.graph.execute import execute
from edgesr.graph.ops import Conv2D
from edgesr.models.conditioning import Conditioning
from edgesr.models.denoiser_files import LoadedDenoiser
from edgesr.quant.calibrate import CalibrationBatch
from edgesr.quant.recipe import OURS, UNPROTECTED
from edgesr.quant.scheme import SCHEMES
from edgesr.quant.step_ptq import quantize_steps
from edgesr.quant.stepwise import input_codes, input_reals

PARAMETERS = {"kappa": 0.4, "num_steps": 6}
PLAIN = replace(UNPROTECTED, observer="minmax")


@pytest.fixture(scope="module")
def whole(tiny_whole: DiffusionPath) -> DiffusionPath:
    return tiny_whole


@pytest.fixture(scope="module")
def path(tiny_path: DiffusionPath) -> DiffusionPath:
    return tiny_path


@pytest.fixture(scope="module")
def loaded(tiny: LoadedDenoiser) -> LoadedDenoiser:
    return tiny


@pytest.fixture(scope="module")
def lrs(tiny_lrs: list[Tensor]) -> list[Tensor]:
    return tiny_lrs


@pytest.fixture(scope="module")
def batches(
    loaded: LoadedDenoiser, whole: DiffusionPath, path: DiffusionPath, lrs: list[Tensor]
) -> list[CalibrationBatch]:
    return all_steps(loaded.module, whole, path, lrs)


@pytest.fixture(scope="module")
def quantized(
    loaded: LoadedDenoiser, path: DiffusionPath, batches: list[CalibrationBatch]
) -> QuantizedDenoiser:
    return quantize_denoiser(loaded, path, batches)


def test_all_steps_share_their_weight_bytes_and_differ_in_scales(
    quantized: QuantizedDenoiser,
) -> None:
    first, *others = quantized.model.steps
    assert quantized.model.timesteps == (6, 4, 2)
    differing = 0
    for step in others:
        for name, weight in step.quantized.weights.items():
            assert np.array_equal(weight.values, first.quantized.weights[name].values)
            differing += not np.array_equal(weight.scales, first.quantized.weights[name].scales)
    assert differing >= 2 * 2


def test_grey_levels_are_fed_exactly() -> None:
    levels = torch.arange(256).float().view(1, 1, 16, 16)
    codes = input_codes(from_grey_levels(levels))
    assert torch.equal(codes.flatten().int() + 128, torch.arange(256).int())
    outside = input_codes(torch.tensor([-1.5, 1.5]).view(1, 1, 1, 2))
    assert outside.flatten().tolist() == [-128, 127]


def test_a_step_graph_equals_the_denoiser_on_grey_levels_but_at_the_border(
    loaded: LoadedDenoiser, lrs: list[Tensor]
) -> None:
    graph = step_graphs(loaded.module, "tiny", [4])[4]
    lr = lrs[0]
    x = from_grey_levels(torch.randint(0, 256, (3, 3, 40, 32)).float())
    centre = from_grey_levels(torch.randint(0, 256, (3, 3, 40, 32)).float())
    with torch.no_grad():
        wanted = loaded.module(x, torch.full((3,), 4), lr, centre)
        join = Conditioning(2, grid="lr", multiple=2)
        found = execute(graph, input_reals(input_codes(join(x, lr, centre))))
    difference = (found.permute(0, 3, 1, 2) - wanted).abs()
    assert difference[:, :, 2:-2, 2:-2].max() < 0.02
    assert difference.mean() < 2e-3


def test_a_whole_trajectory_in_integers_is_near_the_float_one(
    quantized: QuantizedDenoiser,
    loaded: LoadedDenoiser,
    whole: DiffusionPath,
    path: DiffusionPath,
    lrs: list[Tensor],
) -> None:
    wanted = ConditionedDenoiser(loaded.module, whole).sample(lrs[1], path=path)
    network = IntegerNetwork(quantized.model)
    found = ConditionedDenoiser(network, whole).sample(lrs[1], path=path)
    psnr = -10 * torch.log10((found - wanted).square().mean() / 4)
    assert psnr > 38
    with pytest.raises(DiffusionError, match="timestep 3 has no network, want one of 6, 4, 2"):
        network(wanted, torch.tensor([3]), lrs[1])


def test_odd_sides_are_padded_as_the_float_network_pads_them(
    quantized: QuantizedDenoiser, loaded: LoadedDenoiser, whole: DiffusionPath, path: DiffusionPath
) -> None:
    lr = from_grey_levels(torch.randint(0, 256, (1, 3, 9, 11)).float())
    wanted = ConditionedDenoiser(loaded.module, whole).sample(lr, path=path)
    found = ConditionedDenoiser(IntegerNetwork(quantized.model), whole).sample(lr, path=path)
    assert found.shape == wanted.shape == (1, 3, 18, 22)
    assert (found - wanted).abs().mean() < 0.03


@pytest.mark.parametrize("number", [1, 2, 3])
def test_steps_of_a_group_share_their_grids(
    loaded: LoadedDenoiser, path: DiffusionPath, batches: list[CalibrationBatch], number: int
) -> None:
    found = quantize_denoiser(loaded, path, batches, PLAIN, groups=number)
    assert found.model.num_groups == number
    grids: dict[int, object] = {}
    for step in found.model.steps:
        same = grids.setdefault(step.group, step.quantized.qparams)
        assert same == step.quantized.qparams


@pytest.mark.parametrize("scheme", ["wi6_ai6", "wi4_ai8"])
def test_narrow_schemes_are_simulated(
    loaded: LoadedDenoiser,
    path: DiffusionPath,
    batches: list[CalibrationBatch],
    scheme: str,
) -> None:
    recipe = replace(PLAIN, scheme=SCHEMES[scheme], output_search=scheme == "wi6_ai6")
    found = quantize_denoiser(loaded, path, batches, recipe, groups=2)
    weights = found.model.steps[0].quantized.weights
    limit = 31 if scheme == "wi6_ai6" else 7
    assert np.abs(weights["encoder.0.0.second"].values).max() <= limit
    assert np.abs(weights["stem"].values).max() == 127


def test_a_scale_that_is_not_positive_is_named(
    loaded: LoadedDenoiser, batches: list[CalibrationBatch]
) -> None:
    graphs = step_graphs(loaded.module, "tiny", [6, 4, 2])
    ops = [
        replace(op, weight=-op.weight)
        if isinstance(op, Conv2D) and op.name == "encoder.0.0.first.conv"
        else op
        for op in graphs[4].ops
    ]
    graphs[4] = replace(graphs[4], ops=tuple(ops))
    with pytest.raises(GraphError, match=r"encoder\.0\.0\.first\.conv: timestep 4 scales channel"):
        quantize_steps(graphs, batches, PLAIN, groups=1)


def test_steps_without_calibration_are_refused_where_they_are_needed(
    loaded: LoadedDenoiser, path: DiffusionPath, batches: list[CalibrationBatch]
) -> None:
    some = [batch for batch in batches if batch.timestep != 4]
    assert quantize_denoiser(loaded, path, some, PLAIN, groups=1).model.num_groups == 1
    with pytest.raises(DataError, match="4 were not calibrated"):
        quantize_denoiser(loaded, path, some, PLAIN, groups=3)
    with pytest.raises(DataError, match="timestep 4 was not calibrated"):
        quantize_denoiser(loaded, path, some, OURS, groups=1)
    with pytest.raises(DataError, match="batch of timestep 5"):
        quantize_denoiser(loaded, path, [replace(some[0], timestep=5)], PLAIN)


def test_a_measured_correction_takes_out_what_was_put_in(
    quantized: QuantizedDenoiser, batches: list[CalibrationBatch]
) -> None:
    plain = measure_corrections(quantized, batches)
    for correction in plain.values():
        assert correction.gain == pytest.approx(1.0, abs=0.05)
        assert max(map(abs, correction.mean)) < 0.01
    network = IntegerNetwork(quantized.model)
    fixed = IntegerNetwork(with_corrections(quantized.model, plain))
    lr, x = torch.zeros(1, 3, 8, 8), torch.rand(1, 3, 16, 16) - 0.5
    before, after = (one(x, torch.tensor([4]), lr) for one in (network, fixed))
    mean = torch.tensor(plain[4].mean).view(1, 3, 1, 1)
    assert torch.allclose(after * plain[4].gain + mean, before, atol=1e-6)


def test_a_folded_timestep_disturbs_least(
    quantized: QuantizedDenoiser, loaded: LoadedDenoiser
) -> None:
    rows = disturbances(loaded.module, quantized)
    assert len(rows) == 3 * 4
    for row in rows:
        assert row.gain["folded"] < 1e-6
        assert row.gain["folded"] < row.gain["cached"] < 0.01
        assert row.shift["folded"] < row.shift["cached"]
        assert row.chosen in {"cached", "reconstructed"}


@pytest.mark.parametrize("kind", ["uniform", "ndtc"])
def test_sets_hold_as_many_samples_as_asked_for(path: DiffusionPath, kind: str) -> None:
    samples = choose_samples(kind, path, 90, count=60)  # type: ignore[arg-type]
    assert list(samples.by_timestep) == [6, 4, 2]
    assert samples.count == 60
    if kind == "uniform":
        assert [len(one) for one in samples.by_timestep.values()] == [20, 20, 20]


def test_the_normal_set_leans_to_clean_steps_and_not_to_noisy_ones(whole: DiffusionPath) -> None:
    counts = [
        len(one) for one in choose_samples("ndtc", whole, 3000).by_timestep.values()
    ]  # noisiest first
    assert sum(counts[:3]) < sum(counts[3:])


def test_density_and_diversity_find_the_odd_step_out() -> None:
    like = torch.tensor([1.0, 1.0, 0.0])
    features = [like, like + 0.01, like - 0.01, torch.tensor([0.0, 0.0, 9.0])]
    density, diversity = density_and_diversity(features)
    assert int(diversity.argmax()) == 3
    assert int(density.argmin()) == 3


def test_stored_inputs_are_what_the_network_was_fed_with_its_timestep(
    loaded: LoadedDenoiser, whole: DiffusionPath, path: DiffusionPath, lrs: list[Tensor]
) -> None:
    fed = [one for _, one in trajectories(loaded.module, whole, path, lrs[1:], features=True)]
    assert [one.timestep for one in fed] == [6, 4, 2]
    assert all(one.middle is not None for one in fed)
    # the least noisy input is the nearest to the centre's own high frequencies, the first is it
    shown = input_reals(fed[0].codes)[..., :12]
    centre = input_reals(fed[0].codes)[..., 12:24]
    last = input_reals(fed[-1].codes)[..., :12]
    assert (shown - centre).abs().mean() < (last - centre).abs().mean()


def test_a_set_on_disk_is_resumed_and_refused_for_other_weights(
    loaded: LoadedDenoiser,
    whole: DiffusionPath,
    path: DiffusionPath,
    lrs: list[Tensor],
    tmp_path: Path,
) -> None:
    facts = SetFacts(
        model_sha256="a" * 64,
        scale=2,
        schedule="resshift",
        parameters=PARAMETERS,
        timesteps=sampled_timesteps(path),
        kind="tdac",
        count=9,
        images_sha256="b" * 64,
        seed=3,
    )
    made = make_set(tmp_path / "set", loaded, whole, path, lrs, facts=facts)
    before = {(batch.timestep, batch.inputs.sum().item()) for batch in made}
    victim = next((tmp_path / "set").glob("*.npy"))
    victim.unlink()
    kept = {file: file.stat().st_mtime_ns for file in (tmp_path / "set").glob("*.npy")}
    again = make_set(tmp_path / "set", loaded, whole, path, lrs, facts=facts)
    assert {(batch.timestep, batch.inputs.sum().item()) for batch in again} == before
    assert any(file.stat().st_mtime_ns == time for file, time in kept.items())
    other = replace(facts, model_sha256="c" * 64)
    with pytest.raises(DataError, match="model_sha256"):
        make_set(tmp_path / "set", loaded, whole, path, lrs, facts=other)
    victim.write_bytes(b"broken")
    with pytest.raises(DataError, match=f"{victim.name}: cannot be read"):
        list(make_set(tmp_path / "set", loaded, whole, path, lrs, facts=facts))


def test_too_many_steps_are_refused(whole: DiffusionPath) -> None:
    with pytest.raises(DiffusionError, match="15 steps, and every one has a network"):
        sampled_timesteps(resshift(num_steps=15))
    assert sampled_timesteps(whole) == (6, 5, 4, 3, 2, 1)


def test_every_kind_of_set_draws_images_of_its_own(path: DiffusionPath) -> None:
    features = [torch.full((1, 1, 1, 1), float(level)) for level in (1, 1, 1)]
    uniform, tdac = (
        choose_samples(kind, path, 12, features=features).by_timestep
        for kind in ("uniform", "tdac")
    )
    assert [len(one) for one in uniform.values()] == [len(one) for one in tdac.values()]
    assert uniform != tdac


def test_density_is_looked_for_at_the_deepest_level(
    loaded: LoadedDenoiser, whole: DiffusionPath, path: DiffusionPath, lrs: list[Tensor]
) -> None:
    for _, fed in trajectories(loaded.module, whole, path, lrs[1:], features=True):
        assert fed.middle is not None
        assert fed.middle.shape == (1, 4 * 8, 20 // 2, 16 // 2)
    plain = [fed.middle for _, fed in trajectories(loaded.module, whole, path, lrs[1:])]
    assert plain == [None] * 3


def test_a_dead_layer_is_named_with_its_timestep(
    loaded: LoadedDenoiser, batches: list[CalibrationBatch]
) -> None:
    graphs = step_graphs(loaded.module, "tiny", [6, 4, 2])
    name = "encoder.0.0.first.conv"
    for timestep, graph in graphs.items():
        ops = [
            replace(op, bias=op.bias - 100.0) if isinstance(op, Conv2D) and op.name == name else op
            for op in graph.ops
        ]
        graphs[timestep] = replace(graph, ops=tuple(ops))
    with pytest.raises(
        GraphError, match=rf"1 of \d+ .* {name} \(timestep 6, 4, 2\); they are dead"
    ):
        quantize_steps(graphs, batches, PLAIN, groups=1)
