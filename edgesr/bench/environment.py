"""What a measured number depends on and must be stored with."""

import os
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from edgesr import __version__
from edgesr.provenance import commit

_PACKAGES = (
    "ai-edge-litert",
    "numpy",
    "onnxruntime",
    "pillow",
    "tensorflow",
    "tflite-runtime",
    "torch",
)
_TELLING_FLAGS = (
    "amx_int8",
    "avx2",
    "avx512_bf16",
    "avx512_vnni",
    "avx512_vpopcntdq",
    "avx512f",
    "asimddp",
    "i8mm",
)
_GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")


def environment(packages: Sequence[str] = _PACKAGES) -> dict[str, Any]:
    """Return processor, load and versions as a JSON-able dict; no host or user names."""
    lines = _cpuinfo()
    flags = (lines.get("flags") or lines.get("Features") or "").split()
    return {
        "edgesr": __version__,
        "commit": commit(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": lines.get("model name") or platform.processor() or "unknown",
        "cpu_flags": [flag for flag in _TELLING_FLAGS if flag in flags],
        "cores": os.cpu_count(),
        "usable_cores": _usable_cores(),
        "governor": _first_line(_GOVERNOR),
        "load_1min": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "gpu": _gpu(),
        "packages": {name: found for name in packages if (found := _version(name))},
    }


def _cpuinfo() -> dict[str, str]:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return {}
    pairs = (line.partition(":") for line in text.splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, _, value in pairs}


def _first_line(path: Path) -> str | None:
    try:
        return path.read_text().splitlines()[0].strip()
    except (OSError, IndexError):
        return None


def _usable_cores() -> int | None:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _gpu() -> str | None:
    """Name the GPU where PyTorch is in use already; importing it here would cost seconds."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return None
    return str(torch.cuda.get_device_name())


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
