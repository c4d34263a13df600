"""Costs of a .tflite file of a denoiser's steps: one step, the centre, and all of them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import flatbuffers

from edgesr.bench.cost_denoiser import DenoiserCost, bicubic_macs
from edgesr.bench.cost_tflite import counted, file_of
from edgesr.bench.cost_types import Complexity
from edgesr.errors import CheckpointError, DataError
from edgesr.litert import open_interpreter, open_signatures
from edgesr.models.centre import BICUBIC
from edgesr.upscalers.step_schedule import StepSchedule, read_schedule
from edgesr.upscalers.stepwise import check_fits

DEFAULT_SHAPE = (256, 256)
_SMALLEST = "lr"
_RGB = 3


def steps_cost(
    path: Path,
    *,
    shape: tuple[int, int] | None = None,
    scale: int | None = None,
    steps: int | None = None,
) -> DenoiserCost:
    """Count what a file of steps does for one low-resolution image.

    Parameters are those of one step's signature; sides are padded as the host pads them.

    Args:
        path: the file.
        shape: ``(h, w)`` of the image; default is the file's only size, or 256 x 256.
        scale: upscaling factor that it must have.
        steps: number of steps that it must have.

    Raises:
        CheckpointError: the file is damaged, or of another scale or number of steps.
        DataError: the file is of another size.
    """
    schedule = read_schedule(path)
    if schedule is None:
        raise CheckpointError(f"{path}: has no schedule of steps; export it again")
    _agree(path, schedule, scale, steps)
    content = path.read_bytes()
    file = open_signatures(content)
    check_fits(file, schedule)
    fixed = file.fixed_shapes(schedule.steps[0].signature).get(_SMALLEST)
    size = shape or fixed or DEFAULT_SHAPE
    if fixed is not None and size != fixed:
        raise DataError(f"{path}: accepts {fixed[0]}x{fixed[1]} only, not {size[0]}x{size[1]}")
    height, width = (-(-side // schedule.multiple) * schedule.multiple for side in size)
    step = _counted(path, content, schedule, schedule.steps[0].signature, (height, width))
    params, macs, name = 0, bicubic_macs(size, schedule.scale), BICUBIC
    if schedule.centre is not None:
        name = schedule.centre.signature
        centre = _counted(path, content, schedule, name, size)
        params, macs = centre.params, centre.macs
    return DenoiserCost(
        step=step,
        num_steps=len(schedule.steps),
        centre=name,
        centre_params=params,
        centre_macs=macs,
    )


def _agree(path: Path, schedule: StepSchedule, scale: int | None, steps: int | None) -> None:
    for what, found, asked in (
        ("scale", schedule.scale, scale),
        ("steps", len(schedule.steps), steps),
    ):
        if asked not in (None, found):
            raise CheckpointError(
                f"{path}: is of {what} {found}, but {asked} was asked for; drop --{what}"
            )


def _counted(
    path: Path, content: bytes, schedule: StepSchedule, signature: str, size: tuple[int, int]
) -> Complexity:
    """Count one signature, written as a file of its own so that only it is given a size."""
    from ai_edge_litert import schema_py_generated as schema

    model: Any = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    (entry,) = (one for one in model.signatureDefs if one.signatureKey.decode() == signature)
    model.subgraphs = [model.subgraphs[entry.subgraphIndex]]
    model.signatureDefs = []
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), b"TFL3")
    interpreter = open_interpreter(bytes(builder.Output()), kernels="builtin")
    for one in entry.inputs:
        factor = 1 if one.name.decode() == _SMALLEST else schedule.scale
        shape = (1, factor * size[0], factor * size[1], _RGB)
        interpreter.resize_tensor_input(int(one.tensorIndex), shape)
    try:
        interpreter.allocate_tensors()
    except RuntimeError as error:
        raise CheckpointError(
            f"{path}: signature {signature} does not take {size[0]}x{size[1]} "
            f"({' '.join(str(error).split())}); export it again"
        ) from error
    shapes = {
        int(one["index"]): tuple(int(side) for side in one["shape"])
        for one in interpreter.get_tensor_details()
    }
    found = counted(file_of(model, shapes), shape=size, name=str(path), scale=schedule.scale)
    return replace(found, stored_bytes=len(content))
