"""Peak memory of a list of operations: a tensor lives until its last reader has run.

This is what a perfect allocator needs. Real ones add alignment, scratch space and fragmentation.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Step:
    """One operation.

    Attributes:
        reads: numbers of the tensors that must be there.
        writes: numbers of the tensors that it makes.
    """

    reads: frozenset[int]
    writes: frozenset[int]


def peak_size(
    steps: Sequence[Step],
    sizes: Mapping[int, int],
    *,
    inputs: Iterable[int],
    outputs: Iterable[int],
) -> int:
    """Return the largest sum of ``sizes`` of tensors that are alive at the same time.

    Args:
        steps: operations in the order in which they run.
        sizes: size of every tensor that counts; others are constants and weigh nothing.
        inputs: tensors that are there from the start.
        outputs: tensors that must still be there at the end.
    """
    last = {name: index for index, step in enumerate(steps) for name in step.reads | step.writes}
    kept = set(outputs)
    alive = set(inputs)
    peak = sum(sizes.get(name, 0) for name in alive)
    for index, step in enumerate(steps):
        alive |= step.writes
        peak = max(peak, sum(sizes.get(name, 0) for name in alive))
        alive = {name for name in alive if name in kept or last.get(name, -1) > index}
    return peak
