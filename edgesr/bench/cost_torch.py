"""Costs of a torch module."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping

from torch import Tensor, nn

from edgesr.bench.cost_collapse import collapsible
from edgesr.bench.cost_memory import Step, peak_size
from edgesr.bench.cost_reach import receptive_field
from edgesr.bench.cost_rules import CONVOLUTIONS, POINTWISE, fvcore_extra
from edgesr.bench.cost_trace import Trace, macs_of, storage_of, trace_twice
from edgesr.bench.cost_types import MIB, Complexity, OperatorCost, disagreements, short_count

_FLOAT_BYTES = 4
_HIDDEN = "convolutions and matrix products run as functions, which hooks do not see"


def torch_complexity(
    source: nn.Module | Callable[[], nn.Module],
    *,
    shape: tuple[int, int],
    channels: int = 3,
    name: str | None = None,
    stored_bytes: int | None = None,
) -> Complexity:
    """Count what a module does for one image; nothing is computed and the module stays as it is.

    Args:
        source: a module, or what builds it; then work in the constructor is found too.
        shape: ``(h, w)`` of the image.
        channels: of the image.
        name: for messages and results; default is the module's class.
        stored_bytes: size of the file that it came from; default is the state dict's.

    Raises:
        GraphError: the module does not run on such an image.
    """
    module, built = (source, 0) if isinstance(source, nn.Module) else macs_of(source)
    module = getattr(module, "_orig_mod", module)  # what torch.compile wraps
    label = name or type(module).__name__
    first, second = trace_twice(module, shape=shape, channels=channels, name=label)
    trace = first if first.macs >= second.macs else second
    gaps = _gaps(trace)
    convs = [call for call in trace.calls if call.name in CONVOLUTIONS and call.of_image]
    reach, no_reach = _receptive_field(module, trace, label)
    elements = _peak_elements(trace)
    frozen = trace.frozen_weights + sum(p.numel() for p in _frozen(module))
    trainable = sum(p.numel() for p in module.parameters() if p.requires_grad)
    warnings = [
        *_gaming(trace, first, second, built),
        *disagreements(trace.macs, gaps),
    ]
    if reach is None:
        warnings.append(f"no receptive field: {no_reach}")
    return Complexity(
        name=label,
        kind="torch",
        shape=shape,
        scale=_scale(trace),
        params=trainable + frozen,
        trainable_params=trainable,
        frozen_params=frozen,
        unused_params=trace.unused,
        stored_bytes=_state_bytes(module) if stored_bytes is None else stored_bytes,
        macs=trace.macs,
        ntire22_flops=trace.macs + sum(gaps["ntire22"].values()),
        fvcore_flops=trace.macs + sum(gaps["fvcore"].values()),
        activations=sum(call.activations for call in trace.hooked),
        convs=sum(call.activations > 0 for call in trace.hooked),
        all_activations=sum(call.outputs[0].numel() for call in convs),
        all_convs=len(convs),
        receptive_field=reach,
        peak_memory_mib=_FLOAT_BYTES * elements / MIB,
        peak_memory_int8_mib=elements / MIB,
        peak_memory_float32_mib=_FLOAT_BYTES * elements / MIB,
        operators=_operators(trace),
        gaps=gaps,
        warnings=tuple(warnings),
    )


def _gaps(trace: Trace) -> dict[str, dict[str, int]]:
    """Return by counter and cause how many FLOPs more than ``macs`` it counts."""
    ntire22: dict[str, int] = defaultdict(int)
    for hooked in trace.hooked:
        ntire22[hooked.cause] += hooked.flops - hooked.macs
    ntire22[_HIDDEN] = sum(hooked.macs for hooked in trace.hooked) - trace.macs
    fvcore: dict[str, int] = defaultdict(int)
    for call in trace.calls:
        if call.outputs:
            cause, flops = fvcore_extra(call.name, call.args, call.outputs[0])
            fvcore[cause] += flops
    return {
        "ntire22": {cause: flops for cause, flops in ntire22.items() if flops},
        "fvcore": {cause: flops for cause, flops in fvcore.items() if flops},
    }


def _gaming(trace: Trace, first: Trace, second: Trace, built: int) -> list[str]:
    """Say what makes the counts of this network other than they look."""
    found = []
    convs = [call for call in trace.calls if call.name in CONVOLUTIONS and call.of_image]
    seen = sum(call.activations > 0 for call in trace.hooked)
    if len(convs) > seen:
        true, hooked = (
            sum(call.outputs[0].numel() for call in convs),
            sum(call.activations for call in trace.hooked),
        )
        found.append(
            f"{len(convs) - seen} of {len(convs)} convolutions run as functions: NTIRE's hooks "
            f"see {hooked / 1e6:.3f} M of {true / 1e6:.3f} M activations"
        )
    strange = sorted({f"{c.namespace}.{c.name}" for c in trace.calls if c.namespace != "aten"})
    if strange:
        found.append(
            f"custom operations are counted as 0 by every counter: {', '.join(strange)}; count "
            "the network's plain form"
        )
    on_weights = sum(call.macs for call in trace.calls if not call.of_image)
    if on_weights:
        found.append(
            f"{short_count(on_weights)} MACs go into weights in every evaluation; collapse the "
            "network before it is counted"
        )
    count, saved = collapsible(trace)
    if count:
        found.append(
            f"{count} convolutions stand in a row or side by side with nothing between them; "
            f"collapsed they save {short_count(saved)} MACs: was a re-parameterised network left "
            "uncollapsed?"
        )
    if trace.unused:
        found.append(
            f"{trace.unused:,} parameters are never read in evaluation; NTIRE counts them, so "
            "collapse or drop them"
        )
    if _names(first) != _names(second):
        found.append(
            f"the second evaluation is another one than the first ({short_count(first.macs)} and "
            f"{short_count(second.macs)} MACs): something is kept between calls"
        )
    if built:
        found.append(
            f"the constructor runs {short_count(built)} MACs: a hidden warm-up or a run-time search"
        )
    return found


def _names(trace: Trace) -> list[str]:
    return [call.name for call in trace.calls]


def _peak_elements(trace: Trace) -> int:
    """Return the elements of activations alive at once; elementwise operations work in place."""
    calls = [call for call in trace.calls if call.of_image and call.outputs]
    slots: dict[int, int] = {}
    sizes: dict[int, int] = {}
    last = {storage_of(t): index for index, call in enumerate(calls) for t in call.tensors}

    def slot(tensor: Tensor) -> int:
        key = storage_of(tensor)
        if key not in slots:
            slots[key] = key
            storage = tensor.untyped_storage()
            sizes[key] = storage.nbytes() // tensor.element_size()
        return slots[key]

    of_image = {storage_of(trace.image)}
    start, steps = slot(trace.image), []
    for index, call in enumerate(calls):
        sources = [tensor for tensor in call.tensors if storage_of(tensor) in of_image]
        reads = frozenset(slot(tensor) for tensor in sources)
        if call.name in POINTWISE and len(reads) == 1:
            key, output = storage_of(sources[0]), call.outputs[0]
            if last[key] == index and output.numel() == sizes[slots[key]]:
                slots.setdefault(storage_of(output), slots[key])
        of_image.update(map(storage_of, call.outputs))
        steps.append(Step(reads=reads, writes=frozenset(map(slot, call.outputs))))
    end = [] if trace.output is None else [slot(trace.output)]
    return peak_size(steps, sizes, inputs=[start], outputs=end)


def _receptive_field(module: nn.Module, trace: Trace, name: str) -> tuple[int | None, str]:
    """Return the receptive field, on a larger image where this one cuts it off."""
    channels, height, width = trace.image.shape[1:]
    for factor in _ENLARGEMENTS:
        if factor > 1:
            shape = (factor * height, factor * width)
            trace, _ = trace_twice(module, shape=shape, channels=channels, name=name)
        reach, why = receptive_field(trace)
        if reach is None or reach < factor * min(height, width):
            return reach, why
    return None, f"it is larger than {reach} pixels"


_ENLARGEMENTS = (1, 4, 16)


def _operators(trace: Trace) -> Mapping[str, OperatorCost]:
    calls, macs = Counter[str](), Counter[str]()
    for call in trace.calls:
        if call.of_image or call.macs:
            calls[call.name] += 1
            macs[call.name] += call.macs
    return {name: OperatorCost(calls=calls[name], macs=macs[name]) for name in sorted(calls)}


def _frozen(module: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in module.parameters() if not parameter.requires_grad]


def _state_bytes(module: nn.Module) -> int:
    return sum(t.numel() * t.element_size() for t in module.state_dict().values())


def _scale(trace: Trace) -> int | None:
    if trace.output is None:
        return None
    (height, width), (above, across) = trace.output.shape[2:], trace.image.shape[2:]
    factor = height // above
    return factor if factor and (height, width) == (factor * above, factor * across) else None
