"""Weights files: edgesr's own safetensors and BasicSR-style ``.pth``.

A safetensors file carries the network's name and upscaling factor in its metadata, so that it can
be loaded without anything beside it.
"""

import json
import pickle
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast, get_args

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from edgesr import __version__
from edgesr.errors import CheckpointError
from edgesr.files import atomic_path
from edgesr.models.builders import Form
from edgesr.models.descriptor import Descriptor
from edgesr.models.registry import MODELS, build_model
from edgesr.models.reparameterize import collapse, is_training_form

Value = TypeVar("Value", str, int)
RUN_WEIGHTS = ("best.safetensors", "last.safetensors")
_HEADER_KEY = "edgesr"
SCHEME_KEY = "scheme"
"""In the metadata of a file with integers: the scheme that they are quantized with."""

SCHEDULE_KEY = "schedule"
"""In the metadata of a diffusion denoiser: the schedule that it was trained on."""

FORM_KEY = "form"
"""In the metadata of a float network: ``deploy``, which is meant where it is missing, or
``training``, whose branches are folded when the file is loaded."""

FOLD_KEY = "fold_max_abs_difference"
"""In the metadata of what was loaded in its training form: what folding changed, in grey levels."""

_PTH_KEYS = ("params_ema", "params", "state_dict")


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A network with its weights, in evaluation mode and float32.

    Attributes:
        module: maps RGB ``(n, 3, h, w)`` to ``(n, 3, h * scale, w * scale)``, both in [0, 255].
        descriptor: facts about the network.
        scale: upscaling factor.
        metadata: what the file says of itself (steps, recipe, commit...); text only.
        path: the file that the weights came from.
    """

    module: nn.Module
    descriptor: Descriptor
    scale: int
    metadata: Mapping[str, str]
    path: Path


def save_weights(
    path: Path,
    state: Mapping[str, Tensor],
    *,
    model: str,
    scale: int,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write the state dict of network ``model`` to a safetensors file, atomically.

    Raises:
        OutputError: ``path`` cannot be written.
    """
    facts = {**(metadata or {}), "model": model, "scale": str(scale), "edgesr": __version__}
    # one entry: safetensors writes several in random order, and equal weights shall be equal files
    header = {_HEADER_KEY: json.dumps(facts, sort_keys=True)}
    tensors = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, header)


def form_of(module: nn.Module) -> Form:
    """Return the form of a network, for the metadata of its weights."""
    return "training" if is_training_form(module) else "deploy"


def load_model(path: Path, *, model: str | None = None, scale: int | None = None) -> LoadedModel:
    """Load a network from a weights file or from the best weights of a run folder.

    A network that was saved in its training form is folded: what is returned is the deployed one.

    Args:
        path: ``.safetensors``, ``.pth`` or a run folder.
        model: name in ``MODELS``; needed for a ``.pth``, checked for a safetensors file.
        scale: upscaling factor; needed for a ``.pth``, checked for a safetensors file.

    Raises:
        CheckpointError: the file is missing, damaged, of another network or of another scale.
    """
    path = weights_file(Path(path))
    state, metadata = read_weights(path)
    if SCHEME_KEY in metadata:
        raise CheckpointError(
            f"{path}: holds integers ({metadata[SCHEME_KEY]}), want a float network; name the one "
            "that they were made from"
        )
    return model_of_state(path, state, metadata, model=model, scale=scale)


def holds_integers(path: Path) -> bool:
    """Tell whether a weights file, or the best one of a run folder, is of a quantized network.

    Raises:
        CheckpointError: the file is missing or damaged.
    """
    path = weights_file(Path(path))
    return path.suffix != ".pth" and SCHEME_KEY in _read_header(path)


