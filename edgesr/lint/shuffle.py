"""Recognise a pixel shuffle in a converter's RESHAPE and TRANSPOSE operators, by doing it."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgesr.lint.model import Operator, Subgraph, Tensor

_LINKS = frozenset({"RESHAPE", "TRANSPOSE", "SQUEEZE", "EXPAND_DIMS"})
_IMAGE_RANK = 4
_MOST_PIXELS = 1 << 26


@dataclass(frozen=True, kw_only=True, eq=False)
class Chain:
    """Operators in a row that only change the layout.

    Attributes:
        operators: in their order, each read by the next alone.
        source: what the first reads.
        result: what the last makes.
        block: of the pixel shuffle that they are, 1 where result equals source, 0 for neither.
        order: channel of the source that channel ``k`` of a DEPTH_TO_SPACE would have to read.
    """

    operators: tuple[Operator, ...]
    source: Tensor
    result: Tensor
    block: int
    order: tuple[int, ...] = ()


def find_chains(graph: Subgraph) -> list[Chain]:
    """Return every chain of layout changes in a subgraph, the longest that mean something."""
    found: list[Chain] = []
    seen: set[int] = set()
    for op in graph.operators:
        if op.index in seen or op.name not in _LINKS or not op.outputs or not op.inputs:
            continue
        run = _run(graph, op)
        seen.update(one.index for one in run)
        found += _split(graph, run)
    return found


def _run(graph: Subgraph, op: Operator) -> list[Operator]:
    run = [op]
    while True:
        after = graph.follower(run[-1].outputs[0])
        linked = after is not None and after.name in _LINKS and after.inputs[:1] == run[-1].outputs
        if not linked or after is None or not after.outputs or after in run:
            return run
        run.append(after)


def _split(graph: Subgraph, run: list[Operator]) -> list[Chain]:
    for length in range(len(run), 0, -1):
        for start in range(len(run) - length + 1):
            chain = _meaning(graph, run[start : start + length])
            if chain.block:
                before, after = run[:start], run[start + length :]
                return [
                    *(_split(graph, before) if before else []),
                    chain,
                    *(_split(graph, after) if after else []),
                ]
    return [_chain(graph, run, 0)]


def _chain(graph: Subgraph, run: list[Operator], block: int, order: tuple[int, ...] = ()) -> Chain:
    return Chain(
        operators=tuple(run),
        source=graph.tensors[run[0].inputs[0]],
        result=graph.tensors[run[-1].outputs[0]],
        block=block,
        order=order,
    )


def _meaning(graph: Subgraph, run: list[Operator]) -> Chain:
    source, result = graph.tensors[run[0].inputs[0]], graph.tensors[run[-1].outputs[0]]
    moved = _moved(graph, run, source)
    if moved is None or moved.shape != result.shape:
        return _chain(graph, run, 0)
    if source.shape == result.shape and (moved.ravel() == np.arange(moved.size)).all():
        return _chain(graph, run, 1)
    block, order = _as_shuffle(moved, source.shape)
    return _chain(graph, run, block, order)


def _moved(graph: Subgraph, run: list[Operator], source: Tensor) -> npt.NDArray[np.int32] | None:
    """Return where every number of the result comes from in the source, or None if unknown."""
    tensors = (source, *(graph.tensors[op.outputs[0]] for op in run))
    if any(one.free or -1 in one.shape for one in tensors):
        return None
    if not 0 < math.prod(source.shape) <= _MOST_PIXELS or source.constant:
        return None
    if any(math.prod(one.shape) != math.prod(source.shape) for one in tensors):
        return None
    moved = np.arange(math.prod(source.shape), dtype=np.int32).reshape(source.shape)
    for op, made in zip(run, tensors[1:], strict=True):
        if op.name == "TRANSPOSE":
            order = graph.input(op, 1)
            values = None if order is None else order.values()
            if values is None or sorted(values.ravel()) != list(range(moved.ndim)):
                return None
            moved = moved.transpose([int(one) for one in values.ravel()])
        else:
            moved = moved.reshape(made.shape)
        if moved.shape != made.shape:
            return None
    return moved


def _as_shuffle(
    moved: npt.NDArray[np.int32], shape: tuple[int, ...]
) -> tuple[int, tuple[int, ...]]:
    if (
        moved.ndim != _IMAGE_RANK
        or len(shape) != _IMAGE_RANK
        or moved.shape[0] != 1
        or not shape[1]
    ):
        return 0, ()
    _, high, wide, channels = shape
    block = moved.shape[1] // high
    shuffled = (1, high * block, wide * block, channels // max(1, block * block))
    if block < 2 or channels % (block * block) or moved.shape != shuffled:  # noqa: PLR2004
        return 0, ()
    order = moved[0, :block, :block, :].ravel()  # of the first pixel
    if (order >= channels).any():
        return 0, ()
    source = np.arange(moved.size, dtype=np.int32).reshape(high, wide, channels)[..., order]
    if not (depth_to_space(source, block) == moved[0]).all():
        return 0, ()
    return block, tuple(int(one) for one in order)


def depth_to_space(image: npt.NDArray[np.int32], block: int) -> npt.NDArray[np.int32]:
    """Return ``(h, w, block * block * c)`` as ``(h * block, w * block, c)``, TFLite's order."""
    high, wide, channels = image.shape
    split = image.reshape(high, wide, block, block, channels // block**2)
    return split.transpose(0, 2, 1, 3, 4).reshape(high * block, wide * block, -1)
