"""Find convolutions that one convolution could replace: re-parameterised blocks left uncollapsed.

Convolutions in a row or side by side, with nothing but additions and constant factors between
them, are one linear map. Where the one kernel would be cheaper, the network was not collapsed.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from edgesr.bench.cost_rules import CONVOLUTIONS, is_transposed
from edgesr.bench.cost_trace import Call, Trace

_FACTORS = frozenset({"mul", "div", "batch_norm", "pad", "constant_pad_nd", "clone", "contiguous"})


@dataclass(frozen=True, kw_only=True)
class _Linear:
    """A tensor as a linear map of another one.

    Attributes:
        root: tensor that it is a map of.
        channels: of the root.
        kernel: height and width of the one kernel that does it.
        convs: convolutions spent so far.
        macs: multiply-accumulates spent so far.
    """

    root: int
    channels: int
    kernel: tuple[int, int] = (1, 1)
    convs: int = 0
    macs: int = 0


def collapsible(trace: Trace) -> tuple[int, int]:
    """Return how many convolutions could be collapsed, and the MACs that this would save."""
    readers = Counter(id(t) for call in trace.calls if call.of_image for t in call.tensors)
    of_image = {id(trace.image)} | {
        id(output) for call in trace.calls if call.of_image for output in call.outputs
    }
    maps: dict[int, _Linear] = {}
    sizes: dict[int, Tensor] = {}
    for call in trace.calls:
        if not call.of_image or len(call.outputs) != 1:
            continue
        sources = [t for t in call.tensors if id(t) in of_image]
        found = _map(call, sources, maps, readers)
        if found is None:
            continue
        for source in sources:
            if readers[id(source)] == 1:
                maps.pop(id(source), None)
        maps[id(call.outputs[0])] = found
        sizes[id(call.outputs[0])] = call.outputs[0]
    convs = saved = 0
    for key, linear in maps.items():
        one = linear.channels * linear.kernel[0] * linear.kernel[1] * sizes[key][0].numel()
        if linear.convs > 1 and one < linear.macs:
            convs += linear.convs
            saved += linear.macs - one
    return convs, saved


def _map(
    call: Call, sources: list[Tensor], maps: Mapping[int, _Linear], readers: Mapping[int, int]
) -> _Linear | None:
    befores = [_before(source, maps, readers) for source in sources]
    if not befores or len({before.root for before in befores}) > 1:
        return None
    kernel = (
        max(before.kernel[0] for before in befores),
        max(before.kernel[1] for before in befores),
    )
    convs, macs = sum(b.convs for b in befores), sum(b.macs for b in befores)
    if call.name in CONVOLUTIONS:
        if not _is_plain(call, sources[0]):
            return None
        sides = call.args[1].shape[2:]
        kernel = (kernel[0] + int(sides[0]) - 1, kernel[1] + int(sides[1]) - 1)
        convs, macs = convs + 1, macs + call.macs
    elif call.name in {"add", "sub"}:
        if any(source.shape != sources[0].shape for source in sources):
            return None
    elif call.name not in _FACTORS or len(sources) > 1:
        return None
    first = befores[0]
    return _Linear(root=first.root, channels=first.channels, kernel=kernel, convs=convs, macs=macs)


def _before(source: Tensor, maps: Mapping[int, _Linear], readers: Mapping[int, int]) -> _Linear:
    known = maps.get(id(source))
    if known is not None and readers[id(source)] == 1:
        return known
    channels = int(source.shape[1]) if source.ndim > 1 else 1
    return _Linear(root=id(source), channels=channels)


def _is_plain(call: Call, source: Tensor) -> bool:
    """Tell whether a convolution keeps the grid: two axes, stride 1, dilation 1."""
    if source is not call.args[0] or call.args[1].ndim != len("oihw"):
        return False
    steps: list[Any] = [*call.args[3:4], *call.args[5:6]]
    steps += [call.kwargs[name] for name in ("stride", "dilation") if name in call.kwargs]
    flat = [n for step in steps for n in (step if isinstance(step, (list, tuple)) else [step])]
    return not is_transposed(call.name, call.args) and all(n == 1 for n in flat)