def is_denoiser(path: Path) -> bool:
    """Tell whether a weights file, or the best one of a run folder, is of a diffusion denoiser.

    Raises:
        CheckpointError: the file is missing or damaged.
    """
    path = weights_file(Path(path))
    return path.suffix != ".pth" and SCHEDULE_KEY in _read_header(path)


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors of a weights file and what it says of itself.

    Raises:
        CheckpointError: the file is damaged.
    """
    return _read_pth(path) if path.suffix == ".pth" else _read_safetensors(path)


def model_of_state(
    path: Path,
    state: Mapping[str, Tensor],
    metadata: Mapping[str, str],
    *,
    model: str | None,
    scale: int | None,
) -> LoadedModel:
    """Build the network that ``metadata`` or the arguments name, with the weights ``state``.

    Raises:
        CheckpointError: the weights do not fit or are not finite.
    """
    found_model, found_scale = metadata.get("model"), _whole(metadata.get("scale"))
    name = agree(path, "model", found_model, model)
    factor = agree(path, "scale", found_scale, scale)
    if name not in MODELS:
        known = ", ".join(MODELS)
        if SCHEDULE_KEY in metadata:
            raise CheckpointError(
                f"{path}: is of the diffusion denoiser {name!r}, want a network that enlarges in "
                f"one pass, one of {known}; name another file, or read it with load_denoiser"
            )
        raise CheckpointError(f"{path}: is of model {name!r}, want one of {known}; update edgesr")
    form = metadata.get(FORM_KEY, "deploy")
    if form not in get_args(Form):
        known = ", ".join(get_args(Form))
        raise CheckpointError(f"{path}: is of form {form!r}, want one of {known}; update edgesr")
    module = build_model(name, factor, cast("Form", form))
    load_state(path, module, state, f"{name} x{factor}")
    module = module.float().eval()
    if form == "training":
        collapsed = collapse(module)
        module = collapsed.module
        metadata = {**metadata, FOLD_KEY: f"{collapsed.max_abs_difference:.3g}"}
    return LoadedModel(
        module=module,
        descriptor=MODELS[name],
        scale=factor,
        metadata=metadata,
        path=path,
    )


def state_tensor(  # noqa: PLR0913 - what is wanted, and what to say where it is not there
    path: Path,
    state: Mapping[str, Tensor],
    key: str,
    shape: tuple[int, ...],
    dtype: torch.dtype,
    *,
    remedy: str,
) -> Tensor:
    """Return a tensor of a file, which must have this shape and type.

    Args:
        path: the file, for the message.
        state: its tensors.
        key: name of the tensor.
        shape: that it must have.
        dtype: that it must have.
        remedy: what to do, the end of the message.

    Raises:
        CheckpointError: it is missing or different.
    """
    found = state.get(key)
    if found is None or tuple(found.shape) != tuple(shape) or found.dtype != dtype:
        what = "is missing" if found is None else f"is {found.dtype} {tuple(found.shape)}"
        raise CheckpointError(f"{path}: {key} {what}, want {dtype} {tuple(shape)}; {remedy}")
    return found


def weights_file(path: Path) -> Path:
    """Return ``path`` itself, or the best weights in it when it is a run folder.

    Raises:
        CheckpointError: there is no such file, or the folder holds no weights.
    """
    if path.is_dir():
        for name in RUN_WEIGHTS:
            if (path / name).is_file():
                return path / name
        wanted = " or ".join(RUN_WEIGHTS)
        raise CheckpointError(f"{path}: no weights there, want {wanted}; train with edgesr train")
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint; list runs/ or name a weights file")
    return path


def newest_run(root: Path = Path("runs")) -> Path:
    """Return the run folder under ``root`` whose weights were written last.

    Raises:
        CheckpointError: no run folder there holds weights.
    """
    written = {
        folder.parent: folder.stat().st_mtime_ns
        for name in reversed(RUN_WEIGHTS)
        for folder in root.glob(f"*/{name}")
    }
    if not written:
        raise CheckpointError(
            f"{root}/: no trained run there; run edgesr train first or name a --checkpoint"
        )
    return max(written, key=lambda folder: written[folder])


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    with _opened(path) as file:
        # safe_open is no mapping: it has keys() alone
        return {key: file.get_tensor(key) for key in file.keys()}, _header(file)  # noqa: SIM118


def _read_header(path: Path) -> dict[str, str]:
    with _opened(path) as file:
        return _header(file)


def _header(file: Any) -> dict[str, str]:
    facts: dict[str, str] = json.loads((file.metadata() or {}).get(_HEADER_KEY, "{}"))
    return facts


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            f"{path}: is no readable safetensors file ({error}); train again or restore it"
        ) from error


def _read_pth(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, OSError, EOFError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(
            f"{path}: is no readable .pth of plain tensors ({reason}); save its state_dict again"
        ) from error
    for key in _PTH_KEYS:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
            break
    if not isinstance(content, dict) or not all(isinstance(v, Tensor) for v in content.values()):
        wanted = ", ".join(_PTH_KEYS)
        raise CheckpointError(f"{path}: holds no state dict, want {wanted} or a plain one")
    return {name.removeprefix("module."): value for name, value in content.items()}, {}


def load_state(path: Path, module: nn.Module, state: Mapping[str, Tensor], title: str) -> None:
    """Give ``module`` the weights ``state`` of file ``path``; ``title`` names it in messages.

    Raises:
        CheckpointError: names or shapes differ, or a value is not finite.
    """
    own = module.state_dict()
    missing = [name for name in own if name not in state]
    extra = [name for name in state if name not in own]
    if missing or extra:
        first = f"misses {missing[0]}" if missing else f"has {extra[0]} too much"
        raise CheckpointError(
            f"{path}: does not fit {title}: {first} "
            f"({len(missing)} missing, {len(extra)} unknown); give its --model and --scale"
        )
    for name, wanted in own.items():
        if state[name].shape != wanted.shape:
            raise CheckpointError(
                f"{path}: does not fit {title}: {name} is {tuple(state[name].shape)}, "
                f"want {tuple(wanted.shape)}; is it of another scale?"
            )
        if not bool(torch.isfinite(state[name].float()).all()):
            raise CheckpointError(
                f"{path}: {name} holds NaN or infinity; use an earlier checkpoint"
            )
    module.load_state_dict(dict(state))


def agree(path: Path, what: str, found: Value | None, given: Value | None) -> Value:
    """Return what a file says of itself, or what the caller says where it does not.

    Raises:
        CheckpointError: both say something else, or neither says anything.
    """
    if found is None and given is None:
        raise CheckpointError(f"{path}: does not say its {what}; give --{what}")
    if found is not None and given is not None and found != given:
        raise CheckpointError(
            f"{path}: is of {what} {found}, but {what} {given} was asked for; "
            f"drop --{what} or choose another checkpoint"
        )
    return cast("Value", given if found is None else found)


def _whole(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None
