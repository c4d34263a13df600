"""A packed file upscales as the denoiser that it was exported from."""

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from edgesr.binary.esb import EsbFile, from_bytes, read_esb, to_bytes
from edgesr.cli import run
from edgesr.errors import CheckpointError, DataError, EdgesrError
from edgesr.export.binary import export_binary
from edgesr.models.denoiser_files import LoadedDenoiser, Schedule, load_denoiser, save_denoiser
from edgesr.models.denoisers import build_denoiser
from edgesr.upscalers import load_upscaler
from edgesr.upscalers.load import is_sampled
from edgesr.upscalers.packed import binary_layers, load_packed, packed_denoiser
from tests.export.stepwise_case import made_centre

NAME = "resshift_px_s_1bit"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    network = build_denoiser(NAME, 2)
    with torch.no_grad():
        for name, value in network.named_parameters():
            if name.endswith(("shift", "before", "after", "head.weight")):
                value.normal_(0.0, 0.05)
            value.copy_(value.half().float())  # what a file of half precision holds
    path = tmp_path_factory.mktemp("packed") / "one.safetensors"
    save_denoiser(
        path,
        network.state_dict(),
        model=NAME,
        scale=2,
        schedule=Schedule(name="resshift", parameters={"num_steps": 4}, sampling_steps=2),
        prediction="residual",
        metadata={"recipe": "test"},
    )
    return path


@pytest.fixture(scope="module")
def packed(checkpoint: Path) -> Path:
    path = checkpoint.with_suffix(".esb")
    found = export_binary(load_denoiser(checkpoint), path)
    assert (found.mismatches, found.layers, found.binary_params) == (0, 8, 184_320)
    assert found.bytes == path.stat().st_size < found.float32_bytes / 6
    return path


def test_a_packed_network_predicts_what_the_float_simulation_does(
    checkpoint: Path, packed: Path
) -> None:
    wanted, found = load_denoiser(checkpoint), load_packed(packed)
    assert not binary_layers(found.module)
    assert (found.scale, found.prediction, found.schedule) == (2, "residual", wanted.schedule)
    assert found.metadata["recipe"] == "test"
    lr, x_t = torch.rand(2, 3, 10, 14), torch.randn(2, 3, 20, 28)
    with torch.no_grad():
        pair = [one.module(x_t, torch.tensor([1, 4]), lr) for one in (wanted, found)]
    # a bit near its threshold may fall to the other side where float sums are ordered otherwise
    apart = (pair[0] - pair[1]).abs()
    assert float(apart.mean()) < 1e-4 * float(pair[0].abs().mean())


def test_photographs_are_upscaled_alike_and_from_the_file_alone(
    checkpoint: Path, packed: Path, photo: Callable[..., np.ndarray]
) -> None:
    lr = photo(20, 26)
    upscaler = load_upscaler(packed)
    assert is_sampled(packed)
    assert upscaler.name.endswith("(2 steps)")
    apart = np.abs(upscaler(lr).astype(int) - load_upscaler(checkpoint)(lr).astype(int))
    assert apart.mean() < 0.05


def test_the_network_of_the_centre_goes_into_the_file_in_half_precision(
    checkpoint: Path, tmp_path: Path, photo: Callable[..., np.ndarray]
) -> None:
    loaded = replace(load_denoiser(checkpoint), centre=made_centre(tmp_path))
    target = tmp_path / "centred.esb"
    report = export_binary(loaded, target)
    assert report.centre_params == loaded.centre.params > 0  # type: ignore[union-attr]
    found = load_packed(target).centre
    assert found is not None
    for name, value in loaded.centre.module.state_dict().items():  # type: ignore[union-attr]
        assert torch.equal(found.module.state_dict()[name], value.half().float())
    assert load_packed(target).centre.sha256 == loaded.centre.sha256  # type: ignore[union-attr]
    lr = photo(12, 16)
    without = export_binary(load_denoiser(checkpoint), tmp_path / "bicubic.esb")
    assert without.bytes < report.bytes
    bicubic = load_upscaler(tmp_path / "bicubic.esb")(lr).astype(int)
    assert np.abs(load_upscaler(target)(lr) - bicubic).mean() > 1
    content = read_esb(target)
    kept = {name: one for name, one in content.tensors.items() if not name.startswith("centre.")}
    with pytest.raises(CheckpointError, match="weights of its centre, a espcn, are not in it"):
        packed_denoiser(EsbFile(about=content.about, tensors=kept), target)


