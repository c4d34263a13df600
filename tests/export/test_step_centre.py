"""The network of a centre as one more signature: exact, weighed, and on the road to the phone."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from edgesr.cli import run
from edgesr.diffusion.centre import RegressionCentre, regression_of, with_integer_centre
from edgesr.diffusion.conditioned import ConditionedDenoiser
from edgesr.diffusion.integer_files import load_steps
from edgesr.diffusion.integer_steps import IntegerNetwork
from edgesr.diffusion.ranges import from_grey_levels, to_grey_levels
from edgesr.errors import CheckpointError
from edgesr.export.inspect import read_content
from edgesr.export.read import read_signatures
from edgesr.export.step_certificate import replay_steps
from edgesr.export.step_parity import compare_steps, made_image, made_inputs
from edgesr.export.stepwise import size_of, write_steps
from edgesr.litert import Kernels, open_signatures
from edgesr.models.checkpoint import read_weights, save_weights
from edgesr.upscalers import load_upscaler
from edgesr.upscalers.step_loop import centre_of
from tests.export.stepwise_case import SCALE, Case, made_centre, save_restless

FAMILIES: tuple[Kernels, ...] = ("xnnpack", "builtin", "reference")
QUICK = ["--rounding", "nearest", "--bias-correction", "none", "--no-equalize"]


def test_the_centre_and_trajectories_round_it_equal_their_simulation(centred: Case) -> None:
    content = centred.content
    read = read_signatures(content)
    assert list(read.signatures) == ["step_00", "step_01", "centre"]
    found = compare_steps(content, read, centred.schedule, families=FAMILIES)
    assert found.mismatches == 0
    assert [one.signature for one in found.signatures].count("centre") == len(FAMILIES)
    assert all(one.values for one in found.signatures)


def test_a_centre_that_computes_otherwise_is_found(centred: Case) -> None:
    content = centred.content
    read = read_signatures(content)
    centre = read.signatures["centre"]
    name, layer = next(iter(centre.weights.items()))
    weights = {**centre.weights, name: replace(layer, bias=layer.bias + 1000)}
    wrong = {**read.signatures, "centre": replace(centre, weights=weights)}
    found = compare_steps(
        content, replace(read, signatures=wrong), centred.schedule, families=("xnnpack",)
    )
    differing = {one.signature: one.mismatches > 0 for one in found.signatures}
    assert differing == {"step_00": False, "step_01": False, "centre": True}
    assert all(one.code_mismatches for one in found.trajectories)


def test_the_file_makes_the_centre_that_calibration_saw(centred: Case) -> None:
    assert centred.centre is not None
    lr = made_image(None)
    batch = from_grey_levels(torch.from_numpy(lr).permute(2, 0, 1)[None].float())
    made = with_integer_centre(centred.loaded, centred.centre.quantized).centre
    assert made is not None
    wanted = RegressionCentre(made)(batch)[0].permute(1, 2, 0).numpy()
    file = open_signatures(centred.content)
    found = centre_of(
        lr, centred.schedule, lambda name, one: file.run(name, {"lr": one["lr"][None]})[0]
    )
    assert np.array_equal(found, wanted)
    float_centre = RegressionCentre(centred.centre.network)(batch)
    error = to_grey_levels(torch.from_numpy(found).permute(2, 0, 1)[None]) - to_grey_levels(
        float_centre
    )
    assert 0 < float(error.abs().mean()) < 2


def test_the_integers_in_pytorch_give_the_picture_of_the_file(
    centred: Case, tmp_path: Path
) -> None:
    (tmp_path / "x.tflite").write_bytes(centred.content)
    lr = made_image(None)
    found = load_upscaler(tmp_path / "x.tflite")(lr)
    batch = from_grey_levels(torch.from_numpy(lr).permute(2, 0, 1)[None].float())
    assert centred.centre is not None
    deployed = with_integer_centre(centred.loaded, centred.centre.quantized)
    model = centred.model
    network = ConditionedDenoiser(
        IntegerNetwork(model), centred.whole, regression=regression_of(deployed.centre)
    )
    wanted = to_grey_levels(network.sample(batch, path=centred.path))[0].permute(1, 2, 0)
    # the sampler's float sums are ordered otherwise in torch, which moves single codes
    assert (np.abs(found - wanted.round().numpy()) > 1).mean() < 1e-3


def test_the_file_holds_the_graph_of_the_centre_once_and_is_written_again_alike(
    centred: Case,
) -> None:
    content = centred.content
    assert centred.centre is not None
    assert centred.centre.quantized is not None
    assert centred.centre.problems(content, subgraph=2) == []
    for weight in centred.centre.quantized.weights.values():
        assert content.count(weight.values.tobytes()) == 1
    read = read_signatures(content)
    *steps, centre = read.signatures.values()
    assert write_steps(steps, centre=centre, metadata=read.metadata) == content
    assert read_content(content, subgraph=2).operators.count("CONV_2D") == 3
    made = size_of(*centred.graphs, scale=SCALE, count=2, centre=centred.centre.graph)
    text = sum(map(len, read.metadata.values()))
    assert abs(made - (len(content) - text)) < 0.02 * made


def test_one_step_has_two_signatures(centred: Case) -> None:
    assert centred.centre is not None
    content = write_steps(centred.steps[:1], centre=centred.centre.quantized)
    assert open_signatures(content).signatures == ("step_00", "centre")
    fixed = open_signatures(centred.written(centred.schedule, shape=(10, 14)))
    assert fixed.fixed_shapes("centre") == {"lr": (10, 14)}
    codes = made_inputs(centred.schedule, (10, 14))[0]["lr"]
    assert fixed.run("centre", {"lr": codes}).shape == (1, 20, 28, 3)


@pytest.fixture
def images(tmp_path: Path, save_photo: Callable[..., Path]) -> list[str]:
    for seed in range(2):
        save_photo(tmp_path / "images" / f"{seed}.png", 64, 64, seed=seed)
    return ["--calibration", str(tmp_path / "images")]


def test_quantized_and_exported_it_stays_one_network(
    tmp_path: Path, images: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = save_restless(tmp_path / "px.safetensors", centre=made_centre(tmp_path))
    integers, output = tmp_path / "int8.safetensors", tmp_path / "x.tflite"
    asked = ["quantize", str(checkpoint), "--output", str(integers), *images, *QUICK]
    assert run([*asked, "--qat-steps", "2"]) == 0
    loaded, model = load_steps(integers)
    assert loaded.centre is not None
    assert model.centre is not None
    capsys.readouterr()
    export = ["export", str(output), "--checkpoint", str(integers), *images, "--json"]
    assert run([*export, "--max-drop", "9"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["accepted"]
    centre = report["centre"]
    assert (centre["signature"], centre["model"]) == ("centre", "espcn")
    assert centre["params"] == loaded.centre.params < centre["bytes"]
    assert centre["verification"]["mismatches"] == 0
    assert report["cost"]["centre_ms"] > 0
    written = read_signatures(output).signatures["centre"]
    for name, layer in model.centre.weights.items():
        assert np.array_equal(written.weights[name].values, layer.values)
        assert np.array_equal(written.weights[name].bias, layer.bias)
    schedule = json.loads((tmp_path / "x.schedule.json").read_text())
    assert schedule["centre"] == {"signature": "centre", "halo": 4, "zero_point": -128}
    assert replay_steps(tmp_path / "x.certificate.json", families=("xnnpack",)).values > 0

    state, metadata = read_weights(integers)
    kept = {key: one for key, one in state.items() if not key.startswith("steps.centre.")}
    save_weights(integers, kept, model="resshift_px_s", scale=2, metadata=metadata)
    with pytest.raises(CheckpointError, match="integers of its centre, a espcn, are not in it"):
        load_steps(integers)
