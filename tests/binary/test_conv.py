"""Golden values: BI-DiffSR's published code in double precision (spec of this project)."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from edgesr.binary.conv import BinaryConv2d, group_of
from edgesr.binary.resample import ChannelShuffleFusion, ConsistentPixelDown, ConsistentPixelUp
from edgesr.binary.style import STYLES, find_style
from edgesr.errors import ConfigError, DataError
from tests.binary.conftest import PUBLISHED, golden, wave

DIGITS = 6e-7


def probe(made: torch.Tensor) -> torch.Tensor:
    flat = torch.arange(made.numel(), dtype=torch.float64)
    return (made.flatten() * torch.cos(0.05 * flat)).sum()


def facts(made: torch.Tensor) -> list[float]:
    return [float(each.detach()) for each in (made.sum(), made.abs().sum(), probe(made))]


def test_the_block_gives_the_published_values_and_gradients() -> None:
    conv = golden(BinaryConv2d(4, style=PUBLISHED))
    x = wave(1, 4, 8, 8).requires_grad_()
    made = conv(x, torch.tensor([0]))
    assert facts(made) == pytest.approx([62.769504, 247.227125, 12.541500], abs=DIGITS)
    assert made[0, 0, 0, :3].tolist() == pytest.approx([0.921602, 1.671581, 1.761588], abs=DIGITS)
    torch.autograd.backward(probe(made))
    assert x.grad is not None
    assert [float(x.grad.sum()), float(x.grad.abs().sum())] == pytest.approx(
        [9.069971, 214.397540], abs=DIGITS
    )
    assert isinstance(conv, BinaryConv2d)
    assert conv.weight.grad is not None
    assert conv.shift is not None
    assert conv.shift.grad is not None
    assert [float(conv.weight.grad.sum()), float(conv.weight.grad.abs().sum())] == pytest.approx(
        [48.107671, 2545.382560], abs=DIGITS
    )
    assert float(conv.shift.grad.sum()) == pytest.approx(4.427156, abs=DIGITS)


def test_another_group_of_timesteps_has_parameters_of_its_own() -> None:
    made = golden(BinaryConv2d(4, style=PUBLISHED))(wave(1, 4, 8, 8), torch.tensor([3]))
    assert facts(made)[::2] == pytest.approx([72.402876, 13.044865], abs=DIGITS)


def test_consistent_pixel_down_gives_the_published_values() -> None:
    made = golden(ConsistentPixelDown(8, style=PUBLISHED))(wave(1, 8, 8, 8), torch.tensor([1]))
    assert made.shape == (1, 16, 4, 4)
    assert facts(made)[::2] == pytest.approx([123.138223, 4.550245], abs=DIGITS)
    first = made.flatten()[:3].tolist()
    assert first == pytest.approx([1.628266, 2.597421, 2.858558], abs=DIGITS)


def test_consistent_pixel_up_gives_the_published_values() -> None:
    made = golden(ConsistentPixelUp(4, style=PUBLISHED))(wave(1, 4, 8, 8), torch.tensor([1]))
    assert made.shape == (1, 2, 16, 16)
    assert facts(made)[::2] == pytest.approx([140.914368, 12.850353], abs=DIGITS)
    first = made.flatten()[:3].tolist()
    assert first == pytest.approx([0.931602, 0.392250, 1.681581], abs=DIGITS)


def test_channel_shuffle_fusion_gives_the_published_values() -> None:
    both = wave(1, 8, 8, 8)
    fusion = golden(ChannelShuffleFusion(4, style=PUBLISHED))
    made = fusion(both[:, :4], both[:, 4:], torch.tensor([1]))
    assert made.shape == (1, 4, 8, 8)
    assert facts(made)[::2] == pytest.approx([152.388492, 38.849820], abs=DIGITS)
    first = made.flatten()[:3].tolist()
    assert first == pytest.approx([2.810819, 2.993981, 3.168314], abs=DIGITS)


def test_every_image_of_a_batch_has_its_own_group() -> None:
    conv = golden(BinaryConv2d(4, style=PUBLISHED))
    x = wave(2, 4, 8, 8)
    both = conv(x, torch.tensor([0, 3]))
    alone = [conv(x[at : at + 1], torch.tensor([group])) for at, group in enumerate((0, 3))]
    assert torch.equal(both, torch.cat(alone))


def test_padding_with_one_is_what_a_packed_word_of_zeros_means() -> None:
    style = replace(PUBLISHED, padding="one", zero=1)
    conv = BinaryConv2d(8, style=style)
    bits = torch.randint(0, 2, (1, 8, 5, 6)) * 2.0 - 1.0
    signs, factors = conv.parts()
    padded = functional.pad((bits < 0).float(), (1, 1, 1, 1))  # a set bit is -1, so 0 is +1
    unlike = functional.conv2d(padded, (signs > 0).float()) + functional.conv2d(
        1 - padded, (signs < 0).float()
    )
    counted = (9 * 8 - 2 * unlike) * factors[None, :, None, None]
    assert torch.allclose(conv.convolve(bits), counted, atol=1e-5)


@pytest.mark.parametrize("name", STYLES)
def test_every_style_trains(name: str) -> None:
    torch.manual_seed(0)
    style = find_style(name)
    conv = BinaryConv2d(8, style=style)
    group = torch.zeros(2, dtype=torch.int64) if style.groups > 1 else None
    torch.autograd.backward(conv(torch.randn(2, 8, 6, 6), group).square().sum())
    for parameter_name, parameter in conv.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.abs().sum() > 0, parameter_name


def test_xnors_gain_is_the_mean_over_the_window() -> None:
    conv = BinaryConv2d(4, style=find_style("xnor"))
    x = torch.randn(1, 4, 6, 6)
    bits = torch.where(x >= 0, 1.0, -1.0)
    want = conv.convolve(bits) * functional.avg_pool2d(x.abs().mean(1, keepdim=True), 3, 1, 1)
    assert torch.allclose(conv(x), want, atol=1e-5)


def test_timesteps_fall_into_even_groups() -> None:
    style = find_style("bidiffsr")
    groups = group_of(torch.tensor([0, 399, 400, 1999, 2000]), style)
    assert groups.tolist() == [0, 0, 1, 4, 4]
    for wrong in (-1, 2001):
        with pytest.raises(DataError, match=f"timestep {wrong} is outside 0 to 2000"):
            group_of(torch.tensor([5, wrong]), style)


def test_wrong_use_is_refused() -> None:
    with pytest.raises(DataError, match="5 groups of timesteps"):
        BinaryConv2d(4, style=PUBLISHED)(torch.zeros(1, 4, 4, 4))
    with pytest.raises(ConfigError, match="7 channels cannot be halved"):
        ConsistentPixelDown(7, style=PUBLISHED)
    with pytest.raises(ConfigError, match="binary style 'ternary' is unknown"):
        find_style("ternary")
    with pytest.raises(ConfigError, match="groups = 0"):
        replace(PUBLISHED, groups=0)
