"""The processes of a run: one, or as many as ``torchrun`` started."""

import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import DistributedDataParallelKwargs


def on_processor_only() -> bool:
    """Say whether there is no GPU; accelerate joins processes on a CPU only when told so."""
    return not torch.accelerator.is_available()


def processes() -> PartialState:
    """Return what this process knows of the others; joins them on the first call."""
    return PartialState(cpu=on_processor_only())


def accelerator() -> Accelerator:
    """Return device placement and gradient exchange for this process."""
    constant_buffers = DistributedDataParallelKwargs(broadcast_buffers=False)
    return Accelerator(cpu=on_processor_only(), kwargs_handlers=[constant_buffers])
