"""Round a residual once instead of twice.

A residual that is added to an image is rounded to its own grid by the convolution and a second time
by the ADD, to whole grey levels. On the output's own step the ADD of two whole numbers is exact in
every kernel family, and the convolution's rounding is the only one. The residual's range is then
fixed at 255 grey levels, so the rare steeper edge is clipped.
"""

from collections.abc import Mapping

from edgesr.graph.graph import Graph
from edgesr.graph.ops import Add, Conv2D
from edgesr.quant.observers import Observer
from edgesr.quant.scheme import CODE_MAX, CODE_MIN, QParams

MAX_CLIPPED = 1e-3
"""Largest share of a residual's values that may lie beyond 255 steps."""

_ZERO_POINT_STEP = 4


def share_output_step(
    graph: Graph, qparams: Mapping[str, QParams], observers: Mapping[str, Observer]
) -> dict[str, QParams]:
    """Return ``qparams`` with residuals moved to the step of the sum where that clips little.

    A residual is the output of a convolution whose only reader is an ADD with its other operand on
    the sum's step already.
    """
    result = dict(qparams)
    made_by_conv = {op.output for op in graph.ops if isinstance(op, Conv2D)}
    readers = [name for op in graph.ops for name in op.inputs]
    for op in graph.ops:
        if not isinstance(op, Add):
            continue
        target = result[op.output]
        for residual, other in (op.inputs, op.inputs[::-1]):
            fits = residual in made_by_conv and readers.count(residual) == 1
            if fits and residual in observers and result[other].scale == target.scale:
                now = result[residual]
                if now.scale != target.scale:
                    result[residual] = _better(observers[residual], now, target)
    return result


def _better(seen: Observer, now: QParams, target: QParams) -> QParams:
    """Return the best grid on the sum's step, or ``now`` when that would clip too much."""
    zero_points = range(CODE_MIN, CODE_MAX + 1, _ZERO_POINT_STEP)
    grids = [QParams(scale=target.scale, zero_point=one) for one in zero_points]
    best = min(grids, key=seen.histogram.mean_squared_error)
    return best if seen.histogram.saturation(best) <= MAX_CLIPPED else now
