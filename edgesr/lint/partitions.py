"""Predict how TFLite cuts a graph between a delegate and the rest."""

from collections.abc import Callable
from dataclasses import dataclass

from edgesr.lint.model import Operator, Subgraph


@dataclass(frozen=True, kw_only=True)
class Part:
    """Operators that run together.

    Attributes:
        taken: whether the delegate runs them.
        operators: numbers in their order.
    """

    taken: bool
    operators: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Partitions:
    """A graph in parts.

    Attributes:
        parts: in the order in which they run.
        operators: how many there are.
    """

    parts: tuple[Part, ...]
    operators: int

    @property
    def taken(self) -> tuple[Part, ...]:
        """The delegate's parts; TFLite calls each of them one delegate kernel."""
        return tuple(part for part in self.parts if part.taken)

    @property
    def delegated(self) -> int:
        """How many operators the delegate runs."""
        return sum(len(part.operators) for part in self.taken)

    @property
    def breakers(self) -> tuple[int, ...]:
        """Operators outside the delegate that run between two of its parts."""
        places = [place for place, part in enumerate(self.parts) if part.taken]
        if not places:
            return ()
        between = self.parts[places[0] : places[-1] + 1]
        return tuple(one for part in between if not part.taken for one in part.operators)


def partition(graph: Subgraph, takes: Callable[[Operator], bool]) -> Partitions:
    """Cut a graph as TFLite does.

    The first operator that is ready opens a part of its kind; the part then takes every operator of
    that kind whose inputs are there, until there is none.

    Source: LiteRT tflite/graph_info.cc, PartitionGraphIntoIndependentNodeSubsets.
    """
    waiting = list(graph.operators)
    missing = set(graph.makers)
    kinds = {op.index: takes(op) for op in graph.operators}
    parts: list[Part] = []
    while waiting:
        kind: bool | None = None
        chosen: list[int] = []
        changed = True
        while changed:
            changed = False
            left: list[Operator] = []
            for op in waiting:
                ready = not any(one in missing for one in op.inputs)
                if ready and kind is None:
                    kind = kinds[op.index]
                if ready and kind == kinds[op.index]:
                    chosen.append(op.index)
                    missing.difference_update(op.outputs)
                    changed = True
                else:
                    left.append(op)
            waiting = left
        if kind is None:
            break  # what is left reads itself
        parts.append(Part(taken=kind, operators=tuple(chosen)))
    return Partitions(parts=tuple(parts), operators=len(graph.operators))
