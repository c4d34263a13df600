"""edgesr.imresize against published files, a slow formula and its own promises."""

import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgesr.errors import DataError
from edgesr.images import list_images, read_image
from edgesr.imresize import downscale, imresize, modcrop, upscale_bicubic

_NUMBERS = np.arange(12 * 12).reshape(12, 12)
GOLDEN_HR = ((_NUMBERS * 37 + _NUMBERS**2 * 11) % 256).astype(np.uint8)

# computed once in exact rational arithmetic
GOLDEN_LR = {
    "replicate": [
        [110, 141, 122, 171],
        [136, 128, 159, 159],
        [137, 125, 179, 115],
        [139, 118, 133, 147],
    ],
    "symmetric": [
        [106, 142, 122, 171],
        [137, 128, 159, 158],
        [135, 125, 179, 114],
        [139, 119, 129, 148],
    ],
}


def cubic(x: float) -> float:
    x = abs(x)
    if x <= 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x <= 2 else 0.0


def slow_resize(line: list[float], length: int, factor: float, *, mirror: bool) -> list[float]:
    """Resize one line sample by sample, straight from the definition."""
    shrink = min(factor, 1.0)
    result = []
    for k in range(length):
        centre = (k + 0.5) / factor - 0.5
        total = weight_sum = 0.0
        for p in range(math.floor(centre - 2 / shrink) - 1, math.ceil(centre + 2 / shrink) + 2):
            weight = cubic(shrink * (centre - p))
            if mirror:
                q = p % (2 * len(line))
                q = q if q < len(line) else 2 * len(line) - 1 - q
            else:
                q = min(max(p, 0), len(line) - 1)
            total += weight * line[q]
            weight_sum += weight
        result.append(total / weight_sum)
    return result


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("dataset", ["Set5", "BSD100"])
def test_downscale_is_bit_exact_on_the_published_files(
    shared_data: Path, dataset: str, scale: int
) -> None:
    differing = []
    files = list_images(shared_data / "eval" / dataset)
    for path in files:
        made = downscale(modcrop(read_image(path), scale), scale)
        published = read_image(shared_data / "eval_lr" / dataset / f"X{scale}" / f"{path.stem}.png")
        if not np.array_equal(made, published):
            differing.append(path.name)
    assert files
    assert differing == []


def test_downscale_keeps_its_golden_values() -> None:
    assert downscale(GOLDEN_HR, 3).tolist() == GOLDEN_LR["replicate"]
    assert downscale(GOLDEN_HR, 3, edge="symmetric").tolist() == GOLDEN_LR["symmetric"]


@pytest.mark.parametrize("edge", ["replicate", "symmetric"])
@pytest.mark.parametrize("factor", [Fraction(1, 3), Fraction(1, 2), Fraction(2, 5), 2, 3, 4])
def test_float_resize_equals_the_slow_formula(edge: str, factor: Fraction | int) -> None:
    image = np.random.default_rng(7).normal(size=(11, 14))
    made = imresize(image, scale=factor, edge=edge)  # type: ignore[arg-type]
    mirror = edge == "symmetric"
    tall, wide = math.ceil(11 * factor), math.ceil(14 * factor)
    columns = [slow_resize(c, tall, float(factor), mirror=mirror) for c in image.T.tolist()]
    rows = np.array(columns).T.tolist()
    expected = [slow_resize(row, wide, float(factor), mirror=mirror) for row in rows]
    np.testing.assert_allclose(made, expected, rtol=0, atol=1e-12)


def test_edge_rules_differ_at_the_border_only() -> None:
    image = np.random.default_rng(3).integers(0, 256, (48, 60, 3), dtype=np.uint8)
    replicate, symmetric = downscale(image, 3), downscale(image, 3, edge="symmetric")
    np.testing.assert_array_equal(replicate[2:-2, 2:-2], symmetric[2:-2, 2:-2])
    assert not np.array_equal(replicate, symmetric)


@given(level=st.integers(0, 255), scale=st.sampled_from([2, 3, 4]))
def test_a_constant_image_stays_constant(level: int, scale: int) -> None:
    image = np.full((12, 24, 3), level, dtype=np.uint8)
    assert (downscale(image, scale) == level).all()
    assert (upscale_bicubic(image, scale) == level).all()


@given(seed=st.integers(0, 2**32 - 1), scale=st.sampled_from([2, 3, 4]))
def test_resizing_commutes_with_flipping_both_axes(seed: int, scale: int) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (24, 12)).astype(np.float64)

    def flip(a: NDArray[np.float64]) -> NDArray[np.float64]:
        return a[::-1, ::-1]

    factor = Fraction(1, scale)
    made = imresize(flip(image), scale=factor)
    np.testing.assert_allclose(made, flip(imresize(image, scale=factor)), atol=1e-10)


def test_modcrop_keeps_the_top_left() -> None:
    image = np.arange(7 * 8 * 3, dtype=np.uint8).reshape(7, 8, 3)
    np.testing.assert_array_equal(modcrop(image, 3), image[:6, :6])


def test_a_shape_may_be_asked_for() -> None:
    assert imresize(GOLDEN_HR, shape=(5, 9)).shape == (5, 9)


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(DataError, match="modcrop"):
        downscale(np.zeros((7, 6), dtype=np.uint8), 3)
    with pytest.raises(DataError, match="either a scale or a shape"):
        imresize(GOLDEN_HR)
    with pytest.raises(DataError, match="below one pixel"):
        imresize(GOLDEN_HR, shape=(0, 3))
    with pytest.raises(DataError, match="came"):
        imresize(np.zeros(4), scale=2)
