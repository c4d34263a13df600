import os
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

_BESIDE_CHECKOUT = Path(__file__).resolve().parents[1].parent / "shared" / "data"


@pytest.fixture(autouse=True)
def fixed_seeds() -> None:
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - the legacy generator is what other libraries draw from


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep decoded images out of the user's cache."""
    monkeypatch.setenv("EDGESR_CACHE", str(tmp_path_factory.getbasetemp() / "edgesr-cache"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with Set5, BSD100 (``eval``, ``eval_lr``) and training photographs (``train``)."""
    folder = Path(os.environ.get("EDGESR_TEST_DATA", _BESIDE_CHECKOUT))
    if not (folder / "eval" / "Set5").is_dir():
        pytest.skip("needs Set5 and BSD100; set EDGESR_TEST_DATA to the folder that holds them")
    return folder


@pytest.fixture
def photo() -> Callable[..., NDArray[np.uint8]]:
    """Make a picture with smooth and busy parts: ``photo(height, width, seed=0)``."""

    def make(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
        y, x = np.arange(height)[:, None, None], np.arange(width)[None, :, None]
        waves = np.sin(x / (3 + np.arange(3))) + np.cos(y / (4 + seed % 5))
        noise = np.random.default_rng(seed).normal(0, 6, (height, width, 3))
        made: NDArray[np.uint8] = np.clip(128 + 50 * waves + noise, 0, 255).astype(np.uint8)
        return made

    return make


@pytest.fixture
def save_photo(
    photo: Callable[..., NDArray[np.uint8]],
) -> Callable[..., Path]:
    """Write a made picture: ``save_photo(path, height, width, seed=0)``; folders are made."""

    def save(path: Path, height: int = 24, width: int = 36, seed: int = 0) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photo(height, width, seed)).save(path)
        return path

    return save
