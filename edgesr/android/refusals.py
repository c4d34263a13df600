"""Name the operators that an accelerator left to the CPU: logs give numbers only."""

from collections.abc import Mapping
from types import MappingProxyType

from edgesr.android.request import Case
from edgesr.errors import EdgesrError
from edgesr.lint.check import lint
from edgesr.lint.targets import load_target

TARGETS: Mapping[str, str] = MappingProxyType(
    {"nnapi": "nnapi", "gpu": "litert-gpu", "qnn": "hexagon"}
)
"""Kind of back end -> target of ``edgesr lint``; the others have none."""


def refused_operators(case: Case) -> tuple[str, ...]:
    """Return the operators that the linter predicts to be refused, each once, in the graph's order.

    None where the back end has no target, or the linter cannot read the file: the verdict itself
    comes from the phone.
    """
    name = TARGETS.get(case.backend.kind)
    if name is None:
        return ()
    try:
        report = lint(case.model.content, load_target(name), name=case.model.name)
    except EdgesrError:
        return ()
    names: dict[str, None] = {}
    for graph, cut in zip(report.model.subgraphs, report.partitions, strict=True):
        taken = {number for part in cut.taken for number in part.operators}
        left = [op for op in graph.operators if op.index not in taken]
        names |= dict.fromkeys(op.name for op in left)
    return tuple(names)