def test_the_commands_write_and_run_a_file(
    checkpoint: Path,
    tmp_path: Path,
    save_photo: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    target, photo = tmp_path / "model.esb", save_photo(tmp_path / "a.png", 12, 16)
    flags = ["--checkpoint", str(checkpoint), "--json"]
    assert run(["export", "--binary", str(target), *flags]) == 0
    assert json.loads(capsys.readouterr().out)["mismatches"] == 0
    big = tmp_path / "b.png"
    assert (
        run(["upscale", str(photo), "--model", str(target), "--threads", "2", "-o", str(big)]) == 0
    )
    assert big.is_file()
    assert run(["export", "--binary", str(tmp_path / "m.tflite"), *flags]) == 2
    assert run(["export", "--binary", str(target), "--int8", *flags]) == 2
    assert run(["upscale", str(photo), "--model", str(checkpoint.parent / "no.esb")]) == 3


def test_a_float_denoiser_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "float.safetensors"
    save_denoiser(
        path,
        build_denoiser("resshift_px_s", 2).state_dict(),
        model="resshift_px_s",
        scale=2,
        schedule=Schedule(name="resshift", parameters={"num_steps": 4}),
        prediction="residual",
    )
    target = tmp_path / "float.esb"
    assert run(["export", "--binary", str(target), "--checkpoint", str(path)]) == 3
    assert not target.exists()


def test_other_scales_and_models_are_refused(packed: Path) -> None:
    with pytest.raises(CheckpointError, match="scale 2, but scale 4"):
        load_packed(packed, scale=4)
    with pytest.raises(CheckpointError, match="bidiffsr"):
        load_packed(packed, model="bidiffsr")


def test_facts_that_do_not_fit_are_refused(packed: Path) -> None:
    content = read_esb(packed)
    for key, value in {
        "schema": "edgesr/esb/9",
        "model": "unet",
        "scale": True,
        "prediction": "x9",
        "schedule": 5,
        "schedule_parameters": [],
        "sampling_steps": 0,
        "metadata": {"a": 1},
        "styles": {},
    }.items():
        wrong = EsbFile(about={**content.about, key: value}, tensors=content.tensors)
        with pytest.raises(CheckpointError):
            packed_denoiser(wrong, packed)
    for name in list(content.tensors)[:12]:
        less = {key: value for key, value in content.tensors.items() if key != name}
        with pytest.raises(CheckpointError, match=name):
            packed_denoiser(EsbFile(about=content.about, tensors=less), packed)


def test_a_loader_meets_mutated_facts_with_an_error_of_ours(packed: Path) -> None:
    content, loaded = read_esb(packed), 0
    dice = random.Random(0)  # noqa: S311
    for _ in range(25):
        text = bytearray(json.dumps(content.about).encode())
        for _ in range(dice.randint(1, 2)):
            text[dice.randrange(len(text))] = dice.randrange(32, 127)
        try:
            about = json.loads(text)
            data = to_bytes(EsbFile(about=about, tensors=content.tensors))
            result = packed_denoiser(from_bytes(data, "file"), packed)
        except (ValueError, EdgesrError):
            continue
        assert isinstance(result, LoadedDenoiser)
        loaded += 1
    assert loaded < 25


def test_the_official_configuration_fits_in_12_5_megabytes() -> None:
    with torch.device("meta"):
        network = build_denoiser("bidiffsr", 4)
    layers = binary_layers(network)
    bits = sum(conv.weight.numel() for conv in layers.values())
    rest = sum(value.numel() for value in network.state_dict().values()) - bits
    factors = sum(conv.channels for conv in layers.values())
    assert bits == 48_211_968
    tensors = len(network.state_dict()) + len(layers)
    assert bits // 8 + 2 * rest + 4 * factors + tensors * 64 + 100_000 <= 12_500_000


def test_a_timestep_outside_is_refused_by_the_packed_network(packed: Path) -> None:
    network = load_packed(packed).module
    lr, x_t = torch.rand(1, 3, 8, 8), torch.randn(1, 3, 16, 16)
    for timestep in (-1, 17):
        with pytest.raises(DataError, match=rf"timestep {timestep} is outside 0 to 16"):
            network(x_t, torch.tensor([timestep]), lr)


def test_weights_of_a_grouped_convolution_are_refused(packed: Path) -> None:
    content = read_esb(packed)
    name = next(key for key, value in content.tensors.items() if value.dtype == np.bool_)
    grouped = {**content.tensors, name: content.tensors[name][:, ::2]}
    with pytest.raises(CheckpointError, match=rf"{name} is bool \(32, 16, 3, 3\), want \(32, 32"):
        packed_denoiser(EsbFile(about=content.about, tensors=grouped), packed)
