"""Mean losses by kind or by state between two lines of the log."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

_MOST_BINS = 16


class Breakdown:
    """Collects losses under labels without waiting for the device.

    Args:
        labels: in the order of the report.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self._labels = tuple(labels)
        self._parts: list[tuple[Sequence[int], Tensor]] = []

    def add(self, places: Sequence[int], losses: Tensor) -> None:
        """Count ``losses`` ``(n,)`` under the labels at ``places``, one for each."""
        self._parts.append((places, losses.detach()))

    def report(self) -> dict[str, float]:
        """Return the mean of every label that was seen since the last report."""
        if not self._parts:
            return {}
        places = [place for some, _ in self._parts for place in some]
        values = torch.cat([losses for _, losses in self._parts]).tolist()
        self._parts = []
        found: dict[int, list[float]] = {}
        for place, value in zip(places, values, strict=True):
            found.setdefault(place, []).append(value)
        return {self._labels[place]: float(np.mean(found[place])) for place in sorted(found)}


class StateBreakdown:
    """Collects losses by the state of the path: one bin a state, or 16 bins of a long path.

    Args:
        num_steps: of the path.
    """

    def __init__(self, num_steps: int) -> None:
        bins = np.array_split(np.arange(1, num_steps + 1), min(num_steps, _MOST_BINS))
        self._first = np.array([one[0] for one in bins])
        self._breakdown = Breakdown(
            [f"{one[0]}" if one.size == 1 else f"{one[0]}-{one[-1]}" for one in bins]
        )

    def add(self, states: Tensor, losses: Tensor) -> None:
        """Count ``losses`` ``(n,)`` under ``states`` ``(n,)``, from 1, on the CPU."""
        places = np.searchsorted(self._first, states.numpy(), side="right") - 1
        self._breakdown.add(places.tolist(), losses)

    def report(self) -> dict[str, float]:
        """Return the mean of every bin that was seen since the last report."""
        return self._breakdown.report()
