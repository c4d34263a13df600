"""Layers of a denoiser that died in training: the one rule by which they are refused."""

from collections.abc import Mapping

from edgesr.errors import GraphError
from edgesr.graph.graph import Graph
from edgesr.quant.scheme import QParams

_DEAD_RANGE = 1e-5
_NAMED = 4
"""Dead layers that a message names."""


def refuse_dead(graph: Graph, grids: Mapping[int, Mapping[str, QParams]]) -> None:
    """Refuse layers that calibration never saw at anything but 0: no kernel takes so fine a grid.

    Args:
        graph: network, of any step.
        grids: grid by tensor, by timestep.

    Raises:
        GraphError: names the layers and their timesteps.
    """
    dead: dict[str, list[int]] = {}
    for timestep, found in grids.items():
        for op in graph.ops:
            grid = found[op.output]
            if grid.high - grid.low < _DEAD_RANGE:
                dead.setdefault(op.name, []).append(timestep)
    if not dead:
        return
    named = [
        f"{layer} (timestep {', '.join(map(str, steps))})"
        for layer, steps in list(dead.items())[:_NAMED]
    ]
    more = f" and {len(dead) - _NAMED} more" if len(dead) > _NAMED else ""
    raise GraphError(
        f"{graph.name}: {len(dead)} of {len(graph.ops)} operations give 0 on all calibration "
        f"images: {'; '.join(named)}{more}; they are dead: train again, with a lower learning rate"
    )
