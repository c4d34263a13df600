"""From the figures of a suspect to one sentence that says what helps.

Every rule is a pure function of a ``Suspect``; the first that has something to say wins. What a
remedy brings was tried out in the network (``RangeTrial``, ``BiasTrial``), not estimated.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from edgesr.debug.figures import Probe, Suspect

MIN_GAIN_DB = 1.0
"""Below, float would take away less than a fifth of the squared error: not worth a change."""

GOOD_PART = 0.5
"""Part of the gain of float, in dB, that a range must bring to be the remedy."""

GOOD_BIAS_PART = 0.7
"""The same for a bias: rounded weights shift the mean too, and correction takes a part of that."""

LOW_SQNR_DB = 30.0
"""The tensors of the shipped network keep 31 to 39 dB in 8 bits."""

_BYTE = 8

RemedyKind = Literal[
    "tighter_range", "wider_range", "bias_correction", "weights", "more_bits", "qat", "none"
]


@dataclass(frozen=True, kw_only=True)
class Remedy:
    """What to do.

    Attributes:
        kind: of remedy, for machines.
        text: one sentence, with figures.
    """

    kind: RemedyKind
    text: str


def small(suspect: Suspect) -> Remedy | None:
    """Leave alone what costs next to nothing, and the 8 bits of images."""
    if suspect.fixed:
        return Remedy(kind="none", text="nothing: images in and out have 8 bits")
    if suspect.gain_db < MIN_GAIN_DB:
        return Remedy(kind="none", text="nothing: too little to gain")
    return None


def other_range(suspect: Suspect) -> Remedy | None:
    """Recommend the range that was tried, if it brings half of what float does.

    It is *wider* where most of the local error comes from values outside the grid, else *tighter*.
    """
    trial = suspect.range_trial
    if trial is None or trial.gain_db < GOOD_PART * suspect.gain_db:
        return None
    wider = suspect.clipped > GOOD_PART
    cause = "most of its error is clipping" if wider else "its steps are too coarse"
    return Remedy(
        kind="wider_range" if wider else "tighter_range",
        text=(
            f"{'wider' if wider else 'tighter'} range: {cause}; [{trial.low:.4g}, "
            f"{trial.high:.4g}] instead of [{suspect.low:.4g}, {suspect.high:.4g}] brings "
            f"{trial.gain_db:+.2f} of {suspect.gain_db:+.2f} dB"
        ),
    )


def other_bias(suspect: Suspect) -> Remedy | None:
    """Recommend bias correction, if it brings most of what float weights do."""
    trial = suspect.bias_trial
    if trial is None or trial.gain_db < GOOD_BIAS_PART * suspect.gain_db:
        return None
    return Remedy(
        kind="bias_correction",
        text=(
            f"bias correction: the mean error is most of it; up to {trial.largest:.4g} a channel "
            f"brings {trial.gain_db:+.2f} of {suspect.gain_db:+.2f} dB"
        ),
    )


def other_weights(suspect: Suspect) -> Remedy | None:
    """Recommend QAT or AdaRound where the rounding of weights costs."""
    if suspect.kind != "weights":
        return None
    trial = suspect.bias_trial
    bias = f", bias correction alone {trial.gain_db:+.2f} dB" if trial is not None else ""
    return Remedy(
        kind="weights",
        text=(
            f"QAT or AdaRound: its weights keep {suspect.sqnr_db:.1f} dB in {suspect.bits} bits; "
            f"float weights bring {suspect.gain_db:+.2f} dB{bias}"
        ),
    )


def more_bits(suspect: Suspect) -> Remedy | None:
    """Recommend more bits for a tensor that no range of its width serves."""
    if suspect.kind != "tensor" or suspect.sqnr_db >= LOW_SQNR_DB:
        return None
    wanted = "int16" if suspect.bits >= _BYTE else "8 bits"
    return Remedy(
        kind="more_bits",
        text=(
            f"{wanted} for this tensor: {suspect.sqnr_db:.1f} dB is low and no other range of "
            f"{suspect.bits} bits brings half of {suspect.gain_db:+.2f} dB"
        ),
    )


def training(suspect: Suspect) -> Remedy | None:
    """Recommend QAT for what is rounded well and costs all the same."""
    return Remedy(
        kind="qat",
        text=(
            f"QAT: it is rounded as well as {suspect.bits} bits allow ({suspect.sqnr_db:.1f} dB); "
            "the network must learn to bear it"
        ),
    )


RULES: tuple[Callable[[Suspect], Remedy | None], ...] = (
    small,
    other_range,
    other_bias,
    other_weights,
    more_bits,
    training,
)


def remedy(suspect: Suspect) -> Remedy:
    """Return what the first fitting rule says."""
    return next(found for rule in RULES if (found := rule(suspect)) is not None)


def verdict(probe: Probe) -> str:
    """Return one sentence on the network as a whole."""
    psnr = probe.totals.psnr
    best = next((one for one in probe.suspects if not one.fixed), None)
    if best is None or best.gain_db < MIN_GAIN_DB:
        return (
            f"Nothing stands out: no single tensor or weight costs {MIN_GAIN_DB:g} dB. If "
            f"{psnr:.2f} dB to float is too little, the error is everywhere: try "
            "export --precision int16x8"
        )
    what = "weights of" if best.kind == "weights" else "tensor"
    return f"First suspect: {what} {best.name}. {remedy(best).text}"
