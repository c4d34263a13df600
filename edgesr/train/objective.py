"""What a run trains, how it is judged and how it is saved."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from edgesr.data.cache import DecodedImages

Forward = Callable[..., Tensor]
"""The network as a step calls it: distributed, compiled, in the precision of the run."""


class Kept(Protocol):
    """What a resumed run needs beside the network; networks and optimizers are of this kind."""

    def state_dict(self) -> dict[str, Any]:
        """Return its state."""

    def load_state_dict(self, state_dict: dict[str, Any], /) -> Any:
        """Take a state."""


class Objective(Protocol):
    """One kind of training."""

    @property
    def is_exact(self) -> bool:
        """Whether steps compute whole numbers, so that nothing may be rounded below float32."""

    @property
    def validates_start(self) -> bool:
        """Whether the network before the first step is worth judging and saving."""

    @property
    def kept(self) -> Mapping[str, Kept]:
        """What is trained beside the network, by name; it goes into the state of the run."""

    @property
    def largest_fall(self) -> float:
        """How far below its best, in dB, the validation PSNR may fall before the run is stopped."""

    def build(self) -> nn.Module:
        """Return the network as it starts; every call returns one like the others."""

    def groups(self, network: nn.Module) -> list[dict[str, Any]]:
        """Return the optimizer's groups: ``params`` and the ``factor`` of their learning rate."""

    def to(self, device: torch.device) -> None:
        """Move what is not trained, such as a teacher."""

    def loss(self, forward: Forward, lr: Tensor, hr: Tensor, step: int) -> Tensor:
        """Return the loss of one batch, in grey levels.

        Args:
            forward: the network.
            lr: ``(n, 3, h, w)`` in [0, 255].
            hr: ``(n, 3, h * scale, w * scale)`` in [0, 255].
            step: from 0.
        """

    def before_update(self, network: nn.Module, step: int) -> None:
        """Change gradients before the optimizer's step."""

    def after_update(self, network: nn.Module, averaged: nn.Module, step: int) -> None:
        """Change weights after the optimizer's step and the averaging."""

    def report(self) -> dict[str, Any]:
        """Return what the steps since the last report add to the log: names, figures by label."""

    def pictures(self, averaged: nn.Module, lr: Tensor) -> dict[str, Tensor]:
        """Return what the network makes of an image, by the name that a picture of it has.

        Args:
            averaged: the network that is validated.
            lr: ``(1, 3, h, w)`` in [0, 255].

        Returns:
            Images ``(1, 3, h * scale, w * scale)`` in [0, 255].
        """

    def validate(
        self, averaged: nn.Module, held_out: DecodedImages, device: torch.device
    ) -> dict[str, float]:
        """Return figures on held-out images; ``psnr_mai`` among them decides which is best."""

    def save(self, path: Path, averaged: nn.Module, metadata: dict[str, str]) -> None:
        """Write the weights file of ``averaged``, atomically.

        Raises:
            DataError: a weight is not finite; ``path`` stays as it was.
        """


def groups_by_bias(network: nn.Module, bias_factor: float) -> list[dict[str, Any]]:
    """Return two groups: biases, which learn ``bias_factor`` times faster, and the rest."""
    biases = [p for name, p in network.named_parameters() if name.endswith("bias")]
    others = [p for name, p in network.named_parameters() if not name.endswith("bias")]
    return [{"params": others, "factor": 1.0}, {"params": biases, "factor": bias_factor}]
