import pytest
import torch

from edgesr.diffusion.noise import Noise
from edgesr.errors import DiffusionError

FRAME = torch.empty((1, 3, 150, 201))


def test_a_tile_draws_what_the_frame_has_there() -> None:
    frame = Noise(seed=7).draw(FRAME, state=3)
    for top, left, height, width in [(0, 0, 64, 64), (1, 63, 2, 2), (40, 70, 110, 131)]:
        tile = Noise(seed=7).window(top=top, left=left)
        drawn = tile.draw(torch.empty((1, 3, height, width)), state=3)
        assert torch.equal(drawn, frame[:, :, top : top + height, left : left + width])


def test_a_window_of_a_window_counts_from_the_frame() -> None:
    noise = Noise(seed=7).window(top=10, left=20).window(top=5, left=60)
    assert (noise.top, noise.left) == (15, 80)


def test_an_image_has_the_same_noise_in_a_batch_of_any_size() -> None:
    one = Noise(seed=7).draw(torch.empty((1, 3, 20, 20)), state=3)
    three = Noise(seed=7).draw(torch.empty((3, 3, 20, 20)), state=3)
    assert torch.equal(one, three[:1])
    assert not torch.equal(three[1], three[2])


def test_seed_and_state_give_independent_standard_normals() -> None:
    like = torch.empty((1, 3, 256, 256))
    planes = [Noise(seed=s).draw(like, state=t).double() for s in (0, 1) for t in (0, 1, 2)]
    count = like.numel()
    for number, plane in enumerate(planes):
        assert abs(float(plane.mean())) < 4 / count**0.5
        assert abs(float(plane.var()) - 1) < 4 * (2 / count) ** 0.5
        for other in planes[:number]:
            assert abs(float((plane * other).mean())) < 4 / count**0.5
    blocks = planes[0].unfold(2, 64, 64).unfold(3, 64, 64).reshape(3, 16, -1)
    assert abs(float((blocks[:, 0] * blocks[:, 1]).mean())) < 4 / (3 * 4096) ** 0.5


def test_the_same_seed_gives_the_same_bits_and_leaves_the_global_generator() -> None:
    before = torch.get_rng_state()
    first = Noise(seed=5).draw(FRAME, state=1)
    assert torch.equal(first, Noise(seed=5).draw(FRAME, state=1))
    assert torch.equal(torch.get_rng_state(), before)


def test_other_types_hold_the_float32_values() -> None:
    like = torch.empty((1, 1, 8, 8), dtype=torch.float64)
    double = Noise(seed=5).draw(like, state=1)
    assert double.dtype == torch.float64
    assert torch.equal(double.float(), Noise(seed=5).draw(like.float(), state=1))
    assert torch.equal(double.float().double(), double)


@pytest.mark.gpu
def test_the_device_does_not_change_the_noise() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    there = Noise(seed=5).draw(FRAME.cuda(), state=1)
    assert torch.equal(there.cpu(), Noise(seed=5).draw(FRAME, state=1))


def test_what_has_no_place_on_the_plane_is_refused() -> None:
    with pytest.raises(DiffusionError, match="want none below 0"):
        Noise(seed=-1)
    with pytest.raises(DiffusionError, match="at row -3"):
        Noise(seed=1).window(top=-3, left=0)
    with pytest.raises(DiffusionError, match=r"want \(n, c, h, w\)"):
        Noise(seed=1).draw(torch.empty((3, 8, 8)), state=0)
