"""Record every operation that a torch module runs for one image, without computing it.

The module is copied to torch's meta device, where tensors have shapes and no numbers. What hooks on
modules see is recorded beside what the dispatcher sees: the difference is work that hides from
counters made of hooks.
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from edgesr.bench.cost_rules import KNOWN_OPERATIONS, is_hooked, ntire22_flops, operation_macs
from edgesr.errors import GraphError


@dataclass(frozen=True, kw_only=True, eq=False)
class Call:
    """One operation as the dispatcher saw it.

    Attributes:
        name: such as ``conv2d``; an in-place operation has the name of its plain form.
        namespace: ``aten``, or that of a custom operation.
        args: positional arguments.
        kwargs: named arguments.
        outputs: tensors that it returned.
        of_image: whether any argument depends on the image.
        macs: multiply-accumulates.
    """

    name: str
    namespace: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outputs: tuple[Tensor, ...]
    of_image: bool
    macs: int

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """Tensors among the arguments, in order."""
        return tuple(tensors_in((self.args, self.kwargs)))


@dataclass(frozen=True, kw_only=True)
class HookCall:
    """One call of a module that NTIRE's tool hooks.

    Attributes:
        cause: why its FLOPs differ from its MACs.
        macs: what it really multiplies.
        flops: what the tool counts.
        activations: elements of a convolution's output, 0 for other modules.
    """

    cause: str
    macs: int
    flops: int
    activations: int


@dataclass(kw_only=True, eq=False)
class Trace:
    """Everything that one forward pass did.

    Attributes:
        image: the input.
        output: what the module returned.
        calls: operations in order.
        hooked: calls of hooked modules in order.
        unused: elements of parameters that no operation read.
        frozen_weights: elements of buffers that are weights of a convolution or matrix product.
    """

    image: Tensor
    output: Tensor | None = None
    calls: list[Call] = field(default_factory=list)
    hooked: list[HookCall] = field(default_factory=list)
    unused: int = 0
    frozen_weights: int = 0

    @property
    def macs(self) -> int:
        """All multiply-accumulates."""
        return sum(call.macs for call in self.calls)


def trace_twice(
    module: nn.Module, *, shape: tuple[int, int], channels: int, name: str
) -> tuple[Trace, Trace]:
    """Trace the first and the second evaluation of one copy of ``module``.

    Raises:
        GraphError: the module does not run on such an image, or returns no single image.
    """
    size = (1, channels, *shape)
    try:
        work = _on_meta(module)
        return _trace(work, size, "meta", name), _trace(work, size, "meta", name)
    except GraphError:
        raise
    except Exception as on_meta:  # noqa: BLE001 - a stranger's forward raises anything
        try:  # reading a value needs real numbers: slower, and as exact
            work = copy.deepcopy(module).cpu().eval()
            return _trace(work, size, "cpu", name), _trace(work, size, "cpu", name)
        except GraphError:
            raise
        except Exception as error:
            reason = " ".join(str(error or on_meta).split())[:200]
            raise GraphError(
                f"{name}: does not run on an image of {channels} channels, {shape[0]} high and "
                f"{shape[1]} wide ({reason}); choose another --shape"
            ) from error


def macs_of(action: Callable[[], nn.Module]) -> tuple[nn.Module, int]:
    """Return what ``action`` makes and the MACs that it spent: a constructor should spend none."""
    recorder = _Recorder(torch.empty(0))
    with recorder:
        made = action()
    return made, sum(call.macs for call in recorder.calls)


def tensors_in(value: Any) -> Iterator[Tensor]:
    """Yield the tensors in nested tuples, lists and dicts."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from tensors_in(item)
    elif isinstance(value, dict):
        yield from tensors_in(list(value.values()))


def storage_of(tensor: Tensor) -> int:
    """Return a number that views of one memory share, as long as one of them is kept."""
    return int(tensor.untyped_storage()._cdata)  # noqa: SLF001 - torch has no public identity


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes operations; those that no rule knows are noted as what they are made of."""

    def __init__(self, image: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: list[Call] = []
        self._of_image = {storage_of(image)}
        self._kept = [image]  # a storage's number is free again when the storage is

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        del types
        named = kwargs or {}
        name = func.overloadpacket.__name__
        plain = name.removesuffix("_")
        if plain not in KNOWN_OPERATIONS:
            with self:
                result = func.decompose(*args, **named)
            if result is not NotImplemented:
                return result
        result = func(*args, **named)
        outputs = tuple(tensors_in(result))
        of_image = any(storage_of(t) in self._of_image for t in tensors_in((args, named)))
        if of_image:
            self._of_image.update(map(storage_of, outputs))
        self._kept += outputs
        macs = operation_macs(plain, args, outputs[0]) if outputs else 0
        self.calls.append(
            Call(
                name=plain,
                namespace=func.namespace,
                args=tuple(args),
                kwargs=named,
                outputs=outputs,
                of_image=of_image,
                macs=macs,
            )
        )
        return result


def _dtype(module: nn.Module) -> torch.dtype:
    dtypes = (p.dtype for p in module.parameters() if p.is_floating_point())
    return next(dtypes, torch.float32)


def _on_meta(module: nn.Module) -> nn.Module:
    work = copy.deepcopy(module).to("meta").eval()
    for part in work.modules():
        for name, value in list(vars(part).items()):
            if isinstance(value, Tensor):
                setattr(part, name, value.to("meta"))
    return work


def _trace(module: nn.Module, size: tuple[int, ...], device: str, name: str) -> Trace:
    with torch.inference_mode():
        trace = Trace(image=torch.zeros(size, device=device, dtype=_dtype(module)))
        recorder = _Recorder(trace.image)

        def note(
            part: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any], output: Any
        ) -> None:
            cause, macs, flops = ntire22_flops(part, next(tensors_in((inputs, named))), output)
            made = output.numel() if isinstance(part, (nn.Conv2d, nn.ConvTranspose2d)) else 0
            trace.hooked.append(HookCall(cause=cause, macs=macs, flops=flops, activations=made))

        hooks = [
            part.register_forward_hook(note, with_kwargs=True)
            for part in module.modules()
            if is_hooked(part)
        ]
        try:
            with recorder:
                output = module(trace.image)
        finally:
            for hook in hooks:
                hook.remove()
    if not isinstance(output, Tensor) or output.ndim != len("nchw"):
        raise GraphError(f"{name}: returns {type(output).__name__}, want one tensor (n, c, h, w)")
    trace.output, trace.calls = output, recorder.calls
    read = {storage_of(tensor) for call in trace.calls for tensor in call.tensors}
    trace.unused = sum(p.numel() for p in module.parameters() if storage_of(p) not in read)
    weighted = (call for call in trace.calls if call.macs and len(call.tensors) > 1)
    weights = {storage_of(call.tensors[1]) for call in weighted}
    trace.frozen_weights = sum(b.numel() for b in module.buffers() if storage_of(b) in weights)
    return trace
