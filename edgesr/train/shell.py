"""The mutable things of a run: network, average, optimizer, counters."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import Tensor, nn

from edgesr.data.cache import DecodedImages
from edgesr.data.patches import PatchSampler
from edgesr.errors import ConfigError
from edgesr.models import build_model
from edgesr.quant.qat import QatNetwork
from edgesr.train.config import TrainConfig
from edgesr.train.precision import autocast_precision
from edgesr.train.processes import accelerator as join
from edgesr.train.qat import QatStart
from edgesr.train.state import TrainingState


@dataclass(kw_only=True)
class Shell:
    """What changes while a run goes on.

    Attributes:
        accelerator: device, processes and gradient exchange.
        network: the plain network, whose weights are saved.
        trained: the same network as the steps call it (distributed, compiled).
        averaged: exponential moving average of ``network``, in evaluation mode.
        optimizer: Adam.
        sampler: draws this process's patches.
        precision: autocast type; None for float32.
        qat: what quantization-aware training starts from; None in float training.
        step: optimizer steps done.
        best_psnr: best validation PSNR in dB.
        best_step: the step that reached it.
    """

    accelerator: Accelerator
    network: nn.Module
    trained: Callable[[Tensor], Tensor]
    averaged: nn.Module
    optimizer: torch.optim.Optimizer
    sampler: PatchSampler
    precision: torch.dtype | None
    qat: QatStart | None = None
    step: int = 0
    best_psnr: float = -math.inf
    best_step: int = 0

    @property
    def is_main(self) -> bool:
        """Whether this process writes files."""
        return bool(self.accelerator.is_main_process)

    def state(self) -> TrainingState:
        """Return what a resumed run needs."""
        return TrainingState(
            step=self.step,
            weights=self.network.state_dict(),
            averages=self.averaged.state_dict(),
            optimizer=self.optimizer.state_dict(),
            best_psnr=self.best_psnr,
            best_step=self.best_step,
        )


def start(
    config: TrainConfig,
    images: DecodedImages,
    state: TrainingState | None,
    qat: QatStart | None = None,
) -> Shell:
    """Build a run's network and optimizer, fresh or from ``state``.

    Raises:
        ConfigError: the batch cannot be shared out evenly among the processes.
    """
    accelerator = join()
    if config.batch_size % accelerator.num_processes:
        raise ConfigError(
            f"batch_size = {config.batch_size}: want a multiple of the "
            f"{accelerator.num_processes} processes"
        )
    set_seed(config.seed)
    network = _network(config, qat)
    averaged = _network(config, qat).eval()
    averaged.load_state_dict(network.state_dict())
    optimizer = torch.optim.Adam(_groups(network, config), lr=config.learning_rate)
    shell = Shell(
        accelerator=accelerator,
        network=network,
        trained=network,
        averaged=averaged.to(accelerator.device),
        optimizer=optimizer,
        sampler=PatchSampler(
            images=images,
            patch_size=config.patch_size,
            batch_size=config.batch_size // accelerator.num_processes,
            seed=config.seed,
            rank=accelerator.process_index,
            sampling=config.sampling,
        ),
        precision=None if qat else autocast_precision(config.precision, accelerator.device),
        qat=qat,
    )
    if qat is not None:
        qat.teacher.module.to(accelerator.device)
        torch.backends.cudnn.allow_tf32 = False  # sums of whole numbers must stay exact
    if state is not None:
        network.load_state_dict(state.weights)
        averaged.load_state_dict(state.averages)
        optimizer.load_state_dict(state.optimizer)
        shell.step, shell.best_psnr = state.step, state.best_psnr
        shell.best_step = state.best_step
    prepared, shell.optimizer = accelerator.prepare(network.train(), optimizer)
    shell.trained = torch.compile(prepared) if config.compile else prepared
    return shell


def _network(config: TrainConfig, qat: QatStart | None) -> nn.Module:
    if qat is not None:
        return QatNetwork(qat.quantized, weight_scales=config.weight_scales)
    network = build_model(config.model, config.scale)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


def _groups(network: nn.Module, config: TrainConfig) -> list[dict[str, Any]]:
    factors = {"biases": config.bias_rate_factor, "scales": config.scale_rate_factor}
    if isinstance(network, QatNetwork):
        found = network.groups_of_parameters()
        return [{"params": some, "factor": factors.get(k, 1.0)} for k, some in found.items()]
    biases = [p for name, p in network.named_parameters() if name.endswith("bias")]
    others = [p for name, p in network.named_parameters() if not name.endswith("bias")]
    return [
        {"params": others, "factor": 1.0},
        {"params": biases, "factor": config.bias_rate_factor},
    ]
