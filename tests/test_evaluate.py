"""edgesr.evaluate: means, baseline, bias, time, and what is refused."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgesr.data.layouts import Dataset, ImagePair, find_dataset
from edgesr.errors import DataError, DatasetError
from edgesr.evaluate import evaluate, to_json
from edgesr.files import sha256_file
from edgesr.images import read_image, write_image
from edgesr.metrics import measure
from edgesr.upscalers.bicubic import BicubicUpscaler

SavePhoto = Callable[..., Path]
BICUBIC = BicubicUpscaler(scale=3)


class Oracle:
    """Knows the answer, and adds a tint."""

    name = "oracle"
    scale = 3
    halo = None
    window = None

    def __init__(self, hr: NDArray[np.uint8], tint: tuple[int, int, int] = (0, 0, 0)) -> None:
        self._sr = (hr.astype(np.int64) + tint).astype(np.uint8)

    def __call__(self, lr: NDArray[np.uint8]) -> NDArray[np.uint8]:
        assert lr.shape[0] * self.scale == self._sr.shape[0]
        return self._sr


@pytest.fixture
def dataset(tmp_path: Path, save_photo: SavePhoto) -> Dataset:
    for seed in range(3):
        save_photo(tmp_path / "set" / f"{seed}.png", 36, 48, seed)
    return find_dataset(tmp_path / "set", 3)


def test_means_are_over_images(dataset: Dataset) -> None:
    result = evaluate(BICUBIC, dataset)
    assert list(result.scores) == ["mai", "ntire-esr", "classic-y"]
    for protocol, score in result.scores.items():
        psnrs = [image.scores[protocol].psnr for image in result.images]
        assert len(set(psnrs)) == 3
        assert score.psnr == pytest.approx(np.mean(psnrs))
    assert result.scores == result.bicubic
    assert result.seconds == pytest.approx(sum(image.seconds for image in result.images))


def test_an_oracle_is_perfect_and_json_safe(dataset: Dataset) -> None:
    hr = read_image(dataset.pairs[0].hr)
    result = evaluate(Oracle(hr), dataset, ["mai"], limit=1)
    assert math.isinf(result.scores["mai"].psnr)
    assert result.bicubic["mai"].psnr < 50
    document = json.loads(json.dumps(to_json(result), allow_nan=False))
    assert document["mean"]["mai"] == {"psnr": None, "ssim": pytest.approx(1)}
    assert document["count"] == 1
    assert document["upscaler"] == "oracle"
    assert document["images"][0]["hr_sha256"] == sha256_file(dataset.pairs[0].hr)
    assert document["images"][0]["lr_sha256"] is None


def test_a_tint_shows_as_signed_colour_bias(tmp_path: Path) -> None:
    hr = np.full((33, 33, 3), 100, dtype=np.uint8)
    write_image(tmp_path / "a.png", hr)
    tinted = Oracle(hr, (3, 0, -2))
    result = evaluate(tinted, find_dataset(tmp_path, 3), ["classic-y"])
    assert result.colour_bias == pytest.approx((3, 0, -2))


def test_bicubic_on_set5_from_the_published_lr(shared_data: Path) -> None:
    folders = shared_data / "eval" / "Set5", shared_data / "eval_lr" / "Set5"
    with_lr = evaluate(BICUBIC, find_dataset(folders[0], 3, lr_root=folders[1]))
    made = evaluate(BICUBIC, find_dataset(folders[0], 3))
    assert with_lr.scores == made.scores
    assert with_lr.scores["classic-y"].psnr == pytest.approx(30.405, abs=0.001)
    assert with_lr.scores["ntire-esr"].psnr == pytest.approx(28.625, abs=0.001)
    assert all(image.lr_sha256 for image in with_lr.images)


def test_what_cannot_be_evaluated_is_refused(dataset: Dataset, save_photo: SavePhoto) -> None:
    with pytest.raises(DataError, match="protocol 'psnr' is unknown; choose from mai"):
        evaluate(BICUBIC, dataset, ["psnr"])
    with pytest.raises(DatasetError, match="pairs are for x3, but bicubic upscales x2"):
        evaluate(BicubicUpscaler(scale=2), dataset)
    with pytest.raises(DatasetError, match="no images to evaluate on"):
        evaluate(BICUBIC, dataset, limit=0)
    tiny = save_photo(dataset.root / "tiny.png", 12, 12)
    pair = ImagePair(name="tiny", hr=tiny)
    one = Dataset(kind="test", root=dataset.root, scale=3, pairs=(pair,))
    with pytest.raises(DatasetError, match=r"tiny\.png: SSIM wants at least 11 pixels"):
        evaluate(BICUBIC, one)


def test_progress_counts_images(dataset: Dataset) -> None:
    calls: list[tuple[int, int]] = []
    evaluate(BICUBIC, dataset, ["mai"], on_image=lambda *count: calls.append(count))
    assert calls == [(1, 3), (2, 3), (3, 3)]


def test_scores_are_those_of_measure(dataset: Dataset) -> None:
    result = evaluate(BICUBIC, dataset, ["mai"], limit=1)
    hr = read_image(dataset.pairs[0].hr)
    from edgesr.imresize import downscale

    expected = measure(BICUBIC(downscale(hr, 3)), hr, scale=3, protocol="mai")
    assert result.images[0].scores["mai"] == expected
