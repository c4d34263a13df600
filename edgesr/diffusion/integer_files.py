"""Files of quantized denoisers: the integers of every step, and the float network they came from.

One safetensors file: the weights' codes once, and scales, biases and grids of every step.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from edgesr.diffusion.integer_steps import step_graphs
from edgesr.errors import CheckpointError, GraphError
from edgesr.graph.graph import Graph
from edgesr.graph.ops import Conv2D, DepthwiseConv2D, Op
from edgesr.models.centre import CentreNetwork, pack_centre
from edgesr.models.checkpoint import (
    SCHEME_KEY,
    read_weights,
    save_weights,
    state_tensor,
    weights_file,
)
from edgesr.models.denoiser_files import LoadedDenoiser, denoiser_of_state
from edgesr.models.quantized import float_graph, pack_integers, unpack_integers
from edgesr.quant.scheme import SCHEMES, WI8_AI8, QParams, QuantizedGraph, QuantizedWeight, Scheme
from edgesr.quant.stepwise import NO_CORRECTION, Correction, StepModel, StepwiseModel
from edgesr.quant.weights import channel_axis
from edgesr.quant.widths import layer_bits, tensor_bits

_FLOAT, _GRID, _LAYER = "float.", "steps.grid.", "steps.layer."
_CENTRE = "steps.centre."
_TIMESTEPS, _GROUPS = "steps.timesteps", "steps.groups"
_MEANS, _GAINS = "steps.correction.mean", "steps.correction.gain"
_RGB = 3


def save_steps(
    path: Path, model: StepwiseModel, loaded: LoadedDenoiser, metadata: Mapping[str, str]
) -> None:
    """Write quantized steps and the float denoiser to one safetensors file, atomically.

    Args:
        path: file.
        model: quantized steps.
        loaded: what they were made from, its centre in float.
        metadata: what else to say of them; text only.

    Raises:
        OutputError: ``path`` cannot be written.
    """
    steps = [step.quantized for step in model.steps]
    floats = loaded.module.state_dict()
    state = {f"{_FLOAT}{key}": value.detach().clone() for key, value in floats.items()}
    centre, _ = pack_centre(loaded.centre)
    state |= {f"{_FLOAT}{key}": value.detach().clone() for key, value in centre.items()}
    if model.centre is not None:
        state |= {f"{_CENTRE}{key}": value for key, value in pack_integers(model.centre).items()}
    state[_TIMESTEPS] = torch.tensor(model.timesteps, dtype=torch.int32)
    state[_GROUPS] = torch.tensor([step.group for step in model.steps], dtype=torch.int32)
    if model.corrections:
        corrections = [model.corrections.get(one, NO_CORRECTION) for one in model.timesteps]
        state[_MEANS] = torch.tensor([one.mean for one in corrections])
        state[_GAINS] = torch.tensor([one.gain for one in corrections])
    for name in steps[0].qparams:
        grids = [one.qparams[name] for one in steps]
        scales = np.array([grid.scale for grid in grids], np.float32)
        state[f"{_GRID}{name}.scale"] = torch.from_numpy(scales)
        zeros = torch.tensor([grid.zero_point for grid in grids], dtype=torch.int32)
        state[f"{_GRID}{name}.zero_point"] = zeros
    for name, first in steps[0].weights.items():
        layers = [one.weights[name] for one in steps]
        parts = {
            "values": first.values,
            "scales": np.stack([one.scales for one in layers]),
            "bias": np.stack([one.bias for one in layers]),
        }
        for key, value in parts.items():
            state[f"{_LAYER}{name}.{key}"] = torch.from_numpy(np.array(value))
    facts = {**loaded.metadata, **metadata, SCHEME_KEY: steps[0].scheme}
    save_weights(path, state, model=model.model, scale=model.scale, metadata=facts)


def load_steps(
    path: Path, *, model: str | None = None, scale: int | None = None
) -> tuple[LoadedDenoiser, StepwiseModel]:
    """Load the float denoiser and the integers of a file that ``save_steps`` wrote.

    The float weights in the steps' graphs are what the integers stand for.

    Args:
        path: weights file.
        model: denoiser that the file must have.
        scale: upscaling factor that it must have.

    Raises:
        CheckpointError: the file is missing, damaged, or of something else.
    """
    path = weights_file(Path(path))
    state, metadata = read_weights(path)
    scheme = SCHEMES.get(metadata.get(SCHEME_KEY, ""))
    if scheme is None or _TIMESTEPS not in state:
        raise CheckpointError(
            f"{path}: holds no integers of a denoiser; write them with edgesr quantize --output"
        )
    floats = {k.removeprefix(_FLOAT): v for k, v in state.items() if k.startswith(_FLOAT)}
    loaded = denoiser_of_state(path, floats, metadata, model=model, scale=scale)
    timesteps: list[int] = state[_TIMESTEPS].tolist()
    groups: list[int] = _tensor(path, state, _GROUPS, (len(timesteps),), torch.int32).tolist()
    graphs = step_graphs(loaded.module, loaded.descriptor.name, timesteps)
    try:
        steps = tuple(
            StepModel(
                timesteps=(timestep,),
                quantized=_step(path, graph, state, scheme, (number, len(timesteps))),
                group=groups[number],
            )
            for number, (timestep, graph) in enumerate(graphs.items())
        )
        stepwise = StepwiseModel(
            steps=steps,
            model=loaded.descriptor.name,
            scale=loaded.scale,
            multiple=loaded.module.conditioning.multiple,
            prediction=loaded.prediction,
            schedule=loaded.schedule.name,
            schedule_parameters=dict(loaded.schedule.parameters),
            corrections=_corrections(path, state, timesteps),
            centre=None if loaded.centre is None else _centre(path, loaded.centre, state),
        )
    except GraphError as error:
        raise CheckpointError(f"{path}: {error}; quantize the denoiser again") from error
    return loaded, stepwise


def _corrections(
    path: Path, state: Mapping[str, Tensor], timesteps: Sequence[int]
) -> dict[int, Correction]:
    if not {_MEANS, _GAINS} & state.keys():
        return {}
    count = len(timesteps)
    means = _tensor(path, state, _MEANS, (count, _RGB), torch.float32)
    gains = _tensor(path, state, _GAINS, (count,), torch.float32)
    if not (bool(means.isfinite().all() and gains.isfinite().all()) and bool((gains > 0).all())):
        raise CheckpointError(
            f"{path}: {_MEANS} and {_GAINS} are not finite, or a gain is not positive; quantize "
            "the denoiser again"
        )
    found: dict[int, Correction] = {}
    for timestep, (red, green, blue), gain in zip(
        timesteps, means.tolist(), gains.tolist(), strict=True
    ):
        found[timestep] = Correction(mean=(red, green, blue), gain=gain)
    return found


def _centre(path: Path, centre: CentreNetwork, state: Mapping[str, Tensor]) -> QuantizedGraph:
    integers = {k.removeprefix(_CENTRE): v for k, v in state.items() if k.startswith(_CENTRE)}
    if not integers:
        raise CheckpointError(
            f"{path}: the integers of its centre, a {centre.descriptor.name}, are not in it; "
            "quantize the denoiser again"
        )
    graph = float_graph(centre.module, centre.descriptor.name)
    return unpack_integers(path, graph, integers, SCHEMES[WI8_AI8])


def _step(
    path: Path,
    graph: Graph,
    state: Mapping[str, Tensor],
    scheme: Scheme,
    place: tuple[int, int],
) -> QuantizedGraph:
    """Return the integers of the step whose number and whose number of neighbours are given."""
    number, count = place
    widths, layers = tensor_bits(graph, scheme), layer_bits(graph, scheme)
    names = [*(spec.name for spec in graph.inputs), *(op.output for op in graph.ops)]
    qparams: dict[str, QParams] = {}
    for name in names:
        scale = _tensor(path, state, f"{_GRID}{name}.scale", (count,), torch.float32)[number]
        zero = _tensor(path, state, f"{_GRID}{name}.zero_point", (count,), torch.int32)[number]
        qparams[name] = QParams(scale=np.float32(scale), zero_point=int(zero), bits=widths[name])
    ops: list[Op] = []
    weights: dict[str, QuantizedWeight] = {}
    for op in graph.ops:
        if not isinstance(op, (Conv2D, DepthwiseConv2D)):
            ops.append(op)
            continue
        start, rows = f"{_LAYER}{op.name}.", (count, len(op.bias))
        values = _tensor(path, state, f"{start}values", op.weight.shape, torch.int8).numpy()
        scales = _tensor(path, state, f"{start}scales", rows, torch.float32)[number].numpy()
        bias = _tensor(path, state, f"{start}bias", rows, torch.int32)[number].numpy()
        if not (np.isfinite(scales).all() and (scales > 0).all()):
            raise CheckpointError(
                f"{path}: layer {op.name} has scales that are not positive and finite; quantize "
                "the denoiser again"
            )
        weights[op.name] = QuantizedWeight(
            values=values, scales=scales, bias=bias, bits=layers[op.name]
        )
        shape = [1] * values.ndim
        shape[channel_axis(op)] = -1
        steps = scales * qparams[op.inputs[0]].scale
        ops.append(
            replace(
                op,
                weight=(values * scales.reshape(shape)).astype(np.float32),
                bias=(bias * steps).astype(np.float32),
            )
        )
    graph = replace(graph, ops=tuple(ops))
    return QuantizedGraph(graph=graph, qparams=qparams, weights=weights, scheme=scheme.name)


_tensor = partial(state_tensor, remedy="quantize the denoiser again")
