"""Weights files of denoisers: edgesr's safetensors form, with the path that they were trained on.

A denoiser is of no use without its schedule and without what its output means, so a file that
lacks either is refused.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from torch import Tensor

from edgesr.binary.style import OWN, OWN_NAME, StyleChoice
from edgesr.errors import CheckpointError, ConfigError
from edgesr.models.centre import CentreNetwork, pack_centre, unpack_centre
from edgesr.models.checkpoint import (
    SCHEDULE_KEY,
    SCHEME_KEY,
    agree,
    load_state,
    read_weights,
    save_weights,
    weights_file,
)
from edgesr.models.denoiser import Denoiser, Prediction
from edgesr.models.denoisers import DENOISERS, DenoiserDescriptor, build_denoiser

_PARAMETERS, _PREDICTION = "schedule_parameters", "prediction"
_STYLE, _GROUPS = "binary_style", "binary_groups"
_SAMPLING_STEPS, _DISTILLED = "sampling_steps", "distilled_by"
_SAVE_AGAIN = "save it with save_denoiser"


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """The path that a denoiser was trained on, as its file says; ``edgesr.diffusion`` reads it.

    Attributes:
        name: kind of schedule.
        parameters: its numbers and words, whatever JSON holds.
        sampling_steps: how many of the path's steps are taken unless others are asked for; None
            takes all.
        is_distilled: whether the network knows only this number.
    """

    name: str
    parameters: Mapping[str, Any]
    sampling_steps: int | None = None
    is_distilled: bool = False


@dataclass(frozen=True, kw_only=True)
class LoadedDenoiser:
    """A denoiser with its weights, in evaluation mode and float32.

    Attributes:
        module: see ``Denoiser.forward``; it has the file's prediction.
        descriptor: facts about the network.
        scale: upscaling factor.
        schedule: path that it was trained on.
        prediction: what its output is.
        metadata: what the file says of itself (steps, recipe, commit...); text only.
        path: the file that the weights came from.
        centre: the network that makes the centre of its path; None where that is bicubic.
        style: of its convolutions of one bit.
    """

    module: Denoiser
    descriptor: DenoiserDescriptor
    scale: int
    schedule: Schedule
    prediction: Prediction
    metadata: Mapping[str, str]
    path: Path
    centre: CentreNetwork | None = None
    style: StyleChoice = OWN


def save_denoiser(  # noqa: PLR0913 - what a denoiser is useless without
    path: Path,
    state: Mapping[str, Tensor],
    *,
    model: str,
    scale: int,
    schedule: Schedule,
    prediction: Prediction,
    centre: CentreNetwork | None = None,
    style: StyleChoice = OWN,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write the state dict of denoiser ``model`` to a safetensors file, atomically.

    The network that makes its centre goes into the same file.

    Raises:
        CheckpointError: the schedule's parameters are not JSON of finite numbers, or the
            prediction is of no known kind; nothing is written.
        OutputError: ``path`` cannot be written.
    """
    path = Path(path)
    try:
        parameters = json.dumps(dict(schedule.parameters), sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path}: parameters of schedule {schedule.name!r} cannot be stored ({error}); want "
            "finite numbers, words and lists"
        ) from error
    tensors, about = pack_centre(centre)
    facts = {
        **(metadata or {}),
        **about,
        SCHEDULE_KEY: schedule.name,
        _PARAMETERS: parameters,
        _PREDICTION: _prediction(path, prediction),
    }
    if schedule.sampling_steps is not None:
        facts[_SAMPLING_STEPS] = str(schedule.sampling_steps)
    if style != OWN:
        facts |= {_STYLE: style.name, _GROUPS: str(style.groups)}
    save_weights(path, {**state, **tensors}, model=model, scale=scale, metadata=facts)


def load_denoiser(
    path: Path, *, model: str | None = None, scale: int | None = None
) -> LoadedDenoiser:
    """Load a denoiser from a weights file or from the best weights of a run folder.

    Args:
        path: ``.safetensors`` or a run folder.
        model: name in ``DENOISERS`` that the file must have.
        scale: upscaling factor that the file must have.

    Raises:
        CheckpointError: the file is missing, damaged, of another network or scale, or lacks its
            schedule, its prediction or the network that makes its centre.
    """
    path = weights_file(Path(path))
    state, metadata = read_weights(path)
    if SCHEME_KEY in metadata:
        raise CheckpointError(
            f"{path}: holds integers ({metadata[SCHEME_KEY]}), want a float denoiser; name the "
            "one that they were made from"
        )
    return denoiser_of_state(path, state, metadata, model=model, scale=scale)


