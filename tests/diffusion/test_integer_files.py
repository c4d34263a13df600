"""Files of quantized denoisers: what their sampler corrects is kept, and damage is refused."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from edgesr.diffusion.integer_files import load_steps, save_steps
from edgesr.diffusion.integer_steps import (
    QuantizedDenoiser,
    measure_corrections,
    quantize_denoiser,
    with_corrections,
)
from edgesr.diffusion.ranges import from_grey_levels
from edgesr.diffusion.schedules import resshift
from edgesr.diffusion.trajectories import all_steps
from edgesr.errors import CheckpointError, DataError
from edgesr.graph.ops import Conv2D
from edgesr.models.checkpoint import read_weights, save_weights
from edgesr.models.denoiser_files import LoadedDenoiser, load_denoiser
from edgesr.quant.calibrate import CalibrationBatch
from edgesr.quant.recipe import UNPROTECTED
from tests.export.stepwise_case import save_restless


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedDenoiser:
    return load_denoiser(save_restless(tmp_path_factory.mktemp("float") / "px.safetensors"))


@pytest.fixture(scope="module")
def batches(loaded: LoadedDenoiser) -> list[CalibrationBatch]:
    path = resshift(num_steps=2)
    generator = torch.Generator().manual_seed(0)
    lr = from_grey_levels(torch.randint(0, 256, (1, 3, 16, 16), generator=generator).float())
    return all_steps(loaded.module, path, path, [lr])


@pytest.fixture(scope="module")
def quantized(loaded: LoadedDenoiser, batches: list[CalibrationBatch]) -> QuantizedDenoiser:
    plain = replace(UNPROTECTED, observer="minmax")
    return quantize_denoiser(loaded, resshift(num_steps=2), batches, plain, groups=1)


def test_corrections_come_back_bit_for_bit(
    loaded: LoadedDenoiser,
    quantized: QuantizedDenoiser,
    batches: list[CalibrationBatch],
    tmp_path: Path,
) -> None:
    path = tmp_path / "steps.safetensors"
    save_steps(path, quantized.model, loaded, {})
    assert load_steps(path)[1].corrections == {}
    found = measure_corrections(quantized, batches)
    assert any(one.gain != 1.0 for one in found.values())
    save_steps(path, with_corrections(quantized.model, found), loaded, {})
    assert load_steps(path)[1].corrections == found


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda key, value: None if key.endswith("gain") else value, r"gain is missing"),
        (lambda key, value: 0 * value if key.endswith("gain") else value, "not positive"),
        (lambda key, value: value / 0 if key.endswith("mean") else value, "are not finite"),
        (lambda _, value: value[:1], r"mean is torch\.float32 \(1, 3\), want .* \(2, 3\)"),
    ],
)
def test_damaged_corrections_are_refused(  # noqa: PLR0913 - the case and its fixtures
    *,
    change: Callable[[str, Tensor], Tensor | None],
    message: str,
    loaded: LoadedDenoiser,
    quantized: QuantizedDenoiser,
    batches: list[CalibrationBatch],
    tmp_path: Path,
) -> None:
    path = tmp_path / "steps.safetensors"
    model = with_corrections(quantized.model, measure_corrections(quantized, batches))
    save_steps(path, model, loaded, {})
    state, metadata = read_weights(path)
    changed: dict[str, Tensor] = {}
    for key, value in state.items():
        kept = change(key, value) if key.startswith("steps.correction") else value
        if kept is not None:
            changed[key] = kept
    save_weights(path, changed, model="resshift_px_s", scale=2, metadata=metadata)
    with pytest.raises(CheckpointError, match=message):
        load_steps(path)


def test_integers_that_give_the_opposite_cannot_be_corrected(
    quantized: QuantizedDenoiser, batches: list[CalibrationBatch]
) -> None:
    graphs = {}
    for timestep, graph in quantized.graphs.items():
        ops = [
            replace(op, weight=-op.weight, bias=-op.bias)
            if isinstance(op, Conv2D) and op.name == "head"
            else op
            for op in graph.ops
        ]
        graphs[timestep] = replace(graph, ops=tuple(ops))
    with pytest.raises(DataError, match="times the float prediction"):
        measure_corrections(replace(quantized, graphs=graphs), batches)
