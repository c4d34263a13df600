"""Show by simulation how often the gate cries wolf, and how often it sees a real loss.

``python -m edgesr.bench.power`` prints the table of ``docs/gate.md``. A trial draws the losses of
the images of one run and asks the gate's own interval whether it fails. False alarms are counted in
the worst case, where the true loss is exactly the limit.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from edgesr.bench.statistics import CONFIDENCE, paired_interval

LIMIT_DB = 0.01
LOSS_DB = 0.05
IMAGES = 100
SPREADS_DB = (0.02, 0.05, 0.1)

Draw = Callable[[np.random.Generator, int], NDArray[np.float64]]
"""Draws so many numbers of mean 0 and standard deviation 1."""

SHAPES: Mapping[str, Draw] = MappingProxyType(
    {
        "normal": lambda rng, n: rng.normal(size=n),
        "long tails": lambda rng, n: rng.standard_t(4, size=n) / np.sqrt(2.0),
        "skewed up": lambda rng, n: rng.gamma(4.0, size=n) / 2 - 2,
        "skewed down": lambda rng, n: 2 - rng.gamma(4.0, size=n) / 2,
    }
)
"""How the losses of single images may be spread round their mean."""


@dataclass(frozen=True, kw_only=True)
class Power:
    """What trials of one kind gave.

    Attributes:
        shape: key in ``SHAPES``.
        spread_db: standard deviation of the loss from image to image.
        false_alarms: share of trials that fail though the true loss is the limit.
        detections: share of trials that fail when the true loss is ``LOSS_DB``.
    """

    shape: str
    spread_db: float
    false_alarms: float
    detections: float


def simulate(  # noqa: PLR0913 - what a trial is made of
    shape: str,
    spread_db: float,
    *,
    trials: int,
    images: int = IMAGES,
    confidence: float = CONFIDENCE,
    resamples: int = 2000,
    seed: int = 0,
) -> Power:
    """Run the gate's decision on made losses."""
    rng = np.random.default_rng(seed)
    failed = {
        loss: sum(
            paired_interval(
                loss + spread_db * SHAPES[shape](rng, images),
                confidence=confidence,
                resamples=resamples,
                seed=trial,
            ).low
            > LIMIT_DB
            for trial in range(trials)
        )
        for loss in (LIMIT_DB, LOSS_DB)
    }
    return Power(
        shape=shape,
        spread_db=spread_db,
        false_alarms=failed[LIMIT_DB] / trials,
        detections=failed[LOSS_DB] / trials,
    )


def main(trials: int = 1000) -> None:
    """Print the table."""
    print(f"{IMAGES} images, limit {LIMIT_DB} dB, {trials} trials, confidence {CONFIDENCE}")
    print(f"{'losses':<12} {'spread dB':>9} {'false alarms':>13} {f'sees {LOSS_DB} dB':>13}")
    for shape in SHAPES:
        for spread in SPREADS_DB:
            power = simulate(shape, spread, trials=trials)
            print(
                f"{shape:<12} {spread:>9.2f} {power.false_alarms:>13.1%} {power.detections:>13.1%}"
            )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
