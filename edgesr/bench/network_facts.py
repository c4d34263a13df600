"""Build a network from someone's code and see what it does: in its constructor, and in a run."""

import importlib.util
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from edgesr.bench.fair_play import Facts
from edgesr.errors import ConfigError

_COUNTED_NAMESPACES = frozenset({"aten", "prim", "prims"})
_MILLION, _BILLION = 1e6, 1e9
_FLOPS_A_MAC = 2


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes every operator that really runs, whoever calls it."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.convs = 0
        self.custom: set[str] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        """Note ``func`` and run it."""
        del types
        self.convs += func.__name__.startswith(("convolution.", "_convolution.", "mkldnn_conv"))
        if func.namespace not in _COUNTED_NAMESPACES:
            self.custom.add(f"{func.namespace}::{func.__name__}")
        return func(*args, **(kwargs or {}))


def load_factory(factory: str, folder: Path) -> Callable[[], nn.Module]:
    """Return the function that ``file.py:function`` names, relative to ``folder``.

    Raises:
        ConfigError: the text, the file or the function is not there, or the file fails to import.
    """
    file, _, function = factory.rpartition(":")
    path = folder / file
    if not file.endswith(".py") or not path.is_file():
        raise ConfigError(f"factory = {factory!r}: no such file; want file.py:function")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path}: cannot be imported; want Python source")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ConfigError(f"{path}: fails to import ({type(error).__name__}: {error})") from error
    built = getattr(module, function, None)
    if not callable(built):
        raise ConfigError(f"{path}: has no function {function!r}; correct factory")
    result: Callable[[], nn.Module] = built
    return result


def network_facts(build: Callable[[], nn.Module], *, pixels: int = 256 * 256) -> Facts:
    """Build and run a network on a square image of about ``pixels`` pixels, 3 channels.

    Raises:
        ConfigError: it cannot be built or run.
    """
    side = math.isqrt(pixels)
    constructor, running = _Recorder(), _Recorder()
    try:
        with constructor:
            network = build()
        network.eval()
        with running:
            network(torch.rand(1, 3, side, side)).sum().backward()
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(
            f"the network cannot be built and run on 3x{side}x{side} ({type(error).__name__}: "
            f"{reason})"
        ) from error
    with FlopCounterMode(display=False) as forward, torch.no_grad():
        network(torch.rand(1, 3, side, side))
    parameters = list(network.parameters())
    idle = sum(p.numel() for p in parameters if p.requires_grad and p.grad is None)
    warm = {
        name for module in network.modules() for name in dir(type(module)) if "warm" in name.lower()
    }
    return Facts(
        params_m=sum(p.numel() for p in parameters) / _MILLION,
        flops_g=forward.get_total_flops() / _FLOPS_A_MAC / _BILLION,
        idle_params_m=idle / _MILLION,
        constructor_convs=constructor.convs,
        warmup_methods=tuple(sorted(warm)),
        custom_operators=tuple(sorted(running.custom)),
    )
