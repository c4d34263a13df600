import pytest
import torch

from edgesr.binary.low_rank import LowRankBranch
from edgesr.binary.sign import SLOPES, annealed, find_slope, sign
from edgesr.binary.weights import WEIGHT_BINARIZERS, find_weight_binarizer
from edgesr.errors import ConfigError

VALUES = [-1.5, -1.0, -0.6, -0.2, 0.0, 0.2, 0.6, 1.0, 1.5]


def gradient(name: str) -> list[float]:
    values = torch.tensor(VALUES, requires_grad=True)
    torch.autograd.backward(sign(values, find_slope(name)).sum())
    assert values.grad is not None
    found: list[float] = values.grad.tolist()
    return found


def test_the_piecewise_gradient_is_the_published_one() -> None:
    want = [0, 0, 0.8, 1.6, 2, 1.6, 0.8, 0, 0]
    assert gradient("piecewise") == pytest.approx(want, abs=1e-6)
    assert gradient("clip") == [0, 1, 1, 1, 1, 1, 1, 1, 0]


def test_the_annealed_gradient_goes_from_wide_to_sharp() -> None:
    values = torch.linspace(-3, 3, 601)
    wide, sharp = annealed(values, progress=0.0), annealed(values, progress=1.0)
    assert float(wide[300]) == pytest.approx(1.0)
    assert float(wide.min()) > 0.9
    assert float(sharp[300]) == pytest.approx(10.0)
    assert float(sharp[0]) < 1e-6
    area = torch.trapezoid(sharp, values)  # of a step from -1 to 1
    assert float(area) == pytest.approx(2.0, abs=1e-3)


def test_zero_is_plus_one_unless_asked_otherwise() -> None:
    zero = torch.zeros(3)
    assert sign(zero).tolist() == [1.0] * 3
    assert sign(zero, zero=0).tolist() == [0.0] * 3


@pytest.mark.parametrize("name", WEIGHT_BINARIZERS)
def test_a_binarized_weight_is_its_signs_times_its_factors(name: str) -> None:
    weight = torch.randn(6, 4, 3, 3)
    binarizer = find_weight_binarizer(name)
    signs, factors = binarizer.parts(weight)
    assert set(torch.unique(signs).tolist()) == {-1.0, 1.0}
    assert factors.shape == (6,)
    assert torch.equal(binarizer(weight), factors[:, None, None, None] * signs)


def test_factors_are_the_published_ones() -> None:
    weight = torch.randn(6, 4, 3, 3)
    found = {name: each.parts(weight)[1] for name, each in WEIGHT_BINARIZERS.items()}
    assert torch.allclose(found["xnor"], weight.abs().flatten(1).mean(1))
    assert torch.allclose(found["dorefa"], weight.abs().mean().expand(6))
    assert found["plain"].tolist() == [1.0] * 6
    assert torch.equal(found["irnet"].log2(), found["irnet"].log2().round())


def test_weights_get_their_gradient_inside_one_and_without_the_factor() -> None:
    weight = torch.tensor([0.5, -0.2, 3.0, -1.0]).reshape(1, 4, 1, 1).requires_grad_()
    torch.autograd.backward((find_weight_binarizer("xnor")(weight) * torch.tensor(7.0)).sum())
    assert weight.grad is not None
    assert weight.grad.flatten().tolist() == [7.0, 7.0, 0.0, 7.0]


def test_a_low_rank_branch_and_the_rest_are_the_weight() -> None:
    weight = torch.randn(16, 16, 3, 3)
    branch = LowRankBranch(16, rank=4)
    rest = branch.take_from(weight)
    taken = branch.widen.weight.flatten(1) @ branch.narrow.weight.flatten(1)
    assert torch.allclose(rest[:, :, 1, 1] + taken, weight[:, :, 1, 1], atol=1e-6)
    assert rest[:, :, 1, 1].norm() < weight[:, :, 1, 1].norm()
    assert torch.equal(rest[:, :, 0, 0], weight[:, :, 0, 0])


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ConfigError, match="piecewise, clip, annealed"):
        find_slope("hard")
    with pytest.raises(ConfigError, match="plain, xnor, dorefa, irnet"):
        find_weight_binarizer("bwn")
    with pytest.raises(ConfigError, match="rank = 9: want 1 to 8"):
        LowRankBranch(8, rank=9)
    assert set(SLOPES) == {"piecewise", "clip", "annealed"}
