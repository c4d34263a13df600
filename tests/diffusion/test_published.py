"""BI-DiffSR's authors' weights are sampled as their code does it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgesr.cli import run
from edgesr.diffusion.conditioned import ConditionedDenoiser
from edgesr.diffusion.noise import Noise
from edgesr.diffusion.published import (
    PUBLISHED,
    enlarge_opencv,
    import_published,
    leading_path,
    published_path,
    sample_published,
)
from edgesr.errors import CheckpointError, DataError, DiffusionError
from edgesr.models.bidiffsr import bidiffsr
from edgesr.models.denoiser import Denoiser
from edgesr.models.denoiser_files import load_denoiser
from edgesr.models.denoisers import DENOISERS
from edgesr.upscalers import load_upscaler
from edgesr.upscalers.load import Sampling
from tests.models.test_bidiffsr import published, small


def tiny(scale: int) -> Denoiser:
    assert scale == 2
    return bidiffsr(2, width=8, multipliers=(1, 2), blocks=1, norm_groups=4, float_levels=(0,))


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A .pth of random weights under the authors' names, of a network small enough for a test."""
    descriptor = replace(DENOISERS["bidiffsr"], build=tiny)
    known = MappingProxyType({**DENOISERS, "bidiffsr": descriptor})
    for module in ("denoisers", "denoiser_files"):
        monkeypatch.setattr(f"edgesr.models.{module}.DENOISERS", known)
    monkeypatch.setattr("edgesr.upscalers.packed.DENOISERS", known)
    path = tmp_path / "authors.pth"
    torch.save({"params": published(small(float_levels=(0,)))}, path)
    return path


