"""LPIPS and DISTS from their authors' packages, where the user has installed them with weights.

Both need torchvision, whose networks they look through, and download its weights at first use.
Their last releases are of 2021 and 2020; they are taken all the same, since the values that papers
print are theirs. Nothing of them is imported before a metric is asked for.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesr.errors import MissingDependencyError

RgbDistance = Callable[[NDArray[np.uint8], NDArray[np.uint8]], float]
"""``(sr, hr) -> distance`` of ``(h, w, 3)`` RGB uint8."""
_PEAK = 255.0


def load_lpips() -> RgbDistance:
    """Return LPIPS with AlexNet and the linear weights 0.1; 0 for equal images.

    Raises:
        MissingDependencyError: the package, torchvision or the weights are not there.

    Source: Zhang, Isola, Efros, Shechtman, Wang 2018, arXiv 1801.03924.
    """
    network = _network("lpips", "lpips", lambda module: module.LPIPS(net="alex", verbose=False))
    torch = import_module("torch")

    def distance(sr: NDArray[np.uint8], hr: NDArray[np.uint8]) -> float:
        with torch.no_grad():  # the network wants [-1, 1]
            return float(network(2 * _batch(torch, sr) - 1, 2 * _batch(torch, hr) - 1))

    return distance


def load_dists() -> RgbDistance:
    """Return DISTS with VGG16 and its authors' weights; 0 for equal images.

    Raises:
        MissingDependencyError: the package, torchvision or the weights are not there.

    Source: Ding, Ma, Wang, Simoncelli 2020, arXiv 2004.07728.
    """
    network = _network("dists", "DISTS_pytorch", lambda module: module.DISTS())
    torch = import_module("torch")

    def distance(sr: NDArray[np.uint8], hr: NDArray[np.uint8]) -> float:
        with torch.no_grad():
            return float(network(_batch(torch, hr), _batch(torch, sr)))

    return distance


def _network(name: str, package: str, build: Callable[[Any], Any]) -> Any:
    try:
        return build(import_module(package)).eval()
    except (ImportError, OSError, RuntimeError, TypeError) as error:
        # torchvision fails in the first three ways; in the last, once it drops `pretrained=`
        reason = " ".join(str(error).split()) or type(error).__name__
        raise MissingDependencyError(
            f"metric {name}: {package.replace('_', '-')} with its weights is not there ({reason}); "
            "pip install 'edgesr[perceptual]', or use --perceptual, which needs no weights"
        ) from error


def _batch(torch: Any, rgb: NDArray[np.uint8]) -> Any:
    """Return ``(1, 3, h, w)`` float32 in [0, 1]."""
    return torch.from_numpy(rgb.astype(np.float32) / _PEAK).permute(2, 0, 1)[None]
