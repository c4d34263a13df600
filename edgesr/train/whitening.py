"""Steps of weights as if every convolution saw white inputs, of a size relative to its outputs."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from edgesr.errors import ConfigError
from edgesr.models import build_model
from edgesr.train.centring import Centring
from edgesr.train.config import TrainConfig
from edgesr.train.processes import averaged_over_processes, largest_over_processes

_SHARE_OF_NEW = 0.05
_STRIDE = 8
_DAMPING = 0.1
_STEPS_BETWEEN_ROOTS = 20
_LEAST_OUTPUT = 1e-3


class Whitening(Centring):
    """Makes an optimizer learn ``v * (C^(-1/2) (x - mean)) + b`` where the network has ``w * x``.

    ``C`` is the covariance of what a kernel sees: neighbouring pixels and channels of a photograph
    are nearly the same, so that its eigenvalues span three to five decades, and fine structure,
    where they are small, is learned late. Here the optimizer is handed the gradient in white
    coordinates and gives the direction of the step alone; the length is such that the outputs of a
    layer change by the learning rate times what they vary, both as root mean squares over channels.

    Means and biases are those of ``Centring``. A layer whose inputs do not vary in a batch keeps
    its weights. A convolution with groups, strides or dilation, or with a kernel larger than a
    patch, is centred and no more: its steps have the optimizer's length (``check_whitening``).

    Source: Amari 1998, "Natural gradient works efficiently in learning", and Martens, Grosse 2015,
    arXiv 1503.05671, section 3, for the covariance of the inputs as a part of the metric; here the
    optimizer's own normalization stands for the other part.

    Args:
        network: whose ``nn.Conv2d`` with a bias are whitened; what is known of their inputs is of
            its forward passes in training mode.
    """

    kind: ClassVar[str] = "whitening"

    def __init__(self, network: nn.Module) -> None:
        super().__init__(network)
        self._windows: dict[str, Tensor] = {}
        self._covariances: dict[str, Tensor] = {}
        self._roots: dict[str, Tensor] = {}
        self._still: set[str] = set()
        self._count = 0
        for name, layer in self._layers.items():
            if is_whitened(layer):
                layer.register_forward_pre_hook(self._reading(name))

    def state_dict(self) -> dict[str, Any]:
        """Return running means and covariances by layer, the roots in use, and their age."""
        return {
            "means": super().state_dict(),
            "covariances": dict(self._covariances),
            "roots": dict(self._roots),
            "count": self._count,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with ``state``."""
        super().load_state_dict(state["means"])
        self._covariances, self._roots = dict(state["covariances"]), dict(state["roots"])
        self._count = state["count"]

    def _reading(self, name: str) -> Any:
        def read(layer: nn.Conv2d, inputs: tuple[Tensor, ...]) -> None:
            if layer.training and min(inputs[0].shape[2:]) >= max(layer.kernel_size):
                self._windows[name] = _windows(inputs[0].detach(), layer)

        return read

    @torch.no_grad()
    def before_update(self) -> None:
        """Turn gradients of weights into those of ``v``; call it before they are used."""
        super().before_update()
        is_due = self._count % _STEPS_BETWEEN_ROOTS == 0 or self._count < _STEPS_BETWEEN_ROOTS
        self._count += 1
        self._still.clear()
        for name in self._before:
            if name in self._windows:
                self._learn(name, self._windows[name])
            if name not in self._covariances:
                continue
            self._move(name)
            if is_due or name not in self._roots:
                self._roots[name] = _inverse_root(self._covariances[name], self._roots.get(name))
            gradient = self._layers[name].weight.grad
            if gradient is not None:
                gradient.copy_((gradient.flatten(1) @ self._roots[name]).view_as(gradient))
        self._windows.clear()

    def forget(self, names: Iterable[str]) -> None:
        """Learn anew what the inputs of the layers ``names`` are."""
        super().forget(names)
        for name in names:
            self._covariances.pop(name, None)
            self._roots.pop(name, None)

    def _move(self, name: str) -> None:
        """Bring what a state has loaded to where the network is."""
        device = self._layers[name].weight.device
        for kept in (self._covariances, self._roots):
            if name in kept:
                kept[name] = kept[name].to(device)

    def _learn(self, name: str, windows: Tensor) -> None:
        taps = windows.shape[1] // len(self._means[name])
        centred = windows - self._means[name].repeat_interleave(taps)
        seen = averaged_over_processes(centred.mT @ centred / len(centred))
        if not largest_over_processes((windows.amax(0) - windows.amin(0)).max()) > 0:
            self._still.add(name)
        known = self._covariances.get(name, seen).to(seen.device)
        self._covariances[name] = known.lerp(seen, _SHARE_OF_NEW)

    @torch.no_grad()
    def after_update(self, rate: float) -> None:
        """Turn the step of ``v`` into one of the weight, of the size that ``rate`` says."""
        for name, before in self._before.items():
            if name not in self._roots:
                continue
            weight, covariance = self._layers[name].weight, self._covariances[name]
            change = (weight - before).flatten(1) @ self._roots[name]
            moved = _root_mean_square(change, covariance)
            weight.copy_(before)
            if moved > 0 and name not in self._still:
                output = _root_mean_square(before.flatten(1), covariance)
                change *= rate * output.clamp_min(_LEAST_OUTPUT) / moved
                weight.add_(change.view_as(before))
        super().after_update(rate)


