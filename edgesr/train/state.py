"""What a run needs to go on as if it had never stopped."""

import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from edgesr.errors import CheckpointError
from edgesr.files import atomic_path

STATE_FILE = "training_state.pt"


@dataclass(frozen=True, kw_only=True)
class TrainingState:
    """Everything that changes while a run goes on.

    Random numbers are not here: every batch is a pure function of seed, step and rank.

    Attributes:
        step: optimizer steps done.
        weights: state dict of the network.
        averages: state dict of the averaged network.
        optimizer: state dict of the optimizer.
        best_psnr: best validation PSNR so far in dB; minus infinity before the first.
        best_step: the step that reached it.
        kept: states of what is trained beside the network, by name.
    """

    step: int
    weights: dict[str, Tensor]
    averages: dict[str, Tensor]
    optimizer: dict[str, Any]
    best_psnr: float
    best_step: int
    kept: dict[str, Any] = field(default_factory=dict)


def save_state(folder: Path, state: TrainingState) -> None:
    """Write ``state`` into the run folder, atomically."""
    with atomic_path(folder / STATE_FILE) as temporary:
        torch.save(vars(state), temporary)


def load_state(folder: Path) -> TrainingState:
    """Read the state of the run in ``folder``.

    Raises:
        CheckpointError: there is none, or it is damaged.
    """
    path = folder / STATE_FILE
    if not path.is_file():
        raise CheckpointError(f"{path}: no training state there; name a run folder of edgesr train")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        return TrainingState(**content)
    except (pickle.UnpicklingError, RuntimeError, OSError, EOFError, TypeError) as error:
        raise CheckpointError(
            f"{path}: is no readable training state ({str(error).splitlines()[0]}); "
            "start again from the weights beside it"
        ) from error