def denoiser_of_state(
    path: Path,
    state: Mapping[str, Tensor],
    metadata: Mapping[str, str],
    *,
    model: str | None = None,
    scale: int | None = None,
) -> LoadedDenoiser:
    """Build the denoiser that ``metadata`` or the arguments name, with the weights ``state``.

    Raises:
        CheckpointError: see ``load_denoiser``.
    """
    name = agree(path, "model", metadata.get("model"), model)
    if name not in DENOISERS:
        known = ", ".join(DENOISERS)
        raise CheckpointError(
            f"{path}: is of model {name!r}, which is no denoiser, want one of {known}; name "
            "another file or update edgesr"
        )
    factor = agree(path, "scale", _factor(path, metadata), scale)
    schedule = _schedule(path, metadata)
    prediction = _prediction(path, metadata.get(_PREDICTION))
    descriptor = DENOISERS[name]
    if factor not in descriptor.scales:
        wanted = ", ".join(map(str, descriptor.scales))
        raise CheckpointError(f"{path}: is of scale {factor}, want one of {wanted}; train again")
    style = style_of_file(path, metadata)
    module = _built(path, name, factor, style)
    state, centre = unpack_centre(path, state, metadata, scale=factor)
    load_state(path, module, state, f"{name} x{factor}")
    module.prediction = prediction
    return LoadedDenoiser(
        module=module.float().eval(),
        descriptor=descriptor,
        scale=factor,
        schedule=schedule,
        prediction=prediction,
        metadata=metadata,
        path=path,
        centre=centre,
        style=style,
    )


def style_of_file(path: Path, metadata: Mapping[str, str]) -> StyleChoice:
    """Return the style of one-bit convolutions that a file says it has.

    Raises:
        CheckpointError: its number of groups is none.
    """
    groups = metadata.get(_GROUPS, "0")
    if not groups.isdecimal():
        raise CheckpointError(
            f"{path}: says {_GROUPS} {groups[:80]!r}, want a whole number; {_SAVE_AGAIN}"
        )
    return StyleChoice(name=metadata.get(_STYLE, OWN_NAME), groups=int(groups))


def _built(path: Path, name: str, scale: int, style: StyleChoice) -> Denoiser:
    try:
        return build_denoiser(name, scale, style)
    except ConfigError as error:
        raise CheckpointError(f"{path}: {error}; update edgesr or {_SAVE_AGAIN}") from error


def _factor(path: Path, metadata: Mapping[str, str]) -> int | None:
    text = metadata.get("scale")
    if text is None:
        return None
    if not text.isdecimal():
        raise CheckpointError(f"{path}: says scale {text!r}, want a whole number; {_SAVE_AGAIN}")
    return int(text)


def _schedule(path: Path, metadata: Mapping[str, str]) -> Schedule:
    name, text = metadata.get(SCHEDULE_KEY), metadata.get(_PARAMETERS)
    if not name or text is None:
        raise CheckpointError(
            f"{path}: does not say the schedule that the denoiser was trained on; {_SAVE_AGAIN}"
        )
    try:
        parameters = json.loads(text)
    except ValueError as error:
        raise CheckpointError(
            f"{path}: parameters of schedule {name!r} are no JSON ({error}); {_SAVE_AGAIN}"
        ) from error
    if not isinstance(parameters, dict):
        raise CheckpointError(
            f"{path}: parameters of schedule {name!r} are a {type(parameters).__name__}, want "
            f"names with values; {_SAVE_AGAIN}"
        )
    steps = metadata.get(_SAMPLING_STEPS)
    if steps is not None and (not steps.isdecimal() or int(steps) < 1):
        raise CheckpointError(
            f"{path}: says sampling_steps {steps!r}, want a whole number from 1; {_SAVE_AGAIN}"
        )
    return Schedule(
        name=name,
        parameters=parameters,
        sampling_steps=None if steps is None else int(steps),
        is_distilled=_DISTILLED in metadata,
    )


def _prediction(path: Path, found: str | None) -> Prediction:
    for kind in get_args(Prediction):
        if found == kind:
            known: Prediction = kind
            return known
    wanted = ", ".join(get_args(Prediction))
    raise CheckpointError(f"{path}: predicts {found!r}, want one of {wanted}; {_SAVE_AGAIN}")
