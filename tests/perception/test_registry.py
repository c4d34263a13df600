"""All metrics by name: what every one of them has to show, and LPIPS and DISTS where absent."""

import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import get_args

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage

from edgesr.cli.eval import MetricName
from edgesr.errors import DataError, MissingDependencyError
from edgesr.perception import LEARNED, PERCEPTUAL, load_metrics

Photo = Callable[..., NDArray[np.uint8]]
METRICS = load_metrics(list(PERCEPTUAL))


@pytest.fixture
def hr() -> NDArray[np.uint8]:
    """Edges and texture of all sizes: the spectrum of a photograph falls like this one's."""
    random = np.random.default_rng(0)
    frequency = np.hypot(np.fft.fftfreq(192)[:, None], np.fft.fftfreq(200)[None, :])
    shaped = np.fft.fft2(random.normal(size=(192, 200))) / np.maximum(frequency, 1 / 200)
    plane = np.fft.ifft2(shaped).real
    plane = 128 + 45 * plane / plane.std()
    made: NDArray[np.uint8] = np.clip(plane, 0, 255).astype(np.uint8)[..., None].repeat(3, axis=-1)
    return made


def blurred(hr: NDArray[np.uint8], sigma: float) -> NDArray[np.uint8]:
    smooth = ndimage.gaussian_filter(hr.astype(float), (sigma, sigma, 0))
    return np.asarray(np.rint(smooth), dtype=np.uint8)


def noisy(hr: NDArray[np.uint8], sigma: float) -> NDArray[np.uint8]:
    noise = np.random.default_rng(1).normal(0, sigma, hr.shape)
    return np.clip(np.rint(hr + noise), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("name", PERCEPTUAL)
def test_equal_images_are_perfect(name: str, hr: NDArray[np.uint8]) -> None:
    perfect = 0 if PERCEPTUAL[name].better == "lower" else 1
    assert METRICS[name](hr, hr, 3) == pytest.approx(perfect, abs=1e-9)


@pytest.mark.parametrize("name", PERCEPTUAL)
def test_growing_blur_is_growing_loss(name: str, hr: NDArray[np.uint8]) -> None:
    values = [METRICS[name](blurred(hr, sigma), hr, 3) for sigma in (0.4, 0.8, 1.2, 2.0)]
    rising = PERCEPTUAL[name].better == "lower"
    assert values == sorted(values, reverse=not rising)
    assert len(set(values)) == 4


@pytest.mark.parametrize("name", PERCEPTUAL)
def test_growing_noise_is_growing_loss(name: str, hr: NDArray[np.uint8]) -> None:
    values = [METRICS[name](noisy(hr, sigma), hr, 3) for sigma in (4, 8, 16, 32)]
    rising = PERCEPTUAL[name].better != "higher"  # noise is detail that was not there
    assert values == sorted(values, reverse=not rising)
    assert len(set(values)) == 4


def test_blur_and_noise_are_told_apart_by_the_high_frequencies(hr: NDArray[np.uint8]) -> None:
    ratio = METRICS["high_frequency_ratio"]
    assert ratio(blurred(hr, 1.2), hr, 3) < 0.3
    assert ratio(noisy(hr, 16), hr, 3) > 1.2


@pytest.mark.parametrize("name", PERCEPTUAL)
def test_the_border_is_cut_off(name: str, hr: NDArray[np.uint8]) -> None:
    sr = blurred(hr, 0.8)
    framed = sr.copy()
    framed[:3] = framed[-3:] = 0
    framed[:, :3] = framed[:, -3:] = 255
    assert METRICS[name](framed, hr, 3) == METRICS[name](sr, hr, 3)
    assert METRICS[name](framed, hr, 2) != METRICS[name](sr, hr, 2)


def test_the_command_offers_all_names_and_no_other() -> None:
    assert list(get_args(MetricName)) == [*PERCEPTUAL, *LEARNED]


def test_what_cannot_be_measured_is_refused(hr: NDArray[np.uint8]) -> None:
    with pytest.raises(DataError, match="metric 'niqe' is unknown; choose from ms_ssim, vif"):
        load_metrics(["niqe"])
    with pytest.raises(DataError, match="want equal"):
        METRICS["gmsd"](hr[1:], hr, 3)
    with pytest.raises(DataError, match="round both to uint8"):
        METRICS["gmsd"](hr / 1.0, hr, 3)  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "package"), [("lpips", "lpips"), ("dists", "DISTS_pytorch")])
def test_a_learned_metric_that_is_absent_says_what_to_install(
    name: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'edgesr\[perceptual\]'") as info:
        load_metrics([name])
    assert package.replace("_", "-") in str(info.value)
    assert "--perceptual, which needs no weights" in str(info.value)
    assert info.value.exit_code == 4


@pytest.mark.parametrize(
    "failure",
    [
        OSError("no network"),
        RuntimeError("operator torchvision::nms does not exist"),
        TypeError("alexnet() got an unexpected keyword argument 'pretrained'"),
    ],
)
def test_weights_or_a_torchvision_that_fail_are_a_missing_dependency(
    failure: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(**_: object) -> None:
        raise failure

    monkeypatch.setitem(sys.modules, "lpips", SimpleNamespace(LPIPS=fails))
    with pytest.raises(MissingDependencyError) as info:
        load_metrics(["lpips"])
    assert str(failure) in str(info.value)


class Distance(torch.nn.Module):
    """Stands in for a learned network: remembers what it was given."""

    def __init__(self, **_: object) -> None:
        super().__init__()
        self.seen: list[torch.Tensor] = []

    def forward(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        self.seen += [first, second]
        return (first - second).abs().mean().reshape(1, 1, 1, 1)


@pytest.mark.parametrize(
    ("name", "package", "attribute", "span"),
    [("lpips", "lpips", "LPIPS", (-1, 1)), ("dists", "DISTS_pytorch", "DISTS", (0, 1))],
)
def test_a_learned_metric_sees_rgb_planes_in_its_range(
    name: str,
    package: str,
    attribute: str,
    span: tuple[int, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = Distance()
    module = ModuleType(package)
    setattr(module, attribute, lambda **_: network)
    monkeypatch.setitem(sys.modules, package, module)
    sr, hr = np.zeros((16, 20, 3), np.uint8), np.full((16, 20, 3), 255, np.uint8)
    value = load_metrics([name])[name](sr, hr, 2)
    assert value == pytest.approx(span[1] - span[0])
    assert [tuple(seen.shape) for seen in network.seen] == [(1, 3, 12, 16)] * 2
    assert sorted(float(seen.min()) for seen in network.seen) == list(span)
