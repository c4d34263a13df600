"""The mutable things of a run: network, average, optimizer, counters."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import nn

from edgesr.data.cache import DecodedImages
from edgesr.data.patches import PatchSampler
from edgesr.errors import CheckpointError, ConfigError
from edgesr.train.centring import Centring
from edgesr.train.config import TrainConfig
from edgesr.train.objective import Forward, Kept, Objective
from edgesr.train.optimizer import make_optimizer
from edgesr.train.precision import autocast_precision
from edgesr.train.processes import accelerator as join
from edgesr.train.revival import Revival, make_revival
from edgesr.train.state import TrainingState
from edgesr.train.whitening import make_centring

MakeObjective = Callable[[int], Objective]
"""Gets the number of this process."""


@dataclass(kw_only=True)
class Shell:
    """What changes while a run goes on.

    Attributes:
        accelerator: device, processes and gradient exchange.
        network: the plain network, whose weights are saved.
        trained: the same network as the steps call it (distributed, compiled).
        averaged: exponential moving average of ``network``, in evaluation mode.
        optimizer: the one that ``config.optimizer`` names.
        sampler: draws this process's patches.
        precision: autocast type; None for float32.
        objective: what is trained, and by which measure.
        centring: of its steps, or whitening; None without.
        revival: of its dead channels; None leaves them dead.
        step: optimizer steps done.
        best_psnr: best validation PSNR in dB.
        best_step: the step that reached it.
    """

    accelerator: Accelerator
    network: nn.Module
    trained: Forward
    averaged: nn.Module
    optimizer: torch.optim.Optimizer
    sampler: PatchSampler
    precision: torch.dtype | None
    objective: Objective
    centring: Centring | None = None
    revival: Revival | None = None
    step: int = 0
    best_psnr: float = -math.inf
    best_step: int = 0

    @property
    def is_main(self) -> bool:
        """Whether this process writes files."""
        return bool(self.accelerator.is_main_process)

    @property
    def kept(self) -> dict[str, Kept]:
        """What a resumed run needs beside network, average and optimizer."""
        centring = {} if self.centring is None else {self.centring.kind: self.centring}
        revival = {} if self.revival is None else {"revival": self.revival}
        return {**self.objective.kept, **centring, **revival}

    def state(self) -> TrainingState:
        """Return what a resumed run needs."""
        return TrainingState(
            step=self.step,
            weights=self.network.state_dict(),
            averages=self.averaged.state_dict(),
            optimizer=self.optimizer.state_dict(),
            best_psnr=self.best_psnr,
            best_step=self.best_step,
            kept={name: one.state_dict() for name, one in self.kept.items()},
        )


def start(
    config: TrainConfig,
    images: DecodedImages,
    state: TrainingState | None,
    make_objective: MakeObjective,
) -> Shell:
    """Build a run's network and optimizer, fresh or from ``state``.

    Args:
        config: settings.
        images: to cut patches from.
        state: where to go on from.
        make_objective: what is trained.

    Raises:
        CheckpointError: the state lacks what is trained beside the network.
        ConfigError: the batch cannot be shared out evenly among the processes.
    """
    accelerator = join()
    if config.batch_size % accelerator.num_processes:
        raise ConfigError(
            f"batch_size = {config.batch_size}: want a multiple of the "
            f"{accelerator.num_processes} processes"
        )
    set_seed(config.seed)
    objective = make_objective(accelerator.process_index)
    network = objective.build()
    averaged = objective.build().eval()
    averaged.load_state_dict(network.state_dict())
    optimizer = make_optimizer(config, objective.groups(network))
    precision = autocast_precision(config.precision, accelerator.device)
    precision = None if objective.is_exact else precision
    shell = Shell(
        accelerator=accelerator,
        network=network,
        trained=network,
        averaged=averaged.to(accelerator.device),
        optimizer=optimizer,
        sampler=PatchSampler(
            images=images,
            patch_size=config.patch_size,
            patch_milestones=config.patch_milestones,
            patch_sizes=config.patch_sizes,
            batch_size=config.batch_size // accelerator.num_processes,
            seed=config.seed,
            rank=accelerator.process_index,
            sampling=config.sampling,
            degradation=config.degradation,
        ),
        precision=precision,
        objective=objective,
        centring=make_centring(config, network),
        revival=make_revival(config, network),
    )
    objective.to(accelerator.device)
    if state is not None:
        network.load_state_dict(state.weights)
        averaged.load_state_dict(state.averages)
        optimizer.load_state_dict(state.optimizer)
        shell.step, shell.best_psnr = state.step, state.best_psnr
        shell.best_step = state.best_step
        _restore(shell.kept, state)
    prepared, shell.optimizer = accelerator.prepare(network.train(), optimizer)
    shell.trained = torch.compile(prepared) if config.compile else prepared
    return shell


def _restore(kept: Mapping[str, Kept], state: TrainingState) -> None:
    for name, one in kept.items():
        if name not in state.kept:
            raise CheckpointError(
                f"training state of step {state.step}: lacks {name}, which this run trains beside "
                "its network; start a new run from the weights"
            )
        one.load_state_dict(state.kept[name])
