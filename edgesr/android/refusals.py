"""Name the operators that an accelerator left to the CPU: logs give numbers only."""

from collections.abc import Mapping
from types import MappingProxyType

from edgesr.android.request import Case
from edgesr.errors import EdgesrError
from edgesr.lint.check import lint
from edgesr.lint.targets import load_target

TARGETS: Mapping[str, str] = MappingProxyType({"nnapi": "nnapi", "gpu": "litert-gpu"})
"""Kind of back end -> target of ``edgesr lint``. What vendor NPUs take is not published."""


def refused_operators(case: Case, api: int | None = None) -> tuple[str, ...] | None:
    """Return the operators that the linter predicts to be refused, each once, in the graph's order.

    None where the back end has no target, or the linter cannot read the file: the verdict itself
    comes from the phone.

    Args:
        case: what was measured.
        api: Android's API level, which says the feature level of NNAPI; None for the default.
    """
    name = TARGETS.get(case.backend.kind)
    if name is None:
        return None
    target = load_target(name)
    if api is not None and target.levels:
        target = target.on_android(api)
    try:
        report = lint(case.model.content, target, name=case.model.name)
    except EdgesrError:
        return None
    names: dict[str, None] = {}
    for graph, cut in zip(report.model.subgraphs, report.partitions, strict=True):
        taken = {number for part in cut.taken for number in part.operators}
        left = [op for op in graph.operators if op.index not in taken]
        names |= dict.fromkeys(op.name for op in left)
    return tuple(names)


def told(refused: tuple[str, ...] | None) -> str:
    """Return what the linter says of a graph that left its accelerator; empty for nothing."""
    if refused is None:
        return ""
    if not refused:
        return "edgesr lint predicts no refusal there, so the driver takes less"
    return f"edgesr lint predicts it to refuse {', '.join(refused)}"
