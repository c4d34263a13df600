"""A network as a list of operations on named tensors."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from edgesr.errors import GraphError
from edgesr.graph.ops import Op


@dataclass(frozen=True, kw_only=True)
class TensorSpec:
    """An input of a graph: NHWC with batch, height and width free.

    Attributes:
        name: name of the tensor.
        channels: size of the last axis.
        enlarged: how many times its height and width are those that sizes are given for.
    """

    name: str
    channels: int
    enlarged: int = 1


@dataclass(frozen=True, kw_only=True)
class Graph:
    """A network in execution order; every tensor is made once.

    Attributes:
        name: name of the network.
        inputs: tensors that the caller gives.
        outputs: names of the tensors that the caller gets.
        ops: operations, each after those that make its inputs.
    """

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[str, ...]
    ops: tuple[Op, ...]

    def __post_init__(self) -> None:
        """Refuse a graph that cannot run.

        Raises:
            GraphError: a tensor is read before it is made or made twice, a layer name is used
                twice, or an output is missing.
        """
        made = {spec.name for spec in self.inputs}
        for op in self.ops:
            for name in op.inputs:
                if name not in made:
                    raise GraphError(
                        f"{self.name}: layer {op.name} reads tensor {name!r} before it is made; "
                        "order the operations by their inputs"
                    )
            if op.output in made:
                raise GraphError(
                    f"{self.name}: layer {op.name} makes tensor {op.output!r} a second time; "
                    "give it a new name"
                )
            made.add(op.output)
        for name in self.outputs:
            if name not in made:
                raise GraphError(f"{self.name}: no layer makes the output {name!r}")
        twice = [name for name, count in Counter(op.name for op in self.ops).items() if count > 1]
        if twice:
            raise GraphError(f"{self.name}: layer name {twice[0]!r} is used twice; rename one")


def producers(graph: Graph) -> dict[str, Op]:
    """Return the operation that makes each tensor; inputs of the graph have none."""
    return {op.output: op for op in graph.ops}


def num_readers(graph: Graph) -> Counter[str]:
    """Count for every tensor its readers; being an output of the graph counts as one."""
    return Counter([name for op in graph.ops for name in op.inputs] + list(graph.outputs))


def with_ops(graph: Graph, ops: Iterable[Op]) -> Graph:
    """Return ``graph`` with other operations, put in order and without dead ones.

    Raises:
        GraphError: the operations do not form a graph.
    """
    by_output = {op.output: op for op in ops}
    ordered: list[Op] = []
    done = {spec.name for spec in graph.inputs}

    def visit(name: str) -> None:
        if name in done or name not in by_output:
            return
        done.add(name)
        for source in by_output[name].inputs:
            visit(source)
        ordered.append(by_output[name])

    for output in graph.outputs:
        visit(output)
    return replace(graph, ops=tuple(ordered))


def rewired(op: Op, names: dict[str, str]) -> Op:
    """Return ``op`` reading ``names[tensor]`` instead of every tensor listed there."""
    inputs = tuple(names.get(name, name) for name in op.inputs)
    return op if inputs == op.inputs else replace(op, inputs=inputs)
