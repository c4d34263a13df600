"""edgesr.tiling: the tiled result is the untiled one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgesr.errors import DataError
from edgesr.tiling import fit_window, plan_spans, upscale_tiled

HALO = 3
SCALE = 2


def integer_network(lr: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Three wrapping 3x3 convolutions with zero padding, then nearest enlargement with a phase."""
    values = lr.astype(np.int64)
    height, width = lr.shape[:2]
    for layer in range(HALO):
        padded = np.pad(values, ((1, 1), (1, 1), (0, 0)))
        total = np.zeros_like(values)
        for dy in range(3):
            for dx in range(3):
                weight = 3 * dy + dx + 2 + layer
                total += weight * padded[dy : dy + height, dx : dx + width] + 7
        values = total % 251
    large = values.repeat(SCALE, axis=0).repeat(SCALE, axis=1)
    large[::2] += 1
    large[:, ::2] += 2
    return large.astype(np.uint8)


@settings(deadline=None)
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    longest=st.integers(2 * HALO + 1, 24),
    seed=st.integers(0, 2**32 - 1),
)
def test_tiled_equals_untiled(height: int, width: int, longest: int, seed: int) -> None:
    lr = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    window = (
        fit_window(height, longest=longest, halo=HALO),
        fit_window(width, longest=longest, halo=HALO),
    )
    shapes = set()

    def network(part: NDArray[np.uint8]) -> NDArray[np.uint8]:
        shapes.add(part.shape)
        return integer_network(part)

    sr = upscale_tiled(lr, network, scale=SCALE, window=window, halo=HALO)
    np.testing.assert_array_equal(sr, integer_network(lr))
    assert shapes == {(*window, 3)}


def test_a_halo_one_pixel_too_small_shows() -> None:
    lr = np.random.default_rng(0).integers(0, 256, (30, 30, 3), dtype=np.uint8)
    sr = upscale_tiled(lr, integer_network, scale=SCALE, window=(16, 16), halo=HALO - 1)
    assert not np.array_equal(sr, integer_network(lr))


@given(
    size=st.integers(1, 500),
    window=st.integers(1, 100),
    halo=st.integers(0, 12),
)
def test_spans_cover_every_pixel_once_and_stay_inside(size: int, window: int, halo: int) -> None:
    window = min(size, max(window, 2 * halo + 1))
    spans = plan_spans(size, window=window, halo=halo)
    kept = [pixel for span in spans for pixel in range(span.keep_start, span.keep_stop)]
    assert kept == list(range(size))
    for span in spans:
        assert span.stop - span.start == window
        assert span.start == 0 or span.keep_start - span.start >= halo
        assert span.stop == size or span.stop - span.keep_stop >= halo
        assert 0 <= span.start <= span.keep_start < span.keep_stop <= span.stop <= size


@given(size=st.integers(1, 2000), longest=st.integers(15, 300))
def test_the_fitted_window_is_the_smallest_for_its_number_of_tiles(size: int, longest: int) -> None:
    window = fit_window(size, longest=longest, halo=7)
    assert window <= longest
    count = len(plan_spans(size, window=window, halo=7))
    assert count == len(plan_spans(size, window=min(longest, size), halo=7))
    if count > 1 and window > 15:
        assert len(plan_spans(size, window=window - 1, halo=7)) > count


def test_progress_counts_the_windows() -> None:
    calls: list[tuple[int, int]] = []
    upscale_tiled(
        np.zeros((20, 10, 3), dtype=np.uint8),
        integer_network,
        scale=SCALE,
        window=(10, 10),
        halo=HALO,
        on_tile=lambda done, total: calls.append((done, total)),
    )
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_windows_that_cannot_work_are_refused() -> None:
    with pytest.raises(DataError, match="wider than the image"):
        plan_spans(8, window=9, halo=1)
    with pytest.raises(DataError, match="twice the halo"):
        plan_spans(8, window=4, halo=2)
    with pytest.raises(DataError, match="tile of 14 pixels wants to be over 14"):
        fit_window(100, longest=14, halo=7)
