"""How the steps of a .tflite file are run: the schedule that edgesr writes into and beside it.

It is JSON, ``edgesr/step_schedule/1``, described in ``docs/diffusion-on-device.md``. Everything
that depends on the path is a number in it, so a host needs no formula of any schedule.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgesr.errors import CheckpointError
from edgesr.litert import read_metadata

SCHEMA = "edgesr/step_schedule/1"
METADATA_KEY = "edgesr_schedule"
SUFFIX = ".schedule.json"
CENTRE = "centre"
"""The signature of the network that makes the centre, and the name of its output."""
_EXPORT_AGAIN = "export the file again"


@dataclass(frozen=True, kw_only=True)
class Move:
    """One move: ``x = o + keep (x - o) + add residual + spread noise``."""

    keep: float
    add: float
    spread: float


@dataclass(frozen=True, kw_only=True)
class Residual:
    """What an output stands for: ``from_x (x - o) + from_output output + from_offset o``."""

    from_x: float
    from_output: float
    from_offset: float


@dataclass(frozen=True, kw_only=True)
class OutputGrid:
    """``prediction = scale (code - zero_point)``; a float32 output has scale 1 and zero point 0."""

    scale: float
    zero_point: int


@dataclass(frozen=True, kw_only=True)
class ScheduledStep:
    """One step, from the state ``state`` to the one below it.

    Attributes:
        signature: of the file.
        state: number on the path that is sampled, 0 is the clean image.
        timestep: number on the path that was trained on; folded into the signature.
        shown: the input ``x`` is ``o + shown (x - o)``.
        output: grid of the signature's output.
        mean: what is taken from the output, by colour.
        gain: what the rest is divided by.
        residual: what that stands for.
        moves: by sampler.
    """

    signature: str
    state: int
    timestep: int
    shown: float
    output: OutputGrid
    mean: tuple[float, float, float]
    gain: float
    residual: Residual
    moves: Mapping[str, Move]


@dataclass(frozen=True, kw_only=True)
class PathTables:
    """The path, for people and other samplers: ``x_t = o + signal (x0 - o) + noise n``.

    Attributes:
        name: of the schedule that was trained on.
        parameters: of that schedule.
        timesteps: number on it of every state that is sampled, state 0 first.
        signal: ``a_t`` of these states.
        noise: ``s_t`` of these states.
    """

    name: str
    parameters: Mapping[str, Any]
    timesteps: tuple[int, ...]
    signal: tuple[float, ...]
    noise: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class ScheduledCentre:
    """The signature that makes the centre; what goes in and comes out are grey levels.

    Attributes:
        signature: of the file; it has the one input ``lr``.
        halo: low-resolution pixels that a window of it reads beyond what it keeps.
        zero_point: a number stands for ``number - zero_point`` grey levels: -128 in int8, and 0 in
            float32, where the output is to be clipped to [0, 255].
    """

    signature: str
    halo: int
    zero_point: int


@dataclass(frozen=True, kw_only=True)
class StepSchedule:
    """Everything that a host must know beside the file.

    Attributes:
        scale: upscaling factor.
        multiple: sides of the low-resolution image are padded to a multiple of this.
        halo: low-resolution pixels that a window reads beyond what it keeps; None where the network
            sees the whole image.
        io: dtype of inputs and output, ``int8`` or ``float32``. The code of a real number ``v`` in
            [-1, 1] is ``rint((v + 1) * 127.5) - 128``, clipped to int8.
        centred: whether the offset ``o`` is the centre; else it is 0.
        prediction: what the network was trained to predict, for people.
        start_noise: the start is ``o + start_noise n``.
        path: tables.
        steps: in sampling order, the noisiest first.
        centre: what makes the centre; None for bicubic enlargement.
    """

    scale: int
    multiple: int
    halo: int | None
    io: str
    centred: bool
    prediction: str
    start_noise: float
    path: PathTables
    steps: tuple[ScheduledStep, ...]
    centre: ScheduledCentre | None = None

    @property
    def signatures(self) -> tuple[str, ...]:
        """Signatures of the file in its order: the steps, then the centre where it has one."""
        steps = tuple(step.signature for step in self.steps)
        return steps if self.centre is None else (*steps, self.centre.signature)

    @property
    def samplers(self) -> tuple[str, ...]:
        """Names of the samplers that there are moves for."""
        return tuple(self.steps[0].moves)


def to_text(schedule: StepSchedule) -> str:
    """Return the JSON text of a schedule."""
    facts = asdict(schedule)
    if schedule.centre is None:
        del facts["centre"]  # as files were before there was another than the bicubic one
    return json.dumps({"schema": SCHEMA, **facts}, allow_nan=False)


def from_text(text: str, where: str) -> StepSchedule:
    """Read a schedule from its JSON text.

    Args:
        text: what ``to_text`` gave.
        where: file, for messages.

    Raises:
        CheckpointError: it is no schedule, or of another version.
    """
    try:
        document = json.loads(text)
        if document["schema"] != SCHEMA:
            raise CheckpointError(
                f"{where}: schedule is {document['schema']}, want {SCHEMA}; update edgesr or "
                f"{_EXPORT_AGAIN}"
            )
        del document["schema"]
        steps = tuple(_step(one) for one in document.pop("steps"))
        tables = document.pop("path")
        path = PathTables(
            name=tables["name"],
            parameters=tables["parameters"],
            timesteps=tuple(tables["timesteps"]),
            signal=tuple(tables["signal"]),
            noise=tuple(tables["noise"]),
        )
        centre = _centre(document.pop("centre", None))
        schedule = StepSchedule(**document, path=path, steps=steps, centre=centre)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"{where}: schedule cannot be read ({' '.join(str(error).split())}); {_EXPORT_AGAIN}"
        ) from error
    if not schedule.steps:
        raise CheckpointError(f"{where}: schedule has no steps; {_EXPORT_AGAIN}")
    return schedule


def read_schedule(model: Path) -> StepSchedule | None:
    """Return the schedule of a .tflite file: from its metadata, else from the JSON beside it.

    tflite_runtime cannot read metadata, so the JSON beside the file is all it has.

    Returns:
        None where there is neither, as for a plain network.

    Raises:
        CheckpointError: the file cannot be read, or its schedule is damaged.
    """
    text = read_metadata(model).get(METADATA_KEY)
    if text is not None:
        return from_text(text, str(model))
    beside = model.with_suffix(SUFFIX)
    if not beside.is_file():
        return None
    try:
        return from_text(beside.read_text(encoding="utf-8"), str(beside))
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{beside}: cannot be read ({error}); {_EXPORT_AGAIN}") from error


def _centre(entry: dict[str, Any] | None) -> ScheduledCentre | None:
    if entry is None:
        return None
    centre = ScheduledCentre(**entry)
    numbers = [centre.halo, centre.zero_point]
    if not all(type(one) is int for one in numbers) or centre.halo < 0:
        raise ValueError(
            f"{centre.signature}: halo {centre.halo!r} and zero_point {centre.zero_point!r}, want "
            "whole numbers and a halo from 0"
        )
    return centre


def _step(entry: dict[str, Any]) -> ScheduledStep:
    red, green, blue = entry.pop("mean")
    if not all(map(math.isfinite, (red, green, blue, entry["gain"]))) or entry["gain"] <= 0:
        raise ValueError(
            f"{entry['signature']}: mean {[red, green, blue]} and gain {entry['gain']}, want "
            "finite numbers and a positive gain"
        )
    return ScheduledStep(
        mean=(red, green, blue),
        output=OutputGrid(**entry.pop("output")),
        residual=Residual(**entry.pop("residual")),
        moves={name: Move(**move) for name, move in entry.pop("moves").items()},
        **entry,
    )
