"""Denoisers of an ``.esb`` file: packed convolutions inside the torch network that names them.

Convolutions of one bit run in edgesr's kernel; what is float (ends, norms, attention, timestep, and
the network that makes the centre) runs in torch, from the file's half-precision values.
"""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from torch import nn

from edgesr.binary.conv import BinaryConv2d
from edgesr.binary.esb import EsbFile, read_esb
from edgesr.binary.packed import TABLES, BinaryParts, PackedConv2d
from edgesr.binary.style import BinaryStyle
from edgesr.errors import CheckpointError, ConfigError
from edgesr.models.centre import CentreNetwork, pack_centre, unpack_centre
from edgesr.models.checkpoint import agree
from edgesr.models.denoiser import Denoiser, Prediction
from edgesr.models.denoiser_files import LoadedDenoiser, Schedule, style_of_file
from edgesr.models.denoisers import DENOISERS, DenoiserDescriptor, build_denoiser

SCHEMA = "edgesr/esb/1"
FACTOR = "factor"
"""Beside a convolution's ``weight`` and ``TABLES``: what its sums are multiplied by."""

_AGAIN = "export it again"


def load_packed(
    path: Path,
    *,
    model: str | None = None,
    scale: int | None = None,
    kernel: str | None = None,
) -> LoadedDenoiser:
    """Load a denoiser from an ``.esb`` file.

    Args:
        path: the file.
        model: name in ``DENOISERS`` that the file must have.
        scale: upscaling factor that it must have.
        kernel: of the packed convolutions; None takes the best, see ``find_kernel``.

    Raises:
        CheckpointError: the file is missing, damaged, or of another network or scale.
        MissingDependencyError: this machine does not run the kernel that is asked for.
    """
    return packed_denoiser(read_esb(path), path, model=model, scale=scale, kernel=kernel)


def packed_denoiser(
    content: EsbFile,
    path: Path,
    *,
    model: str | None = None,
    scale: int | None = None,
    kernel: str | None = None,
) -> LoadedDenoiser:
    """Make the denoiser of a file that was read; see ``load_packed``."""
    about = content.about
    if about.get("schema") != SCHEMA:
        raise CheckpointError(
            f"{path}: is {str(about.get('schema'))[:80]!r}, want {SCHEMA}; update edgesr or "
            f"{_AGAIN}"
        )
    descriptor = _descriptor(path, agree(path, "model", _text(path, about, "model"), model))
    factor = agree(path, "scale", _scale(path, descriptor, about.get("scale")), scale)
    schedule, prediction = _schedule(path, about), _prediction(path, about.get("prediction"))
    metadata = _metadata(path, about)
    with torch.device("meta"):  # the weights come from the file
        network = _network(path, descriptor, factor, metadata)
    rest, centre = _centre(path, _pack(path, network, content, kernel), metadata, factor)
    _load(path, network, rest)
    network.prediction = prediction
    module: nn.Module = network
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return LoadedDenoiser(
        module=network.requires_grad_(requires_grad=False).eval(),
        descriptor=descriptor,
        scale=factor,
        schedule=schedule,
        prediction=prediction,
        metadata=metadata,
        path=path,
        centre=centre,
        style=style_of_file(path, metadata),
    )


def binary_layers(network: nn.Module) -> dict[str, BinaryConv2d]:
    """Return the convolutions of one bit by name."""
    return {name: part for name, part in network.named_modules() if isinstance(part, BinaryConv2d)}


def _pack(
    path: Path, network: Denoiser, content: EsbFile, kernel: str | None
) -> dict[str, np.ndarray[Any, Any]]:
    """Put packed convolutions in place; return the tensors that are not theirs."""
    rest = dict(content.tensors)
    styles = content.about.get("styles")
    for name, conv in binary_layers(network).items():
        style = styles.get(name) if isinstance(styles, Mapping) else None
        if style != asdict(conv.style):
            raise CheckpointError(
                f"{path}: {name} is of style {str(style)[:80]}, this edgesr's is "
                f"{asdict(conv.style)}; {_AGAIN}"
            )
        parts = _parts(path, name, conv, rest)
        parent, _, last = name.rpartition(".")
        setattr(network.get_submodule(parent), last, PackedConv2d(parts, kernel=kernel))
    return rest


def _centre(
    path: Path,
    rest: Mapping[str, np.ndarray[Any, Any]],
    metadata: Mapping[str, str],
    scale: int,
) -> tuple[dict[str, np.ndarray[Any, Any]], CentreNetwork | None]:
    """Return the tensors that are not the centre's, and the network that makes it."""
    state = {name: torch.from_numpy(value.astype(np.float32)) for name, value in rest.items()}
    own, centre = unpack_centre(path, state, metadata, scale=scale)
    return {name: rest[name] for name in own}, centre


