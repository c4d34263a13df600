import numpy as np
import pytest
import torch

from edgesr.graph.capture import capture
from edgesr.graph.graph import Graph
from edgesr.graph.passes import lower
from edgesr.models import build_model
from edgesr.quant.calibrate import CalibrationBatch
from edgesr.quant.ptq import quantize_graph


def graph(residual: float) -> Graph:
    """NCNet whose residual is about ``residual`` grey levels on the test image."""
    torch.manual_seed(0)
    network = build_model("ncnet", 2).eval()
    last = network.get_parameter("body.12.weight")
    image = batch().inputs.permute(0, 3, 1, 2)
    with torch.no_grad():
        last.mul_(residual / float(network.get_submodule("body")(image).abs().max()))
    return lower(capture(network, name="ncnet"))


def batch() -> CalibrationBatch:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (2, 24, 24, 3), generator=generator)
    return CalibrationBatch(inputs=pixels.float())


def residual_scale(residual: float) -> float:
    result = quantize_graph(graph(residual), [batch()]).quantized
    return float(result.qparams["body.12"].scale)


@pytest.mark.parametrize("residual", [12.0, 110.0])
def test_a_residual_that_fits_is_rounded_once_to_whole_grey_levels(residual: float) -> None:
    assert residual_scale(residual) == 1.0


def test_a_residual_that_would_be_clipped_keeps_its_own_grid() -> None:
    assert residual_scale(600.0) > 1.5


def test_zero_stays_on_the_grid() -> None:
    grid = quantize_graph(graph(60.0), [batch()]).quantized.qparams["body.12"]
    assert -128 <= grid.zero_point <= 127
    assert np.float32(grid.scale) == np.float32(1.0)
