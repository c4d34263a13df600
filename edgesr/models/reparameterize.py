"""Re-parameterisation: a convolution trained as a sum of branches, deployed as one convolution.

Whatever has a method ``fold`` is a training form; ``collapse`` replaces it by what ``fold`` returns
and measures what that changed. Networks, files and exports all go through this one function.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgesr.errors import GraphError
from edgesr.models.branches import Kernel, grown, kernel_of

MAX_RELATIVE_DIFFERENCE = 1e-9
"""Largest change of the output by folding, of its largest value, in float64."""

MakeConv = Callable[[int, int, int], nn.Module]
"""Channels before and after and the side of the kernel, to a layer that keeps the image's size."""

_PROBE_SIZE = (24, 32)
_PROBE_PEAK = 255.0


@runtime_checkable
class Foldable(Protocol):
    """A module that is trained in another form than it is deployed in."""

    def fold(self) -> nn.Module:
        """Return an equal module without anything foldable in it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Collapsed:
    """A module in its deployed form.

    Attributes:
        module: the deployed form, a copy.
        folded: training forms that were replaced.
        max_abs_difference: between the outputs of both forms in float64, in grey levels.
        relative_difference: the same as a share of the largest output.
    """

    module: nn.Module
    folded: int
    max_abs_difference: float
    relative_difference: float


class BranchedConv(nn.Module):
    """A ``same`` convolution that is the sum of linear branches.

    Branches are ordinary modules of convolutions without padding: the image is padded once, before
    the first of them, so that a bias inside a branch reaches the border as it does after folding.
    The forward pass computes with the one folded kernel, which gradients flow through; that costs
    what the deployed layer costs. Setting ``branchwise`` runs the branches themselves.

    Args:
        size: side of the kernel, odd.
        branches: what is summed; see ``branches.kernel_of`` for what they may be.

    Raises:
        GraphError: a branch cannot be folded.
    """

    def __init__(self, size: int, branches: Sequence[nn.Module]) -> None:
        super().__init__()
        self.size = size
        self.branches = nn.ModuleList(branches)
        self.branchwise = False
        self.kernel()

    def kernel(self) -> Kernel:
        """Return weight ``(out, in, size, size)`` and bias ``(out,)`` of the one convolution.

        Raises:
            GraphError: a branch cannot be folded, or its kernel does not fit.
        """
        kernels = [
            grown(kernel_of(branch, f"branch {index}"), self.size, f"branch {index}")
            for index, branch in enumerate(self.branches)
        ]
        shapes = {tuple(weight.shape) for weight, _ in kernels}
        if len(shapes) != 1:
            raise GraphError(
                f"branches have kernels {sorted(shapes)}, want one shape; give them the same "
                "channels in and out"
            )
        weight = torch.stack([weight for weight, _ in kernels]).sum(0)
        return weight, torch.stack([bias for _, bias in kernels]).sum(0)

    def forward(self, features: Tensor) -> Tensor:
        """Map ``(n, in, h, w)`` to ``(n, out, h, w)``."""
        if self.branchwise:
            return self._sum_of_branches(features)
        # a product of kernels in bfloat16 would be another kernel than the one that is deployed
        with torch.autocast(features.device.type, enabled=False):
            weight, bias = self.kernel()
        return functional.conv2d(features, weight, bias, padding=self.size // 2)

    def fold(self) -> nn.Conv2d:
        """Return the one convolution.

        Raises:
            GraphError: a branch cannot be folded.
        """
        weight, bias = (value.detach() for value in self.kernel())
        conv = nn.Conv2d(weight.shape[1], weight.shape[0], self.size, padding=self.size // 2)
        conv.to(weight)
        with torch.no_grad():
            conv.weight.copy_(weight)
            conv.get_parameter("bias").copy_(bias)
        return conv

    def _sum_of_branches(self, features: Tensor) -> Tensor:
        margin = self.size // 2
        padded = functional.pad(features, (margin,) * 4)
        height, width = features.shape[2:]
        results = []
        for branch in self.branches:
            made: Tensor = branch(padded)
            top, left = (made.shape[2] - height) // 2, (made.shape[3] - width) // 2
            results.append(made[:, :, top : top + height, left : left + width])
        return torch.stack(results).sum(0)


def collapse(module: nn.Module, *, channels: int = 3) -> Collapsed:
    """Return ``module`` in its deployed form with what that changed.

    The fold is computed and compared in float64, on noise in [0, 255] with its borders; the result
    has the dtype and device of ``module``, which stays as it was.

    Args:
        module: network or layer in whatever form.
        channels: of the image that it takes.

    Raises:
        GraphError: a branch cannot be folded, or the two forms are not equal.
    """
    dtype, device = _kind(module)
    exact = copy.deepcopy(module).double().cpu().eval()
    deployed, count = _folded(copy.deepcopy(exact))
    if count == 0:
        same = copy.deepcopy(module)
        return Collapsed(module=same, folded=0, max_abs_difference=0.0, relative_difference=0.0)
    for part in exact.modules():
        if isinstance(part, BranchedConv):
            part.branchwise = True
    generator = torch.Generator().manual_seed(0)
    probe = _PROBE_PEAK * torch.rand(
        1, channels, *_PROBE_SIZE, generator=generator, dtype=torch.float64
    )
    exact.training = deployed.training = True  # no clip: it would hide a difference
    with torch.no_grad():
        wanted, found = exact(probe), deployed(probe)
    difference = float((found - wanted).abs().max())
    relative = difference / max(float(wanted.abs().max()), 1e-300)
    if not relative <= MAX_RELATIVE_DIFFERENCE:
        raise GraphError(
            f"{type(module).__name__}: folding changed the output by {difference:.3g} of "
            f"{float(wanted.abs().max()):.3g}, want {MAX_RELATIVE_DIFFERENCE:g} of it; its fold() "
            "and its forward() differ, or its weights are not finite"
        )
    return Collapsed(
        module=deployed.to(device=device, dtype=dtype).train(module.training),
        folded=count,
        max_abs_difference=difference,
        relative_difference=relative,
    )


def is_training_form(module: nn.Module) -> bool:
    """Tell whether ``collapse`` would change ``module``."""
    return any(isinstance(part, Foldable) for part in module.modules())


def plain(before: int, after: int, size: int) -> nn.Module:
    """Return a plain ``same`` convolution: the deployed form of every layer here."""
    return nn.Conv2d(before, after, size, padding=size // 2)


def _folded(module: nn.Module) -> tuple[nn.Module, int]:
    if isinstance(module, Foldable):
        return module.fold(), 1
    count = 0
    for name, child in module.named_children():
        try:
            folded, found = _folded(child)
        except GraphError as error:
            raise GraphError(f"layer {name}: {error}") from error
        if found:
            setattr(module, name, folded)
        count += found
    return module, count


def _kind(module: nn.Module) -> tuple[torch.dtype, torch.device]:
    for value in module.parameters():
        return value.dtype, value.device
    return torch.float32, torch.device("cpu")
