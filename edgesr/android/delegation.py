"""Which unit ran the graph: a program that was asked for an accelerator may use the CPU instead."""

import re
from dataclasses import dataclass, replace
from typing import Literal

from edgesr.android.logs import Replaced, RunnerLog

Status = Literal["full", "partial", "none", "unknown"]

_NAMES = {
    "cpu": r"xnnpack",
    "gpu": r"gpu",
    "nnapi": r"nnapi",
    "npu": r"dispatch|npu|litert|qnn|neuron|edgetpu",
    "qnn": r"external|qnn|htp",
    "external": r"^(?!.*xnnpack).*$",
}
"""Kind of back end -> what the name of its delegate looks like in logs."""


@dataclass(frozen=True, kw_only=True)
class Delegation:
    """Where the graph ran.

    Attributes:
        status: how much of it the delegate took; ``unknown`` where the program does not tell.
        delegate: its name in the log.
        nodes: operators that it took.
        of: operators that the graph has.
        partitions: parts that the graph was cut into.
        refused: operators that it does not take, as the linter predicts.
        reason: line of the log that says why it took nothing.
    """

    status: Status
    delegate: str | None = None
    nodes: int | None = None
    of: int | None = None
    partitions: int | None = None
    refused: tuple[str, ...] = ()
    reason: str | None = None

    def text(self) -> str:
        """Return it in a few words, such as ``NNAPI 38/41, 4 parts``."""
        name = self.delegate or "?"
        if self.status == "none":
            return "CPU, not the accelerator"
        if name == "CPU":
            return name
        if self.nodes is None:
            return name if self.status == "full" else f"{name} ({self.status})"
        parts = f", {self.partitions} parts" if (self.partitions or 1) > 1 else ""
        return f"{name} {self.nodes}/{self.of}{parts}"


def delegation_of(log: RunnerLog, kind: str) -> Delegation:  # noqa: PLR0911 - one a verdict
    """Judge a log.

    What the program says of the delegate asked for comes first, then the lines of the framework.
    An accelerator that appears nowhere although the framework names others took nothing.

    Args:
        log: of a launch.
        kind: of the back end asked for: cpu, gpu, nnapi, npu, qnn or external.
    """
    own = _latest(
        [one for one in log.replaced if re.search(_NAMES[kind], one.delegate, re.IGNORECASE)]
    )
    counts = _counts(own)
    if kind == "cpu" and log.refused is None:
        return _on_cpu(log, counts)
    if log.refused is not None:
        return Delegation(status="none", reason=log.refused)
    applied = log.applied
    if applied is not None and re.search(_NAMES[kind], applied.delegate, re.IGNORECASE):
        if applied.how == "not":
            return Delegation(status="none", delegate=applied.delegate)
        status: Status = "full" if applied.how == "completely" else "partial"
        if counts is None:
            parts = applied.kernels if status == "partial" else None
            return Delegation(status=status, delegate=applied.delegate, partitions=parts)
        return replace(counts, status=status, delegate=applied.delegate)
    if counts is not None:
        return counts
    return Delegation(status="none" if log.replaced else "unknown")


def _on_cpu(log: RunnerLog, counts: Delegation | None) -> Delegation:
    """A run on the CPU is one on the CPU whether or not XNNPACK takes every operator."""
    others = [
        one for one in log.replaced if not re.search(_NAMES["cpu"], one.delegate, re.IGNORECASE)
    ]
    if others:
        return Delegation(status="none", delegate=others[-1].delegate)
    if counts is not None:
        return replace(counts, delegate="XNNPACK")
    applied = log.applied
    if applied is not None and applied.how == "completely":
        return Delegation(status="full", delegate=applied.delegate)
    return Delegation(status="unknown", delegate="CPU")


def _latest(lines: list[Replaced]) -> list[Replaced]:
    """Keep the last line of every subgraph: a profiled graph is announced twice."""
    return list({one.subgraph: one for one in lines}.values())


def _counts(lines: list[Replaced]) -> Delegation | None:
    if not lines:
        return None
    nodes, of = sum(one.nodes for one in lines), sum(one.of for one in lines)
    return Delegation(
        status="full" if nodes == of else "partial" if nodes else "none",
        delegate=lines[-1].delegate,
        nodes=nodes,
        of=of,
        partitions=sum(one.partitions for one in lines),
    )
