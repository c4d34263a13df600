"""The NAF block is NAFNet's, with a timestep."""

import torch
from torch import nn

from edgesr.models.naf_block import NafBlock


def test_a_fresh_block_changes_nothing() -> None:
    features = torch.randn(2, 8, 5, 6)
    assert torch.equal(NafBlock(8, embedding=4)(features, torch.randn(2, 4)), features)


def test_parameters_are_those_of_nafnet_and_two_film_layers() -> None:
    """NAFNet's block of width c has 7 c^2 in its 1x1 layers, 18 c depthwise; the rest is linear."""
    width, embedding = 16, 4
    block = NafBlock(width, embedding=embedding)
    matrices = (2 + 1 + 1 + 2 + 1) * width**2 + 9 * 2 * width
    vectors = (2 + 2 + 1 + 1 + 2 + 1) * width + 2 * 2 * width + 2 * width
    films = 2 * (embedding + 1) * 2 * width
    assert sum(p.numel() for p in block.parameters()) == matrices + vectors + films


def test_every_pixel_is_normalised_by_its_own_channels() -> None:
    torch.manual_seed(0)
    block = NafBlock(8, embedding=4)
    features = 3 * torch.randn(1, 8, 4, 4) + 7
    normed = block.norm(features, torch.zeros(1, 4))
    assert torch.allclose(normed.mean(dim=1), torch.zeros(1, 4, 4), atol=1e-5)
    assert torch.allclose(normed.var(dim=1, unbiased=False), torch.ones(1, 4, 4), atol=1e-3)


def test_the_gate_sees_the_whole_image() -> None:
    torch.manual_seed(0)
    block = NafBlock(8, embedding=4)
    nn.init.ones_(block.step)
    features = torch.randn(1, 8, 12, 12, requires_grad=True)
    block(features, torch.zeros(1, 4))[0, :, 0, 0].sum().backward()
    assert features.grad is not None
    assert bool((features.grad.abs().sum(1) > 0).all())