def is_whitened(layer: nn.Conv2d) -> bool:
    """Say whether ``Whitening`` does more than centre the steps of a layer."""
    return layer.groups == 1 and layer.stride == (1, 1) and layer.dilation == (1, 1)


def check_whitening(config: TrainConfig) -> None:
    """Refuse a network some of whose layers would take steps of another kind, and clipping.

    Raises:
        ConfigError: names what does not go together.
    """
    if not config.whitened:
        return
    if config.grad_clip:
        raise ConfigError(
            f"grad_clip = {config.grad_clip}: whitened = true: the length of a step does not "
            "depend on that of the gradient; drop one"
        )
    network = build_model(config.model, config.scale)
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d) and not is_whitened(layer):
            raise ConfigError(
                f"whitened = true: {config.model}: layer {name} has groups, strides or dilation, "
                "which are not whitened; drop --whitened"
            )


def make_centring(config: TrainConfig, network: nn.Module) -> Centring | None:
    """Return what ``config`` has the steps of ``network`` made with; None leaves them alone."""
    if config.whitened:
        return Whitening(network)
    return Centring(network) if config.centred else None


def _windows(x: Tensor, layer: nn.Conv2d) -> Tensor:
    """Return ``(count, channels * height * width)``: what the kernel sees, on a coarse grid."""
    height, width = layer.kernel_size
    windows = x.unfold(2, height, _STRIDE).unfold(3, width, _STRIDE)
    return windows.permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(0, 2).to(layer.weight.dtype)


def _inverse_root(covariance: Tensor, last: Tensor | None) -> Tensor:
    """Return ``(covariance + damping)^(-1/2)``; ``last`` where there is no such thing."""
    if not covariance.isfinite().all():
        return last if last is not None else torch.eye(len(covariance)).to(covariance)
    values, vectors = torch.linalg.eigh(covariance.double())
    values = values.clamp_min(0)
    damped = values + _DAMPING * values.mean() + torch.finfo(values.dtype).tiny
    root: Tensor = (vectors * damped.rsqrt()) @ vectors.mT
    return root.to(covariance.dtype)


def _root_mean_square(kernels: Tensor, covariance: Tensor) -> Tensor:
    """Return that of the outputs of ``kernels``, about their means, over outputs and places."""
    return ((kernels @ covariance) * kernels).sum(1).mean().clamp_min(0).sqrt()
