"""A teacher that grows out of the student and is trained along with it, so that neither runs away.

Source: Guo et al. 2024, "Gap Preserving Distillation by Building Bidirectional Mappings with A
Dynamic Teacher", arXiv 2410.04140. What is here is its teacher that starts as the widened student
and learns beside it, without a static teacher or with one. Not here: weights that both share and
the extraction of the student from the teacher.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from edgesr.errors import ConfigError, GraphError
from edgesr.models import build_model
from edgesr.models.reparameterize import collapse
from edgesr.models.widen import widen
from edgesr.train.config import TrainConfig
from edgesr.train.losses import loss_at
from edgesr.train.objective import Kept, groups_by_bias
from edgesr.train.optimizer import make_optimizer
from edgesr.train.processes import average_gradients
from edgesr.train.schedules import learning_rate_at, set_rate
from edgesr.train.whitening import make_centring


class GapTeacher:
    """The dynamic teacher of a run, its optimizer, and how far it is ahead.

    Args:
        config: settings; schedule and pixel loss are those of the student, and so is the rate over
            ``gap_width``: copies of a channel move together, so that a layer as many times as wide
            would learn as many times as fast, and its ReLUs die where the student's do not.
            Whitened steps, which are relative to a layer's outputs, have the student's rate.
        student: as it starts; the teacher starts as the same function, ``gap_width`` times as wide.

    Raises:
        GraphError: the student cannot be widened.
    """

    def __init__(self, config: TrainConfig, student: nn.Module) -> None:
        self._config = config
        deployed = collapse(student).module
        self.network = widen(deployed, config.gap_width, seed=config.seed).train()
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        groups = groups_by_bias(self.network, config.bias_rate_factor)
        self._optimizer = make_optimizer(config, groups)
        self._centring = make_centring(config, self.network)

    @property
    def kept(self) -> Mapping[str, Kept]:
        """What goes into the state of the run."""
        centring = self._centring
        steps = {} if centring is None else {f"gap_teacher_{centring.kind}": centring}
        return {
            "gap_teacher": self.network,
            "gap_teacher_optimizer": self._optimizer,
            **steps,
        }

    def to(self, device: torch.device) -> None:
        """Move the network; its optimizer has no state yet."""
        self.network.to(device)

    def teach(
        self, lr: Tensor, hr: Tensor, step: int, wanted: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Return its image of ``lr``, and its own pixel loss; then learn from both.

        Args:
            lr: ``(n, 3, h, w)`` in [0, 255].
            hr: ``(n, 3, h * scale, w * scale)`` in [0, 255].
            step: from 0.
            wanted: the static teacher's image, or None.
        """
        config = self._config
        set_rate(self._optimizer, learning_rate_at(config, step) / config.gap_width)
        image: Tensor = self.network(lr)
        pixel = loss_at(config, step)(image, hr)
        loss = pixel
        if wanted is not None and config.teacher_weight:
            loss = pixel + config.teacher_weight * nn.functional.l1_loss(image, wanted)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        average_gradients(self.network)
        if self._centring is not None:
            self._centring.before_update()
        if config.grad_clip:
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), config.grad_clip)
        self._optimizer.step()
        if self._centring is not None:
            self._centring.after_update(learning_rate_at(config, step))
        return image.detach(), pixel.detach()


def check_gap(config: TrainConfig) -> None:
    """Refuse a network that no teacher can grow from.

    Raises:
        ConfigError: names the network and what is wanted.
    """
    if not config.gap_weight:
        return
    network: Any = build_model(config.model, config.scale, config.form)
    try:
        widen(collapse(network).module, 1, seed=0)
    except GraphError as error:
        raise ConfigError(
            f"gap_weight = {config.gap_weight}: {error}; drop --gap-weight"
        ) from error
