"""The processes of a run: one, or as many as ``torchrun`` started."""

import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import DistributedDataParallelKwargs
from torch import Tensor, distributed, nn


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


def largest_over_processes(value: Tensor) -> Tensor:
    """Return the largest ``value`` of all processes; ``value`` itself where there is one."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return value
    largest = value.clone()
    distributed.all_reduce(largest, distributed.ReduceOp.MAX)
    return largest


def average_gradients(network: nn.Module) -> None:
    """Replace the gradients of a network that nothing wraps by their mean over all processes."""
    for weight in network.parameters():
        if weight.grad is not None:
            weight.grad = averaged_over_processes(weight.grad)


def averaged_over_processes(value: Tensor) -> Tensor:
    """Return the mean of ``value`` over all processes; ``value`` itself where there is one."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return value
    total = value.clone()
    distributed.all_reduce(total)
    return total / distributed.get_world_size()
