"""Steps of weights and biases as if every convolution saw inputs of mean 0."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from edgesr.train.processes import averaged_over_processes

_SHARE_OF_NEW = 0.02


class Centring:
    """Makes an optimizer learn ``w * (x - mean) + b`` where the network computes ``w * x + b``.

    Grey levels of 0 to 255 and what a ReLU lets pass have large means. A step of a weight then
    moves the mean of its output more than anything else, the gradient is that of the mean, and
    channels die. Here the gradient of a weight is freed of what its bias can do, and after the
    step the bias takes back by how much the weight has moved the mean. The network, its files and
    what it computes are as without. The border, where zeros are padded, is neglected.

    Source: Raiko, Valpola, LeCun 2012, "Deep learning made easier by linear transformations in
    perceptrons", section 2, for the idea; here it changes coordinates of the steps alone.

    Args:
        network: whose ``nn.Conv2d`` with a bias are centred; means are of its forward passes in
            training mode.
    """

    kind: ClassVar[str] = "centring"

    def __init__(self, network: nn.Module) -> None:
        self._layers = {
            name: layer
            for name, layer in network.named_modules()
            if isinstance(layer, nn.Conv2d) and layer.bias is not None
        }
        self._seen: dict[str, Tensor] = {}
        self._means: dict[str, Tensor] = {}
        self._before: dict[str, Tensor] = {}
        for name, layer in self._layers.items():
            layer.register_forward_pre_hook(self._seeing(name))

    def state_dict(self) -> dict[str, Tensor]:
        """Return the running means of the inputs by layer."""
        return dict(self._means)

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on with the means of ``state``."""
        self._means = dict(state)

    def forget(self, names: Iterable[str]) -> None:
        """Learn anew what the inputs of the layers ``names`` are."""
        for name in names:
            self._means.pop(name, None)

    def _seeing(self, name: str) -> Any:
        def see(layer: nn.Conv2d, inputs: tuple[Tensor, ...]) -> None:
            if layer.training:
                dtype = layer.weight.dtype  # of the input it is bfloat16 under autocast
                self._seen[name] = inputs[0].detach().mean((0, 2, 3), dtype=dtype)

        return see

    @torch.no_grad()
    def before_update(self) -> None:
        """Take from the gradients of weights what biases can do; call it before they are used."""
        self._before.clear()
        for name, layer in self._layers.items():
            weight, bias = layer.weight, layer.bias
            if name not in self._seen or weight.grad is None or bias is None or bias.grad is None:
                continue
            seen = averaged_over_processes(self._seen[name])
            mean = self._means.get(name, seen).to(seen.device).lerp(seen, _SHARE_OF_NEW)
            self._means[name] = mean
            self._before[name] = weight.detach().clone()
            weight.grad.sub_(
                bias.grad[:, None, None, None] * _by_output(mean, layer)[..., None, None]
            )
        self._seen.clear()

    @torch.no_grad()
    def after_update(self, rate: float) -> None:  # noqa: ARG002 - of ``Whitening``
        """Let biases take back what the step of the weights has moved; call it after the step.

        Args:
            rate: learning rate of the step.
        """
        for name, before in self._before.items():
            layer = self._layers[name]
            moved = (layer.weight - before).sum((2, 3))
            layer.get_parameter("bias").sub_((moved * _by_output(self._means[name], layer)).sum(1))


def _by_output(mean: Tensor, layer: nn.Conv2d) -> Tensor:
    """Return the means of the inputs of every output channel: ``(out, in / groups)``."""
    return mean.view(layer.groups, -1).repeat_interleave(layer.out_channels // layer.groups, 0)