def _parts(
    path: Path, name: str, conv: BinaryConv2d, rest: dict[str, np.ndarray[Any, Any]]
) -> BinaryParts:
    """Take the tensors of one convolution out of ``rest``."""
    own = conv.state_dict()
    learned = {key: tuple(own[key].shape) for key in TABLES if key in own}
    shapes = {"weight": tuple(conv.weight.shape), FACTOR: (conv.channels,), **learned}
    found: dict[str, np.ndarray[Any, Any]] = {}
    for key, shape in shapes.items():
        value = rest.pop(f"{name}.{key}", None)
        is_fitting = value is not None and (value.dtype == np.bool_) == (key == "weight")
        if value is None or value.shape != shape or not is_fitting:
            kind = "missing" if value is None else f"{value.dtype} {value.shape}"
            raise CheckpointError(f"{path}: {name}.{key} is {kind}, want {shape}; {_AGAIN}")
        found[key] = value
    return BinaryParts(
        style=conv.style,
        minus=found["weight"],
        factor=found[FACTOR].astype(np.float32),
        tables={**_box(conv), **{key: found[key].astype(np.float32) for key in learned}},
    )


def _box(conv: BinaryConv2d) -> dict[str, np.ndarray[Any, Any]]:
    """Return XNOR-Net's window, which is not learned and in no file."""
    if conv.style.gain != "box":
        return {}
    return {"window": np.full((1, 1, conv.size, conv.size), 1.0 / conv.size**2, np.float32)}


def _load(path: Path, network: Denoiser, rest: Mapping[str, np.ndarray[Any, Any]]) -> None:
    wanted = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in rest.items()}
    for name in sorted(wanted.keys() | found.keys()):
        if wanted.get(name) != found.get(name) or rest[name].dtype == np.bool_:
            raise CheckpointError(
                f"{path}: {name[:80]} has shape {found.get(name)}, this network wants "
                f"{wanted.get(name)} of floats; {_AGAIN}"
            )
    state = {name: torch.from_numpy(value.astype(np.float32)) for name, value in rest.items()}
    network.load_state_dict(state, assign=True)


def _network(
    path: Path, descriptor: DenoiserDescriptor, scale: int, metadata: Mapping[str, str]
) -> Denoiser:
    try:
        return build_denoiser(descriptor.name, scale, style_of_file(path, metadata))
    except ConfigError as error:
        raise CheckpointError(f"{path}: {error}; update edgesr or {_AGAIN}") from error


def _descriptor(path: Path, name: str) -> DenoiserDescriptor:
    if name not in DENOISERS:
        raise CheckpointError(
            f"{path}: is of model {name[:80]!r}, want one of {', '.join(DENOISERS)}; update edgesr"
        )
    return DENOISERS[name]


def _scale(path: Path, descriptor: DenoiserDescriptor, found: Any) -> int:
    if type(found) is not int or found not in descriptor.scales:
        wanted = ", ".join(map(str, descriptor.scales))
        raise CheckpointError(f"{path}: is of scale {str(found)[:80]}, want one of {wanted}")
    return found


def _text(path: Path, about: Mapping[str, Any], key: str) -> str:
    value = about.get(key)
    if not isinstance(value, str) or not value:
        raise CheckpointError(f"{path}: says no {key}; {_AGAIN}")
    return value


def _schedule(path: Path, about: Mapping[str, Any]) -> Schedule:
    steps, parameters = about.get("sampling_steps"), about.get("schedule_parameters")
    if not isinstance(parameters, dict) or not (
        steps is None or (type(steps) is int and steps >= 1)
    ):
        raise CheckpointError(f"{path}: its schedule or number of steps is none; {_AGAIN}")
    return Schedule(
        name=_text(path, about, "schedule"),
        parameters=parameters,
        sampling_steps=steps,
        is_distilled=about.get("is_distilled") is True,
    )


def _prediction(path: Path, found: Any) -> Prediction:
    for kind in get_args(Prediction):
        if found == kind:
            known: Prediction = kind
            return known
    raise CheckpointError(f"{path}: predicts {str(found)[:80]!r}; {_AGAIN}")


def _metadata(path: Path, about: Mapping[str, Any]) -> Mapping[str, str]:
    found = about.get("metadata")
    if not isinstance(found, dict) or not all(isinstance(one, str) for one in found.values()):
        raise CheckpointError(f"{path}: its metadata are no texts; {_AGAIN}")
    return found


def esb_about(loaded: LoadedDenoiser, styles: Mapping[str, BinaryStyle]) -> dict[str, Any]:
    """Return the facts that a file says of a denoiser; ``load_packed`` reads them."""
    return {
        "schema": SCHEMA,
        "model": loaded.descriptor.name,
        "scale": loaded.scale,
        "prediction": loaded.prediction,
        "schedule": loaded.schedule.name,
        "schedule_parameters": dict(loaded.schedule.parameters),
        "sampling_steps": loaded.schedule.sampling_steps,
        "is_distilled": loaded.schedule.is_distilled,
        "metadata": {**loaded.metadata, **pack_centre(loaded.centre)[1]},
        "styles": {name: asdict(style) for name, style in styles.items()},
    }
