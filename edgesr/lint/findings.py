"""What the linter says: stable codes, and one value a finding."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from edgesr.lint.model import Operator, Subgraph, Tensor

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")

CODES: Mapping[str, str] = MappingProxyType(
    {
        "EL001": "sizes are chosen when the model is loaded",
        "EL002": "a tensor has more axes than the target takes",
        "EL003": "several subgraphs",
        "EL004": "a float island in an integer graph",
        "EL005": "an operator reads what nothing has written yet",
        "EL101": "the target does not know the operator",
        "EL102": "the target does not take this version of the operator",
        "EL103": "the target does not take the operator in this type",
        "EL104": "the target does not take the operator at this rank",
        "EL105": "the target's feature level lacks the operator",
        "EL106": "an operand has to be a constant",
        "EL107": "a layer without bias",
        "EL108": "a grouped convolution",
        "EL109": "the target does not take the fused activation",
        "EL110": "a number of the operator is outside what the target takes",
        "EL111": "per-channel scales where the target does not take them",
        "EL112": "input and output scale differ where the target wants them equal",
        "EL113": "the output scale is not the one that the operator has",
        "EL114": "scales whose ratio the target does not take",
        "EL120": "the graph is cut into partitions",
        "EL121": "nothing runs on the target",
        "EL201": "a requantization",
        "EL202": "DEQUANTIZE and QUANTIZE in a row",
        "EL203": "int8 weights in a float layer",
        "EL204": "DEPTH_TO_SPACE at version 2",
        "EL205": "an operator that only moves numbers between two scales",
        "EL206": "MINIMUM or MAXIMUM of different scales",
        "EL207": "weights whose zero point is not 0",
        "EL208": "scales that do not fit the tensor",
        "EL209": "a bias off the grid input scale x weight scale",
        "EL210": "a weight of -128",
        "EL211": "an integer activation without a scale",
        "EL212": "a sum finer than what it adds",
        "EL213": "a clip that the output scale does already",
        "EL214": "an activation that could be fused into the layer before it",
        "EL215": "RELU and MINIMUM that are one RELU6",
        "EL216": "a clip that the QUANTIZE after it does already",
        "EL301": "a pixel shuffle in pieces",
        "EL302": "layout changes",
        "EL303": "a nearest-neighbour copy made by CONCATENATION",
        "EL304": "work at the size of the enlarged image",
        "EL306": "an operator that is slow on the target",
    }
)
"""What every code means; a code is never given another meaning."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One finding.

    Attributes:
        code: a key of ``CODES``.
        severity: an error makes ``edgesr lint`` fail.
        subgraph: number.
        operator: number in the subgraph, None where the finding is about all of it.
        op: operator's name, or nothing.
        tensors: names of the tensors that it is about.
        what: what was found.
        why: why it matters.
        remedy: what to do.
        source: where the fact about the target is from, or nothing.
        fix: name of the rewrite that ``--fix`` tries, or nothing.
    """

    code: str
    severity: Severity
    subgraph: int
    operator: int | None
    op: str
    tensors: tuple[str, ...]
    what: str
    why: str
    remedy: str
    source: str = ""
    fix: str = ""


def at(  # noqa: PLR0913 - a finding has that many parts
    graph: Subgraph,
    op: Operator,
    code: str,
    severity: Severity,
    *,
    what: str,
    why: str,
    remedy: str,
    tensors: tuple[Tensor, ...] = (),
    source: str = "",
    fix: str = "",
) -> Finding:
    """Return a finding about one operator; its tensors default to what it makes."""
    about = tensors or tuple(graph.made(op))
    return Finding(
        code=code,
        severity=severity,
        subgraph=graph.index,
        operator=op.index,
        op=op.name,
        tensors=tuple(map(str, about)),
        what=what,
        why=why,
        remedy=remedy,
        source=source,
        fix=fix,
    )


def grid_text(tensor: Tensor) -> str:
    """Return a tensor's name with its scale and zero point."""
    if tensor.grid is None:
        return f"{tensor} without one scale"
    return f"{tensor} of scale {tensor.grid[0]:.6g} and zero point {tensor.grid[1]}"
