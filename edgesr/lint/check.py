"""Lint one file for one target."""

from collections import Counter
from dataclasses import dataclass

from edgesr.lint.accept import refusals
from edgesr.lint.arithmetic import arithmetic
from edgesr.lint.findings import SEVERITIES, Finding, at
from edgesr.lint.model import Model, Subgraph
from edgesr.lint.partitions import Partitions, partition
from edgesr.lint.reader import read_model
from edgesr.lint.structure import structure, subgraphs
from edgesr.lint.targets import Target

_MOST_BREAKERS = 8


@dataclass(frozen=True, kw_only=True, eq=False)
class LintReport:
    """What the linter found.

    Attributes:
        file: name, for messages.
        model: the file.
        target: what it was linted for.
        partitions: one a subgraph.
        findings: errors first, then in the graph's order.
    """

    file: str
    model: Model
    target: Target
    partitions: tuple[Partitions, ...]
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        """Return the findings that make the file unfit."""
        return tuple(one for one in self.findings if one.severity == "error")

    @property
    def counts(self) -> dict[str, int]:
        """Return how many findings there are of each severity."""
        found = Counter(one.severity for one in self.findings)
        return {severity: found[severity] for severity in SEVERITIES}


def lint(content: bytes, target: Target, *, name: str) -> LintReport:
    """Lint a file.

    Args:
        content: the file.
        target: from ``load_target``.
        name: what messages call it.

    Raises:
        CheckpointError: it is no .tflite file, truncated or damaged.
        MissingDependencyError: the runtime that is installed brings no schema.
    """
    model = read_model(content, name)
    findings = list(subgraphs(model, target))
    parts: list[Partitions] = []
    for graph in model.subgraphs:
        refused = {op.index: refusals(graph, op, target) for op in graph.operators}
        cut = partition(graph, lambda op, refused=refused: not refused[op.index])  # type: ignore[misc]
        parts.append(cut)
        findings += structure(graph, target)
        findings += arithmetic(graph)
        findings += [one for several in refused.values() for one in several]
        findings += _slow(graph, target)
        findings += _cuts(graph, target, cut)
    findings.sort(key=_order)
    return LintReport(
        file=name,
        model=model,
        target=target,
        partitions=tuple(parts),
        findings=tuple(findings),
    )


def _order(one: Finding) -> tuple[int, int, int, str]:
    place = -1 if one.operator is None else one.operator
    return SEVERITIES.index(one.severity), one.subgraph, place, one.code


def _slow(graph: Subgraph, target: Target) -> list[Finding]:
    found = []
    for op in graph.operators:
        rule = target.ops.get(op.name)
        if rule is not None and rule.slow:
            found.append(
                at(
                    graph,
                    op,
                    "EL306",
                    "warning",
                    what=f"{op.name} is slow on {target.title}",
                    why=rule.slow,
                    remedy="measure it there",
                    source=target.cite(rule),
                )
            )
    return found


def _cuts(graph: Subgraph, target: Target, cut: Partitions) -> list[Finding]:
    if not graph.operators:
        return []
    taken = len(cut.taken)
    if not taken:
        code, what = "EL121", f"{target.title} takes none of {cut.operators} operators"
        breakers: tuple[int, ...] = ()
    elif taken > 1:
        breakers = cut.breakers
        names = ", ".join(str(graph.operators[one]) for one in breakers[:_MOST_BREAKERS])
        more = len(breakers) - _MOST_BREAKERS
        code, what = (
            "EL120",
            f"{taken} partitions on {target.title}, want 1: cut by {names}"
            + (f" and {more} more" if more > 0 else ""),
        )
    else:
        return []
    limit = target.max_partitions
    rest = f"; only the {limit} largest are taken" if limit is not None and taken > limit else ""
    return [
        Finding(
            code=code,
            severity=target.refusal,
            subgraph=graph.index,
            operator=None,
            op="",
            tensors=(),
            what=what + rest,
            why="at every cut a whole feature map is copied and both sides wait for each other",
            remedy="remove what is refused, see the findings about those operators",
        )
    ]
