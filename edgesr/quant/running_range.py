"""Ranges that follow the batches one after the other; their order matters."""

import torch
from torch import Tensor

from edgesr.quant.range_search import Range


class MovingAverageRange:
    """Exponential averages of every image's smallest and largest value, seeded by the first.

    What most quantization-aware training of TensorFlow and torch is calibrated with.

    Args:
        decay: weight of what was there before.

    Source: Jacob et al. 2017, "Quantization and Training of Neural Networks for Efficient
    Integer-Arithmetic-Only Inference", arXiv 1712.05877, section 3.1.
    """

    def __init__(self, *, decay: float = 0.95) -> None:
        self.decay = decay
        self._range: Range | None = None

    def see(self, values: Tensor) -> None:
        """Take in one batch, images first."""
        ends = torch.stack(torch.aminmax(values.reshape(len(values), -1), dim=1), dim=1)
        keep, take = self.decay, 1.0 - self.decay
        for low, high in ends.double().tolist():
            old = self._range or (low, high)
            self._range = keep * old[0] + take * low, keep * old[1] + take * high

    def range(self) -> Range:
        """Return ``(low, high)``."""
        low, high = self._range or (0.0, 0.0)
        return min(low, 0.0), max(high, 0.0)


class PamsRange:
    """Range symmetric round 0: the running average of the batch mean of every image's maximum.

    This is where PAMS starts to learn from.

    Args:
        decay: weight of what was there before.

    Source: Li et al. 2020, "PAMS: Quantized Super-Resolution via Parameterized Max Scale",
    arXiv 2011.04212, section 3.3.
    """

    def __init__(self, *, decay: float = 0.9997) -> None:
        self.decay = decay
        self._largest: float | None = None

    def see(self, values: Tensor) -> None:
        """Take in one batch, images first."""
        found = float(values.abs().reshape(len(values), -1).amax(dim=1).mean())
        old = found if self._largest is None else self._largest
        self._largest = self.decay * old + (1.0 - self.decay) * found

    def range(self) -> Range:
        """Return ``(low, high)``."""
        largest = self._largest or 0.0
        return -largest, largest
