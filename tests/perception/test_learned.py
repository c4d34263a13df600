"""LPIPS and DISTS of their authors' packages against float64 sums, with random backbones.

The packages have to be installed; torchvision need not, a stand-in gives its two backbones.
"""

import sys
from collections.abc import Sequence
from importlib import import_module, util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from edgesr.perception import load_metrics

ALEXNET = (
    (64, 11, 4, 2),
    "pool",
    (192, 5, 1, 2),
    "pool",
    (384, 3, 1, 1),
    (256, 3, 1, 1),
    (256, 3, 1, 1),
)
VGG16 = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))
ALEXNET_TAPS = (1, 4, 7, 9, 11)
VGG_TAPS = (3, 8, 15, 22, 29)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@pytest.fixture(autouse=True)
def backbones(monkeypatch: pytest.MonkeyPatch) -> dict[str, nn.Sequential]:
    """Two random backbones in place of torchvision's, whatever of it is installed."""
    torch.manual_seed(0)
    made = {"alexnet": nn.Sequential(*_alexnet()), "vgg16": nn.Sequential(*_vgg16())}
    models = ModuleType("torchvision.models")
    for name, features in made.items():
        network = nn.Module()
        network.features = features
        setattr(models, name, lambda network=network, **_: network)
    transforms = ModuleType("torchvision.transforms")
    torchvision = ModuleType("torchvision")
    torchvision.models, torchvision.transforms = models, transforms  # type: ignore[attr-defined]
    for module in (torchvision, models, transforms):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    for package in ("lpips", "DISTS_pytorch"):  # imported anew, with the stand-in
        for name in [name for name in sys.modules if name.partition(".")[0] == package]:
            monkeypatch.delitem(sys.modules, name)
    return made


@pytest.fixture
def pair() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    random = np.random.default_rng(0)
    hr = random.integers(0, 256, (70, 84, 3)).astype(np.uint8)
    sr = np.clip(hr.astype(int) + random.integers(-40, 41, hr.shape), 0, 255).astype(np.uint8)
    return sr, hr


def test_lpips_is_the_published_sum_over_alexnet(
    pair: tuple[NDArray[np.uint8], NDArray[np.uint8]], backbones: dict[str, nn.Sequential]
) -> None:
    _need("lpips")
    value = load_metrics(["lpips"])["lpips"](*pair, 3)
    folder = Path(str(import_module("lpips").__file__)).parent
    linear = torch.load(folder / "weights" / "v0.1" / "alex.pth", map_location="cpu")
    wanted = 0.0
    shift = torch.tensor((-0.030, -0.088, -0.188), dtype=torch.float64).reshape(1, 3, 1, 1)
    scale = torch.tensor((0.458, 0.448, 0.450), dtype=torch.float64).reshape(1, 3, 1, 1)
    seen = [
        _features(backbones["alexnet"], ((2 * _image(x) - 1) - shift) / scale, ALEXNET_TAPS)
        for x in pair
    ]
    for number, maps in enumerate(zip(*seen, strict=True)):
        a, b = (x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10) for x in maps)
        weight = linear[f"lin{number}.model.1.weight"].double()
        wanted += float((weight * (a - b) ** 2).sum(1).mean())
    assert value == pytest.approx(wanted, rel=2e-5)
    assert value > 1e-3


def test_dists_is_the_published_sum_over_vgg16(
    pair: tuple[NDArray[np.uint8], NDArray[np.uint8]],
    backbones: dict[str, nn.Sequential],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _need("DISTS_pytorch")
    found = util.find_spec("DISTS_pytorch")
    assert found is not None
    assert found.origin is not None
    folder = Path(found.origin).parent
    monkeypatch.setattr(sys, "prefix", str(folder))  # where the package looks for its weights
    value = load_metrics(["dists"])["dists"](*pair, 3)
    weights = torch.load(folder / "weights.pt", map_location="cpu")
    alpha, beta = (weights[name].double().flatten() for name in ("alpha", "beta"))
    mean, std = (torch.tensor(x, dtype=torch.float64).reshape(1, 3, 1, 1) for x in (MEAN, STD))
    seen = []
    for image in pair:
        own = _image(image)
        scaled = (own - mean) / std
        seen.append([own, *_features(backbones["vgg16"], scaled, VGG_TAPS, hann=True)])
    (ma, va), (mb, vb) = (torch.cat([_moments(x) for x in maps]).T for maps in seen)
    both = torch.cat([(a * b).mean((0, 2, 3)) for a, b in zip(*seen, strict=True)])
    light = (2 * ma * mb + 1e-6) / (ma**2 + mb**2 + 1e-6)
    texture = (2 * (both - ma * mb) + 1e-6) / (va + vb + 1e-6)
    total = alpha.sum() + beta.sum()
    wanted = 1 - float((alpha * light + beta * texture).sum() / total)
    assert value == pytest.approx(wanted, abs=1e-5)
    assert value > 1e-3


def _need(package: str) -> None:
    if util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed; pip install 'edgesr[perceptual]'")


def _image(rgb: NDArray[np.uint8]) -> Tensor:
    inside = rgb[3:-3, 3:-3].astype(np.float64) / 255
    return torch.from_numpy(inside).permute(2, 0, 1)[None]


def _moments(x: Tensor) -> Tensor:
    return torch.stack([x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)], dim=1)


def _features(
    network: nn.Sequential, x: Tensor, taps: Sequence[int], *, hann: bool = False
) -> list[Tensor]:
    """Run the layers in float64, one after the other; ``hann`` is DISTS's pooling."""
    kept = []
    window = torch.tensor((0.25, 0.5, 0.25), dtype=torch.float64)
    for number, layer in enumerate(network):
        if isinstance(layer, nn.Conv2d):
            assert layer.bias is not None
            weight, bias = layer.weight.double(), layer.bias.double()
            x = functional.conv2d(x, weight, bias, stride=layer.stride, padding=layer.padding)
        elif isinstance(layer, nn.ReLU):
            x = x.clamp(min=0)
        elif hann:
            kernel = (window[:, None] * window).expand(x.shape[1], 1, 3, 3)
            x = functional.conv2d(x**2, kernel, stride=2, padding=1, groups=x.shape[1])
            x = (x + 1e-12).sqrt()
        else:
            x = functional.max_pool2d(x, 3, stride=2)
        if number in taps:
            kept.append(x)
    return kept


def _alexnet() -> list[nn.Module]:
    layers: list[nn.Module] = []
    before = 3
    for entry in ALEXNET:
        if isinstance(entry, str):
            layers.append(nn.MaxPool2d(3, stride=2))
            continue
        after, size, stride, padding = entry
        layers += [nn.Conv2d(before, after, size, stride=stride, padding=padding), nn.ReLU()]
        before = after
    return [*layers, nn.MaxPool2d(3, stride=2)]


def _vgg16() -> list[nn.Module]:
    layers: list[nn.Module] = []
    before = 3
    for convolutions, after in VGG16:
        for _ in range(convolutions):
            layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU()]
            before = after
        layers.append(nn.MaxPool2d(2))
    return layers
