"""The noise that needs no PyTorch is PyTorch's."""

import numpy as np
import pytest
import torch

from edgesr.diffusion.noise import Noise
from edgesr.diffusion.plane import BLOCK, block_noise, frame_noise


@pytest.mark.parametrize("place", [(4, 0, 0, 0), (1, 0, 3, 7), (0, 5, 2, 1)])
def test_a_block_is_what_torch_draws_for_its_seed(place: tuple[int, int, int, int]) -> None:
    mixed = np.random.SeedSequence((7, *place)).generate_state(1, np.uint64)[0]
    generator = torch.Generator().manual_seed(int(mixed >> np.uint64(1)))
    wanted = torch.randn((3, BLOCK, BLOCK), generator=generator).numpy()
    np.testing.assert_allclose(block_noise(7, place, 3), wanted, rtol=0, atol=1e-5)


def test_a_frame_is_the_plane_of_the_samplers() -> None:
    wanted = Noise(seed=3).draw(torch.empty(1, 3, 70, 130), state=2)
    found = frame_noise(3, 2, (70, 130, 3))
    assert np.array_equal(found, wanted[0].permute(1, 2, 0).numpy())
