"""Channels that no ReLU lets pass any more get another beginning."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from edgesr.errors import ConfigError, GraphError
from edgesr.models import build_model
from edgesr.models.grow import plain_row
from edgesr.train.config import TrainConfig
from edgesr.train.processes import averaged_over_processes

_LEAST_SHARE = 1e-3
_SHARE_OF_RUN = 0.8


class Revival:
    """Finds channels whose ReLU has let nothing pass, and lets them begin anew.

    A dead channel has no gradient and never comes back. It gets the negative of the kernel of a
    live one of its layer, in a random order of the input channels, and the bias with which about
    half of its inputs pass; whoever reads it starts at 0, so that the network computes what it did.

    Source: Sokar et al. 2023, "The dormant neuron phenomenon in deep reinforcement learning", arXiv
    2302.12902, section 4, for the recycling; where the kernels come from is ours.

    Args:
        network: as ``check_revival`` wants it.
        every: steps between two looks; what passed in none of them is dead.
        steps: of the run; in the last fifth nothing is revived.
        seed: of the run.
    """

    def __init__(self, network: nn.Module, *, every: int, steps: int, seed: int) -> None:
        self._every, self._last, self._seed = every, _SHARE_OF_RUN * steps, seed
        self._row = dict(plain_row(network))
        self._means: dict[str, Tensor] = {}
        self._peaks: dict[str, Tensor] = {}
        for name, layer in self._row.items():
            layer.register_forward_pre_hook(self._watching(name))

    def state_dict(self) -> dict[str, Tensor]:
        """Return by layer the largest mean of every input since the last look."""
        return dict(self._peaks)

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on with ``state``."""
        self._peaks = dict(state)

    def _watching(self, name: str) -> Any:
        def watch(layer: nn.Conv2d, inputs: tuple[Tensor, ...]) -> None:
            if layer.training:
                mean = inputs[0].detach().mean((0, 2, 3), dtype=layer.weight.dtype)
                self._means[name] = mean
                known = self._peaks.get(name, mean).to(mean.device)
                self._peaks[name] = torch.maximum(known, mean)

        return watch

    @torch.no_grad()
    def after_update(self, step: int, averaged: nn.Module, optimizer: torch.optim.Optimizer) -> int:
        """Revive what is dead, when it is time, and return how many channels that were.

        Args:
            step: that was made, from 0.
            averaged: network of the averaged weights, which get the new ones as well.
            optimizer: forgets what it knows of them.
        """
        if (step + 1) % self._every or step >= self._last:
            return 0
        random = torch.Generator().manual_seed(self._seed + step)
        twins = dict(plain_row(averaged))
        found = 0
        for writer, reader in pairwise(self._row):
            peaks = averaged_over_processes(self._peaks[reader])
            dead = (peaks <= _LEAST_SHARE * peaks.mean()).nonzero().flatten().tolist()
            if len(dead) == len(peaks):
                continue
            live = sorted({*range(len(peaks))} - {*dead})
            mean = averaged_over_processes(self._means[writer])
            for channel in dead:
                pick = live[int(torch.randint(len(live), (), generator=random))]
                order = torch.randperm(len(mean), generator=random).to(mean.device)
                kernel = -self._row[writer].weight[pick][order]
                bias = -(kernel.sum((1, 2)) * mean).sum()
                for row in (self._row, twins):
                    row[writer].weight[channel] = kernel
                    row[writer].get_parameter("bias")[channel] = bias
                    row[reader].weight[:, channel] = 0.0
                _forget(optimizer, self._row[writer], channel)
                _forget(optimizer, self._row[reader], (slice(None), channel), weight_only=True)
            found += len(dead)
        self._peaks.clear()
        return found


def make_revival(config: TrainConfig, network: nn.Module) -> Revival | None:
    """Return what revives channels of ``network``, if ``config`` wants it."""
    if not config.revive_every:
        return None
    every, steps = config.revive_every, config.steps
    return Revival(network, every=every, steps=steps, seed=config.seed)


def check_revival(config: TrainConfig) -> None:
    """Refuse a network whose channels cannot be revived.

    Raises:
        ConfigError: it is not a row of convolutions with ReLU between them, beside an anchor.
    """
    if not config.revive_every:
        return
    network: Any = build_model(config.model, config.scale, config.form)
    try:
        plain_row(network)
    except GraphError as error:
        raise ConfigError(
            f"revive_every = {config.revive_every}: {config.model} is not a row of convolutions "
            "with ReLU between them, beside an anchor; drop --revive-every"
        ) from error


def _forget(
    optimizer: torch.optim.Optimizer, layer: nn.Conv2d, place: Any, *, weight_only: bool = False
) -> None:
    """Clear what ``optimizer`` keeps of one place of the weight and, unless told, of the bias."""
    for one in [layer.weight] if weight_only else [layer.weight, layer.get_parameter("bias")]:
        for kept in optimizer.state[one].values():
            if isinstance(kept, Tensor) and kept.shape == one.shape:
                kept[place] = 0.0
