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
from edgesr.train.processes import averaged_over_processes, largest_over_processes

SHARE_OF_RUN = 0.8
_MEAN_SQUARES = ("square", "exp_avg_sq")


class Revival:
    """Finds channels whose ReLU has let nothing pass, and lets them begin anew.

    A dead channel has no gradient and never comes back. It gets the negative of the kernel of a
    live one of its layer, in a random order of the input channels, and the bias with which about
    half of its inputs pass, unless the layer before has new channels too; whoever reads it starts
    at 0, so that the network computes what it did.

    Source: Sokar et al. 2023, "The dormant neuron phenomenon in deep reinforcement learning", arXiv
    2302.12902, section 4, for the recycling; where the kernels come from is ours.

    Args:
        network: as ``check_revival`` wants it.
        every: steps between two looks; what passed in none of them is dead.
        steps: of the run; in the last fifth nothing is revived.
        seed: of the run.
    """

    def __init__(self, network: nn.Module, *, every: int, steps: int, seed: int) -> None:
        self._every, self._steps, self._seed = every, steps, seed
        self._revived = 0
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
    def after_update(
        self, step: int, averaged: nn.Module, optimizer: torch.optim.Optimizer
    ) -> tuple[str, ...]:
        """Revive what is dead, when it is time.

        Args:
            step: that was made, from 0.
            averaged: network of the averaged weights, which get the new ones at once: what it may
                still have remembered of a dead channel is lost.
            optimizer: forgets what it knows of them.

        Returns:
            The layers that read a revived channel, as the network names them.
        """
        for name, peak in self._peaks.items():
            self._peaks[name] = largest_over_processes(peak)
        if (step + 1) % self._every or step >= SHARE_OF_RUN * self._steps:
            return ()
        random = torch.Generator().manual_seed(self._seed + step)
        rows = (self._row, dict(plain_row(averaged)))
        readers = []
        for writer, reader in pairwise(self._row):
            dead = (self._peaks[reader] <= 0).tolist()
            live = [channel for channel, is_dead in enumerate(dead) if not is_dead]
            if not live or len(live) == len(dead):
                continue
            mean = averaged_over_processes(self._means[writer])
            for channel in sorted({*range(len(dead))} - {*live}):
                pick = live[int(torch.randint(len(live), (), generator=random))]
                order = torch.randperm(len(mean), generator=random).to(mean.device)
                kernel = -self._row[writer].weight[pick][order]
                for row in rows:
                    row[writer].weight[channel] = kernel
                    row[writer].get_parameter("bias")[channel] = -(kernel.sum((1, 2)) * mean).sum()
                    row[reader].weight[:, channel] = 0.0
                _forget(optimizer, self._row[writer].weight, channel)
                _forget(optimizer, self._row[writer].get_parameter("bias"), channel)
                _forget(optimizer, self._row[reader].weight, (slice(None), channel))
                self._revived += 1
            readers.append(f"body.{reader}")
        self._peaks.clear()
        return tuple(readers)

    def report(self) -> dict[str, int]:
        """Return how many channels were revived since the last report, if any."""
        revived, self._revived = self._revived, 0
        return {"revived": revived} if revived else {}


def make_revival(config: TrainConfig, network: nn.Module) -> Revival | None:
    """Return what revives channels of ``network``, if ``config`` wants it."""
    if not config.revive_every:
        return None
    every, steps = config.revive_every, config.steps
    return Revival(network, every=every, steps=steps, seed=config.seed)


def check_revival(config: TrainConfig) -> None:
    """Refuse a network whose channels cannot be revived.

    Raises:
        ConfigError: it is not a row of convolutions with ReLU between them, beside an anchor; it
            has branches; or the run ends before the first look.
    """
    if not config.revive_every:
        return
    switch = f"revive_every = {config.revive_every}"
    if config.form == "training":
        raise ConfigError(
            f"{switch}: branches are folded at every step; drop --form training or --revive-every"
        )
    if config.revive_every > SHARE_OF_RUN * config.steps:
        raise ConfigError(
            f"{switch}: steps = {config.steps}, and nothing is revived in the last fifth of them; "
            "give fewer steps between two looks"
        )
    network = build_model(config.model, config.scale)
    try:
        plain_row(network)
    except GraphError as error:
        raise ConfigError(
            f"{switch}: {config.model} is not a row of convolutions "
            "with ReLU between them, beside an anchor; drop --revive-every"
        ) from error


def _forget(optimizer: torch.optim.Optimizer, one: Tensor, place: Any) -> None:
    """Let the momentum of one place begin at 0, and its mean square at that of all places."""
    for name, kept in optimizer.state[one].items():
        if isinstance(kept, Tensor) and kept.shape == one.shape:
            kept[place] = kept.mean() if name in _MEAN_SQUARES else 0.0
