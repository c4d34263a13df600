"""Muon against PyTorch's own, which takes matrices alone, and against Adam."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from edgesr.data.cache import DecodedImages
from edgesr.train.config import TrainConfig
from edgesr.train.gap_teacher import GapTeacher
from edgesr.train.muon import Muon, orthogonalized
from edgesr.train.optimizer import make_optimizer
from tests.train.running import stop_at
from tests.train.switched import SETTINGS, Photo, pairs, trained_events

_RATE = 1e-2
go = partial(trained_events, {**SETTINGS, "optimizer": "muon", "learning_rate": 6e-3})


@pytest.fixture
def images(photo: Photo) -> DecodedImages:
    return pairs(photo, 2)


def _steps(optimizer: torch.optim.Optimizer, one: nn.Parameter, gradients: list[Tensor]) -> Tensor:
    for gradient in gradients:
        one.grad = gradient.clone().reshape(one.shape)
        optimizer.step()
    return one.detach()


@pytest.mark.parametrize("shape", [(32, 16, 3, 3), (27, 3, 1, 1), (64, 2, 3, 3), (8, 40)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_weight_moves_as_torchs_muon_moves_its_matrix(
    shape: tuple[int, ...], layout: torch.memory_format
) -> None:
    if len(shape) == 2 and layout == torch.channels_last:
        pytest.skip("a matrix has no such layout")
    torch.manual_seed(0)
    start = torch.randn(shape)
    gradients = [torch.randn(shape) for _ in range(5)]
    mine = nn.Parameter(start.clone().to(memory_format=layout))
    theirs = nn.Parameter(start.flatten(1).clone())
    found = _steps(Muon([{"params": [mine]}], lr=_RATE), mine, gradients)
    oracle = torch.optim.Muon([theirs], lr=_RATE, weight_decay=0.0, adjust_lr_fn="match_rms_adamw")
    wanted = _steps(oracle, theirs, gradients).reshape(shape)
    moved = (wanted - start).abs().mean()
    assert (found - wanted).abs().mean() < 0.03 * moved  # theirs rounds to bfloat16


def test_a_vector_moves_as_adam_moves_it() -> None:
    torch.manual_seed(0)
    gradients = [torch.randn(7) for _ in range(9)]
    mine, theirs = nn.Parameter(torch.zeros(7)), nn.Parameter(torch.zeros(7))
    found = _steps(Muon([{"params": [mine]}], lr=_RATE), mine, gradients)
    wanted = _steps(torch.optim.Adam([theirs], lr=_RATE), theirs, gradients)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("shape", [(5, 1, 1), (1, 6, 1, 1), (6, 1, 1, 1), (1, 3, 3, 7), (4,), ()])
def test_what_is_no_matrix_moves_as_adam_moves_it(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    gradients = [torch.randn(shape) for _ in range(3)]
    mine, theirs = nn.Parameter(torch.zeros(shape)), nn.Parameter(torch.zeros(shape))
    found = _steps(Muon([{"params": [mine]}], lr=_RATE), mine, gradients)
    wanted = _steps(torch.optim.Adam([theirs], lr=_RATE), theirs, gradients)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("shape", [(3, 8, 20), (3, 20, 8), (1, 5, 5)])
def test_singular_values_come_near_one(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    matrices = torch.randn(shape, dtype=torch.float64)
    found = orthogonalized(matrices)
    assert found.shape == matrices.shape
    values = torch.linalg.svdvals(found)
    assert values.min() > 0.5
    assert values.max() < 1.3
    left, _, right = torch.linalg.svd(matrices, full_matrices=False)
    cosine = (found * (left @ right)).sum((1, 2)) / shape[1 if shape[1] < shape[2] else 2]
    assert cosine.min() > 0.7


def test_weights_of_one_shape_move_as_if_alone_and_what_has_no_gradient_stays() -> None:
    torch.manual_seed(0)
    starts = [torch.randn(4, 2, 3, 3) for _ in range(3)]
    gradients = [torch.randn(4, 2, 3, 3) for _ in range(2)]
    together = [nn.Parameter(start.clone()) for start in starts]
    for one, gradient in zip(together, gradients, strict=False):
        one.grad = gradient
    Muon([{"params": together}], lr=_RATE).step()
    for one, start, gradient in zip(together, starts, gradients, strict=False):
        alone = nn.Parameter(start.clone())
        torch.testing.assert_close(
            one.detach(), _steps(Muon([{"params": [alone]}], lr=_RATE), alone, [gradient])
        )
    assert torch.equal(together[2], starts[2])
    zero = nn.Parameter(starts[0].clone())
    assert torch.equal(
        _steps(Muon([{"params": [zero]}], lr=_RATE), zero, [torch.zeros(4, 2, 3, 3)]), starts[0]
    )


def test_settings_name_the_optimizer_of_the_run_and_of_a_teacher_that_grows() -> None:
    groups: list[dict[str, Any]] = [{"params": [nn.Parameter(torch.zeros(2, 2))]}]
    assert isinstance(make_optimizer(TrainConfig(optimizer="muon"), groups), Muon)
    groups = [{"params": [nn.Parameter(torch.zeros(2, 2))]}]
    assert type(make_optimizer(TrainConfig(), groups)) is torch.optim.Adam
    config = TrainConfig(**{**SETTINGS, "optimizer": "muon", "gap_weight": 1.0})
    from edgesr.models import build_model

    teacher = GapTeacher(config, build_model("edge_s", 2))
    assert isinstance(teacher.kept["gap_teacher_optimizer"], Muon)


def test_a_resumed_run_ends_with_the_same_bits(tmp_path: Path, images: DecodedImages) -> None:
    go(tmp_path / "whole", images)
    go(tmp_path / "halves", images, stop_at(4))
    go(tmp_path / "halves", images)
    whole, halves = (tmp_path / name / "last.safetensors" for name in ("whole", "halves"))
    assert whole.read_bytes() == halves.read_bytes()
