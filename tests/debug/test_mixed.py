"""The emulation with float parts against the integer simulation and the float network."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgesr.debug.mixed import Changes, picture, run_mixed
from edgesr.errors import GraphError
from edgesr.graph.execute import execute
from edgesr.graph.graph import Graph, TensorSpec
from edgesr.graph.ops import Clip
from edgesr.quant.affine import choose_qparams
from edgesr.quant.scheme import GREY_LEVELS, QParams, QuantizedGraph
from edgesr.quant.simulate import simulate

Images = list[NDArray[np.uint8]]
Regrid = Callable[[QuantizedGraph, str, QParams], QuantizedGraph]


def batch(images: Images) -> Tensor:
    return torch.from_numpy(np.stack(images)).float()


def differences(graph: QuantizedGraph, lr: Tensor) -> Tensor:
    codes = simulate(graph, (lr - 128).to(torch.int8)).float() + 128
    return (picture(graph, run_mixed(graph, lr)) - codes).abs()


def test_with_nothing_in_float_it_is_the_simulation_of_the_shipped_network(
    shipped: QuantizedGraph, images: Images
) -> None:
    assert float(differences(shipped, batch(images)).max()) == 0


def test_where_adds_change_the_step_it_differs_in_ties_alone(
    small: QuantizedGraph, images: Images
) -> None:
    found = differences(small, batch(images))
    assert float((found == 0).float().mean()) >= 0.999
    assert float(found.max()) <= 1


@pytest.mark.parametrize("bits", [4, 6])
def test_narrow_tensors_are_the_simulation_too(
    bits: int, small: QuantizedGraph, images: Images, regrid: Regrid
) -> None:
    graph = small
    for name in ("head", "mix"):
        old = graph.qparams[name]
        graph = regrid(graph, name, choose_qparams(old.low, old.high, bits=bits))
    assert graph.qparams["head"].bits == bits
    found = differences(graph, batch(images))
    assert float((found == 0).float().mean()) >= 0.999
    assert float(found.max()) <= 1


def test_with_all_in_float_it_is_the_float_network(small: QuantizedGraph, images: Images) -> None:
    changes = Changes(floats=frozenset(small.qparams), float_weights=frozenset(small.weights))
    found = picture(small, run_mixed(small, batch(images), changes))
    wanted = execute(small.graph, batch(images)).clamp(0, 255)
    assert float((found - wanted).abs().max()) < 2e-3


@pytest.mark.parametrize(
    "changes",
    [
        Changes(floats=frozenset({"mix"})),
        Changes(float_weights=frozenset({"left"})),
        Changes(bias_shifts={"skip": np.full(12, 3.0)}),
        Changes(grids={"head": choose_qparams(0.0, 500.0)}),
    ],
)
def test_what_changes_cannot_reach_may_come_from_another_run(
    changes: Changes, small: QuantizedGraph, images: Images
) -> None:
    lr = batch(images)
    base = run_mixed(small, lr)
    whole, partly = run_mixed(small, lr, changes), run_mixed(small, lr, changes, base=base)
    for name, values in whole.items():
        assert torch.equal(values, partly[name])
    taken = [name for name in whole if partly[name] is base[name]]
    assert "lr" in taken
    last = small.graph.outputs[0]
    assert not torch.equal(whole[last], base[last])


def test_the_own_grid_as_another_grid_changes_nothing(
    small: QuantizedGraph, images: Images
) -> None:
    lr = batch(images)
    same = run_mixed(small, lr, Changes(grids={"mix": small.qparams["mix"]}))
    assert torch.equal(picture(small, same), picture(small, run_mixed(small, lr)))


def test_a_bias_shift_moves_the_mean_by_as_much(small: QuantizedGraph, images: Images) -> None:
    lr = batch(images)
    last = small.graph.ops[-2].output
    changes = Changes(floats=frozenset(small.qparams))
    shifted = Changes(floats=changes.floats, bias_shifts={"tail": np.full(12, 2.5)})
    moved = run_mixed(small, lr, shifted)[last] - run_mixed(small, lr, changes)[last]
    real = moved * float(small.qparams[last].scale)
    assert torch.allclose(real, torch.tensor(2.5), atol=0.02)


def test_an_operation_without_int8_form_is_named() -> None:
    clip = Clip(name="clip", inputs=("lr",), output="sr", low=0.0, high=9.0)
    graph = Graph(
        name="net", inputs=(TensorSpec(name="lr", channels=3),), outputs=("sr",), ops=(clip,)
    )
    bad = QuantizedGraph(graph=graph, qparams={"lr": GREY_LEVELS, "sr": GREY_LEVELS}, weights={})
    with pytest.raises(GraphError, match="layer clip: Clip has no int8"):
        run_mixed(bad, torch.zeros(1, 4, 4, 3))
