"""The accelerators that a measurement can ask for."""

import re
from dataclasses import dataclass
from typing import Literal

from edgesr.errors import UsageError

Kind = Literal["cpu", "gpu", "nnapi", "npu", "qnn", "external"]

KINDS: dict[str, tuple[Kind, str]] = {
    "cpu": ("cpu", "XNNPACK; cpu:builtin is the plain kernels"),
    "gpu": ("gpu", "the GPU delegate, which computes int8 files in fp16 or fp32; gpu:cl, gpu:gl"),
    "nnapi": ("nnapi", "Android's NNAPI, deprecated since Android 15; nnapi:NAME is one driver"),
    "npu": ("npu", "LiteRT's dispatch library of the maker"),
    "qnn": ("qnn", "Qualcomm's external delegate"),
    "external": ("external", "external:FILE, any delegate library of those pushed"),
}
"""Name on the command line -> kind and what it is."""


@dataclass(frozen=True, kw_only=True)
class Backend:
    """What should run the graph.

    Attributes:
        name: as written on the command line.
        kind: of accelerator.
        detail: driver, GPU interface, kernels or library, where one is named.
    """

    name: str
    kind: Kind
    detail: str | None = None


def parse_backends(text: str) -> tuple[Backend, ...]:
    """Read a list such as ``cpu,gpu,nnapi:google-edgetpu``.

    Raises:
        UsageError: a back end is not known or lacks its library.
    """
    return tuple(dict.fromkeys(_parse(name.strip()) for name in text.split(",") if name.strip()))


def parse_cpus(text: str, clusters: tuple[tuple[int, ...], ...]) -> tuple[int, ...]:
    """Return the cores that ``--cpus`` names.

    Args:
        text: ``big``, ``little``, ``all`` or a hexadecimal mask such as ``f0``.
        clusters: cores of one kind, slowest first.

    Raises:
        UsageError: neither, or the clusters are not known.
    """
    if text in {"big", "little"}:
        if not clusters:
            raise UsageError(
                f"--cpus {text}: the phone does not tell its clusters; give a mask such as f0"
            )
        return clusters[-1 if text == "big" else 0]
    if text == "all":
        return ()
    if not re.fullmatch(r"(0x)?[0-9a-fA-F]{1,16}", text) or not int(text, 16):
        raise UsageError(f"--cpus {text!r}: want big, little, all or a mask such as f0")
    mask = int(text, 16)
    return tuple(number for number in range(mask.bit_length()) if mask >> number & 1)


def cpu_mask(cpus: tuple[int, ...]) -> str:
    """Return cores as the hexadecimal mask that ``taskset`` wants."""
    return f"{sum(1 << cpu for cpu in cpus):x}"


def _parse(name: str) -> Backend:
    head, _, detail = name.partition(":")
    if head not in KINDS:
        raise UsageError(f"--backend {name}: not known; want {', '.join(KINDS)}")
    kind = KINDS[head][0]
    if kind == "external" and not detail:
        raise UsageError("--backend external: want external:LIBRARY.so with --delegate-lib")
    if kind == "cpu" and detail not in {"", "xnnpack", "builtin", "reference"}:
        raise UsageError(f"--backend {name}: want cpu, cpu:builtin or, on the host, cpu:reference")
    return Backend(name=name, kind=kind, detail=detail or None)
