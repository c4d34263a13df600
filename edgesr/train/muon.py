"""Muon: momentum whose every matrix is made orthogonal before it is a step."""

from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Any

import torch
from torch import Tensor

Pair = tuple[Tensor, Tensor]
"""A parameter and its gradient."""

_AXES_OF_WEIGHTS = (2, 4)
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5
_MOMENTUM = 0.95
_RMS_OF_ADAM = 0.2
_BETAS = (0.9, 0.999)
_LEAST_ROOT = 1e-8
_LEAST_NORM = 1e-7


class Muon(torch.optim.Optimizer):
    """Muon for the weights of convolutions and linear layers, Adam for whatever else there is.

    A weight ``(out, in, h, w)`` is the matrix ``(out, in * h * w)``; what has a single
    row or column is a vector. A step has the root mean square that Adam's has, so that both go by
    one learning rate; neither decays weights.

    ``torch.optim.Muon`` takes matrices alone and one after the other; here the weights of one shape
    are orthogonalized together, in their own precision.

    Source: Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks"; Liu et
    al. 2025, arXiv 2502.16982, eq. 4, for the size of the step.

    Args:
        groups: parameters in groups, as Adam takes them.
        lr: learning rate.
    """

    def __init__(self, groups: list[dict[str, Any]], lr: float) -> None:
        super().__init__(groups, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Change every parameter that has a gradient.

        Args:
            closure: computes the loss and its gradients anew; None where they are there.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            changed = [(p, p.grad) for p in group["params"] if p.grad is not None]
            for one, gradient in changed:
                if not _is_matrix(one):
                    self._step_vector(one, gradient, group["lr"])
            for pairs in _of_one_shape(changed):
                self._step_matrices(pairs, group["lr"])
        return loss

    def _step_matrices(self, pairs: list[Pair], rate: float) -> None:
        ahead = []
        for weight, gradient in pairs:
            momentum = self._kept(weight, "momentum")
            momentum.mul_(_MOMENTUM).add_(gradient)
            ahead.append(gradient.add(momentum, alpha=_MOMENTUM).flatten(1))
        steps = orthogonalized(torch.stack(ahead))
        size = _RMS_OF_ADAM * max(steps.shape[1:]) ** 0.5
        for (weight, _), change in zip(pairs, steps, strict=True):
            weight.sub_(change.reshape(weight.shape), alpha=rate * size)

    def _step_vector(self, one: Tensor, gradient: Tensor, rate: float) -> None:
        mean, square = self._kept(one, "mean"), self._kept(one, "square")
        count = self.state[one]["step"] = self.state[one].get("step", 0) + 1
        mean.lerp_(gradient, 1 - _BETAS[0])
        square.lerp_(gradient.square(), 1 - _BETAS[1])
        unbiased = square.div(1 - _BETAS[1] ** count).sqrt_().add_(_LEAST_ROOT)
        one.addcdiv_(mean, unbiased, value=-rate / (1 - _BETAS[0] ** count))

    def _kept(self, one: Tensor, name: str) -> Tensor:
        state = self.state[one]
        if name not in state:
            state[name] = torch.zeros_like(one)
        kept: Tensor = state[name]
        return kept


def orthogonalized(matrices: Tensor) -> Tensor:
    """Return for every one of ``(n, rows, columns)`` about the nearest orthogonal matrix.

    Five Newton-Schulz iterations of fifth order bring the singular values into about 0.7 to 1.2,
    those that are very small beside the largest less far.
    """
    a, b, c = _COEFFICIENTS
    is_tall = matrices.shape[1] > matrices.shape[2]
    found: Tensor = matrices.mT if is_tall else matrices
    found = found / torch.linalg.matrix_norm(found, keepdim=True).clamp_min(_LEAST_NORM)
    for _ in range(_ITERATIONS):
        square = found @ found.mT
        found = a * found + (b * square + c * square @ square) @ found
    return found.mT if is_tall else found


def _is_matrix(one: Tensor) -> bool:
    return one.ndim in _AXES_OF_WEIGHTS and min(one.flatten(1).shape) > 1


def _of_one_shape(changed: list[Pair]) -> Iterator[list[Pair]]:
    def shape(pair: Pair) -> tuple[int, ...]:
        return tuple(pair[0].shape)

    matrices = [pair for pair in changed if _is_matrix(pair[0])]
    for _, some in groupby(sorted(matrices, key=shape), key=shape):
        yield list(some)
