import pytest
import torch
from torch import Tensor
from torch.nn import functional

from edgesr.binary.cross_step import CrossStep
from edgesr.binary.dense import AdaptiveSign, bypass
from edgesr.binary.distillation import patch_attention, space_patched_loss
from edgesr.errors import DataError


@pytest.mark.parametrize(
    ("channels", "want"),
    [
        (4, [1.5, 2.5, 3.5, 6.5]),
        (3, [1.0, 2.0, 5.5]),
        (12, [*range(8), 1.5, 2.5, 3.5, 6.5]),
        (9, [*range(8), 3.5]),
        (1, [3.5]),
        (8, list(range(8))),
        (16, [*range(8), *range(8)]),
    ],
)
def test_the_bypass_merges_channels_as_published(channels: int, want: list[float]) -> None:
    features = torch.arange(8.0).reshape(1, 8, 1, 1)
    assert bypass(features, channels).flatten().tolist() == want


def strong(scale: str) -> AdaptiveSign:
    layer = AdaptiveSign(128, scale=scale)  # type: ignore[arg-type]
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return layer


@pytest.mark.parametrize("scale", ["word", "tensor"])
def test_the_packable_forms_count_bits_exactly(scale: str) -> None:
    layer, weight = strong(scale), torch.randint(0, 2, (5, 128, 1, 1)) * 2.0 - 1.0
    features = torch.randn(2, 128, 4, 4)
    bits, strength = layer.parts(features)
    size = 64 if scale == "word" else 128
    counted: Tensor = torch.zeros(2, 5, 4, 4)
    for at in range(0, 128, size):  # one sum of bits a word, one product behind it
        part = functional.conv2d(bits[:, at : at + size], weight[:, at : at + size])
        assert torch.equal(part, part.round())
        counted = counted + strength[:, at : at + 1] * part
    assert torch.allclose(functional.conv2d(layer(features), weight), counted, atol=1e-3)


def test_the_published_form_is_not_a_count_of_bits() -> None:
    _, strength = strong("channel").parts(torch.randn(2, 128, 4, 4))
    assert len(torch.unique(strength[0])) == 128


def test_the_threshold_follows_the_image() -> None:
    layer = AdaptiveSign(4)
    layer.mean_gain.data.fill_(1.0)
    layer.spread_gain.data.zero_()
    features = torch.randn(3, 4, 8, 8) + torch.tensor([5.0, -3.0, 0.0])[:, None, None, None]
    shares = (layer(features) > 0).float().mean(dim=(1, 2, 3))
    assert shares.tolist() == pytest.approx([0.5] * 3, abs=0.15)


def reference(student: Tensor, teacher: Tensor, patch: int) -> float:
    """The loss of one image, by the letter: a loop over patches."""
    pieces = []
    for features in (student, teacher):
        made = {}
        for y in range(0, features.shape[1], patch):
            for x in range(0, features.shape[2], patch):
                block = features[:, y : y + patch, x : x + patch]
                made[y, x] = torch.einsum("cik,cjk->cij", block, block)
        size = torch.stack(list(made.values())).norm()
        pieces.append({at: value / size for at, value in made.items()})
    return sum(float((pieces[0][at] - pieces[1][at]).norm()) for at in pieces[0]) / patch**2


def test_the_loss_is_the_written_out_one() -> None:
    torch.manual_seed(0)
    student, teacher = (torch.randn(2, 3, 8, 12, dtype=torch.float64) for _ in range(2))
    want = sum(reference(student[at], teacher[at], 4) for at in range(2)) / 2
    found = space_patched_loss([student], [teacher])
    assert float(found) == pytest.approx(want, rel=1e-6)
    alone = space_patched_loss([student[:1]], [teacher[:1]])
    assert float(alone) == pytest.approx(reference(student[0], teacher[0], 4), rel=1e-6)


def test_equal_features_lose_nothing_and_the_teacher_learns_nothing() -> None:
    features = torch.randn(1, 2, 8, 8)
    assert float(space_patched_loss([features], [features])) < 1e-5
    teacher = torch.randn(1, 2, 8, 8, requires_grad=True)
    student = torch.randn(1, 2, 8, 8, requires_grad=True)
    torch.autograd.backward(space_patched_loss([student], [teacher]))
    assert teacher.grad is None
    assert student.grad is not None


def test_unlike_features_are_refused() -> None:
    with pytest.raises(DataError, match="hold no patch of 4"):
        patch_attention(torch.zeros(1, 1, 3, 8), 4)
    with pytest.raises(DataError, match="want as many"):
        space_patched_loss([torch.zeros(1, 1, 4, 4)], [])
    with pytest.raises(DataError, match="block 0"):
        space_patched_loss([torch.zeros(1, 1, 4, 4)], [torch.zeros(1, 2, 4, 4)])


def test_the_last_step_is_mixed_in_by_the_timesteps_share() -> None:
    layer = CrossStep(2000)
    layer.share.data = torch.linspace(0, 1, 100)
    now, before = torch.ones(2, 1, 2, 2), torch.zeros(2, 1, 2, 2)
    mixed = layer(now, before, torch.tensor([0, 1999]))
    assert mixed[:, 0, 0, 0].tolist() == [1.0, 0.0]
    assert torch.equal(layer(now, None, torch.tensor([0, 1999])), now)
    with pytest.raises(DataError, match="previous=None"):
        layer(now, torch.zeros(2, 1, 3, 3), torch.tensor([0, 0]))
    with pytest.raises(DataError, match="timestep 2000"):
        layer(now, before, torch.tensor([0, 2000]))
