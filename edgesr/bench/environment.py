"""What a measured number depends on and must be stored with."""

import os
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from edgesr import __version__

_PACKAGES = ("ai-edge-litert", "numpy", "torch", "tensorflow")
_TELLING_FLAGS = ("amx_int8", "avx2", "avx512_bf16", "avx512_vnni", "avx512f", "asimddp", "i8mm")


def environment(packages: Sequence[str] = _PACKAGES) -> dict[str, Any]:
    """Return processor, load and versions as a JSON-able dict; no host or user names."""
    lines = _cpuinfo()
    flags = (lines.get("flags") or lines.get("Features") or "").split()
    return {
        "edgesr": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": lines.get("model name") or platform.processor() or "unknown",
        "cpu_flags": [flag for flag in _TELLING_FLAGS if flag in flags],
        "cores": os.cpu_count(),
        "load_1min": round(os.getloadavg()[0], 2),
        "packages": {name: found for name in packages if (found := _version(name))},
    }


def _cpuinfo() -> dict[str, str]:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return {}
    pairs = (line.partition(":") for line in text.splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, _, value in pairs}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