def reference(
    network: Denoiser, condition: Tensor, start: Tensor, steps: int, total: int = 2000
) -> Tensor:
    """Their loop, written from the definition of DDIM with timesteps spaced from 0."""
    kept = torch.cumprod(1 - torch.linspace(1e-6, 1e-2, total, dtype=torch.float64), 0)
    stride, x = total // steps, start
    for t in range((steps - 1) * stride, -1, -stride):
        now, then = kept[t], kept[t - stride] if t >= stride else torch.tensor(1.0)
        # the network joins what it is given as centre; the low-resolution image is not looked at
        lr = torch.zeros(len(x), 3, x.shape[2] // 2, x.shape[3] // 2)
        noise = network(x, torch.tensor([t]), lr, condition)
        clean = ((x - (1 - now).sqrt() * noise) / now.sqrt()).clip(-1, 1)
        x = (then.sqrt() * clean + (1 - then).sqrt() * noise).float()
    return x


@pytest.mark.parametrize("steps", [1, 7, 50])
def test_the_loop_is_the_authors(steps: int) -> None:
    network, grey = small(float_levels=(0,)), torch.rand(1, 3, 8, 12)
    path, noise = leading_path(published_path(), steps), Noise(seed=3)
    found = sample_published(network, 2 * grey - 1, path, noise=noise)
    start = noise.draw(torch.empty(1, 3, 16, 24), state=steps)
    with torch.no_grad():
        wanted = reference(network, enlarge_opencv(grey, 2), start, steps)
    assert float(((found + 1) / 2 - wanted).abs().max()) < 1e-5


def test_timesteps_and_what_is_left_of_the_image_are_the_published_ones() -> None:
    path = leading_path(published_path(), 50)
    assert (path.timesteps[1:] - 1).tolist() == list(range(0, 2000, 40))
    kept = published_path().signal ** 2
    for timestep, wanted in ((0, 0.999999), (40, 0.99586563), (1000, 0.08137463)):
        assert kept[timestep + 1] == pytest.approx(wanted, abs=5e-8)
    assert kept[1961] == pytest.approx(6.4665e-5, rel=1e-4)
    for steps in (0, 2001):
        with pytest.raises(DiffusionError, match="want 1 to 2000"):
            leading_path(published_path(), steps)


def test_the_enlargement_is_opencvs() -> None:
    row = torch.rand(9, dtype=torch.float64)
    image = row.expand(1, 3, 5, 9)
    found = enlarge_opencv(image, 4)[0, 0, 10]
    wanted = []
    for x in range(36):
        place = (x + 0.5) / 4 - 0.5
        first = int(np.floor(place)) - 1
        wanted.append(
            sum(
                float(row[min(max(n, 0), 8)]) * keys(abs(place - n))
                for n in range(first, first + 4)
            )
        )
    assert np.abs(found.numpy() - wanted).max() < 1e-12


def keys(distance: float, a: float = -0.75) -> float:
    """The cubic that OpenCV documents for ``INTER_CUBIC``."""
    if distance <= 1:
        return (a + 2) * distance**3 - (a + 3) * distance**2 + 1
    return a * distance**3 - 5 * a * distance**2 + 8 * a * distance - 4 * a


def test_sizes_are_padded_by_reflection_and_cut_again() -> None:
    network, path = small(float_levels=(0,)), leading_path(published_path(), 2)
    odd = torch.rand(1, 3, 7, 5)  # enlarged to 14 x 10: whole blocks of 2
    assert sample_published(network, odd, path, noise=Noise(seed=0)).shape == (1, 3, 14, 10)
    wide = bidiffsr(2, width=8, multipliers=(1, 2, 4), blocks=1, norm_groups=4, float_levels=())
    assert sample_published(wide, odd, path, noise=Noise(seed=0)).shape == (1, 3, 14, 10)
    with pytest.raises(DataError, match="too small"):
        sample_published(wide, odd[:, :, :1, :1], path, noise=Noise(seed=0))


def test_a_file_is_imported_and_upscales(
    weights: Path,
    tmp_path: Path,
    photo: Callable[..., NDArray[np.uint8]],
    save_photo: Callable[..., Path],
) -> None:
    source, big = save_photo(tmp_path / "a.png", 9, 12), tmp_path / "b.png"
    assert run(["models", "import", str(weights), "--scale", "2", "--steps", "5", "--json"]) == 0
    file = weights.with_suffix(".safetensors")
    assert run(["upscale", str(source), "--model", str(file), "-o", str(big)]) == 0
    assert big.is_file()
    upscaler, lr = load_upscaler(file), photo(9, 12)
    assert upscaler.name.endswith("(5 steps)")
    loaded = load_denoiser(file)
    grey = torch.from_numpy(lr.copy()).permute(2, 0, 1)[None] / 255
    start = Noise(seed=0).draw(torch.empty(1, 3, 18, 24), state=5)
    with torch.no_grad():
        wanted = reference(loaded.module, enlarge_opencv(grey, 2), start, 5)
    levels = (wanted.clip(0, 1) * 255).round()[0].permute(1, 2, 0).numpy()
    assert np.abs(upscaler(lr).astype(float) - levels).max() <= 1
    with pytest.raises(DiffusionError, match="drop --sampler"):
        load_upscaler(file, sampling=Sampling(sampler="ancestral"))
    packed = tmp_path / "a.esb"
    assert run(["export", "--binary", str(packed), "--checkpoint", str(file), "--json"]) == 0
    assert load_upscaler(packed).name.endswith("(5 steps)")
    assert load_upscaler(packed)(lr).shape == (18, 24, 3)


def test_no_other_loop_takes_these_weights(weights: Path, tmp_path: Path) -> None:
    file = tmp_path / "theirs.safetensors"
    assert import_published(weights, file, scale=2) > 0
    loaded = load_denoiser(file)
    assert (loaded.schedule.name, loaded.schedule.sampling_steps) == (PUBLISHED, 50)
    with pytest.raises(DiffusionError, match="its authors' loop alone"):
        ConditionedDenoiser(loaded.module, published_path())


def test_what_is_not_theirs_is_refused(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="scale 3, want 2 or 4"):
        import_published(weights, tmp_path / "a.safetensors", scale=3)
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        import_published(tmp_path / "none.pth", tmp_path / "a.safetensors", scale=2)
    other = tmp_path / "other.pth"
    torch.save({"conv.weight": torch.zeros(3)}, other)
    with pytest.raises(CheckpointError, match="is not a tensor of BI-DiffSR"):
        import_published(other, tmp_path / "a.safetensors", scale=2)
    torch.save({"params": {"final_conv.block.0.weight": torch.zeros(8)}}, other)
    with pytest.raises(CheckpointError, match="does not fit bidiffsr x2 under its authors' names"):
        import_published(other, tmp_path / "a.safetensors", scale=2)
    assert not list(tmp_path.glob("*.safetensors"))


def test_a_target_of_another_form_and_the_source_itself_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "a.safetensors"
    command = ["models", "import", str(source), "--scale", "2"]
    assert run(command) == 2
    assert "is the source itself" in capsys.readouterr().err
    assert run([*command, "-o", "a.pth"]) == 2
    assert "want a file that ends in .safetensors" in capsys.readouterr().err
