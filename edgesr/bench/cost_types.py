"""What a network costs, as values. One MAC is two FLOPs; every counter says what it counts."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Kind = Literal["torch", "tflite"]

MIB = 2**20

COUNTERS: Mapping[str, str] = {
    "macs": "multiply-accumulates of convolutions and matrix products, without bias",
    "ntire22": "rules of the NTIRE 2022 and 2023 tool: one FLOP a MAC, and its quirks",
    "fvcore": "rules of fvcore (NTIRE 2024 to 2026): one FLOP a MAC, activations 0",
}


@dataclass(frozen=True, kw_only=True)
class OperatorCost:
    """All operations of one kind.

    Attributes:
        calls: how often it runs for one image.
        macs: its multiply-accumulates.
    """

    calls: int
    macs: int


@dataclass(frozen=True, kw_only=True)
class Complexity:
    """Costs of one network for one image.

    Attributes:
        name: file or network.
        kind: ``torch`` (as traced, nothing fused but elementwise operations) or ``tflite``.
        shape: ``(h, w)`` of the low-resolution image.
        scale: upscaling factor; None where the output is no enlargement by a whole factor.
        params: numbers that training sets or that a layer reads as frozen weights.
        trainable_params: without the frozen ones.
        frozen_params: parameters without gradient, weights in buffers; in a .tflite the weights
            of 1x1 convolutions that only copy channels.
        unused_params: parameters that evaluation never reads.
        stored_bytes: size of the file, or of the state dict where there is no file.
        macs: see ``COUNTERS``.
        ntire22_flops: see ``COUNTERS``.
        fvcore_flops: see ``COUNTERS``.
        activations: output elements of the convolutions that NTIRE's hooks see.
        convs: how many those are.
        all_activations: output elements of all convolutions, functional ones too.
        all_convs: how many those are.
        receptive_field: low-resolution pixels that one output pixel depends on, width; None where
            it sees the whole image or an operation's reach is not known.
        peak_memory_mib: largest sum of tensors alive at once, in the source's own data type,
            weights not counted.
        peak_memory_int8_mib: the same with one byte an element.
        peak_memory_float32_mib: the same with four.
        operators: calls and MACs by kind of operation.
        gaps: counter -> cause -> FLOPs that the counter has more (or less) than ``macs``.
        warnings: what a reader should know before quoting a number.
    """

    name: str
    kind: Kind
    shape: tuple[int, int]
    scale: int | None
    params: int
    trainable_params: int
    frozen_params: int
    unused_params: int
    stored_bytes: int
    macs: int
    ntire22_flops: int
    fvcore_flops: int
    activations: int
    convs: int
    all_activations: int
    all_convs: int
    receptive_field: int | None
    peak_memory_mib: float
    peak_memory_int8_mib: float
    peak_memory_float32_mib: float
    operators: Mapping[str, OperatorCost]
    gaps: Mapping[str, Mapping[str, int]]
    warnings: tuple[str, ...]

    @property
    def flops(self) -> int:
        """Floating-point operations of the MACs: two each."""
        return 2 * self.macs

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain dicts, lists and numbers."""
        return {**asdict(self), "flops": self.flops, "shape": list(self.shape)} | {
            "warnings": list(self.warnings)
        }


def short_count(number: int, sign: str = "") -> str:
    """Write a count in billions (G), or in millions (M) where it is small."""
    small = abs(number) < _SMALL
    return f"{number / (1e6 if small else 1e9):{sign}.3f} {'M' if small else 'G'}"


_SMALL = 10**8


def disagreements(macs: int, gaps: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Say which counters differ from ``macs`` by more than 5 percent, and through what."""
    found = []
    for counter, causes in gaps.items():
        total = sum(causes.values())
        if abs(total) <= _TOLERANCE * macs or not total:
            continue
        largest = sorted(causes.items(), key=lambda cause: -abs(cause[1]))
        why = "; ".join(
            f"{name} ({short_count(flops, sign='+')})" for name, flops in largest if flops
        )
        share = f"{100 * total / macs:+.0f} %" if macs else "no MACs at all"
        found.append(
            f"{counter} counts {short_count(macs + total)} where the network does "
            f"{short_count(macs)} MACs ({share}): {why}"
        )
    return found


_TOLERANCE = 0.05
