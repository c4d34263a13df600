"""Compile the kernel of one-bit convolutions with this machine's C compiler, and load it.

The result is kept in the user's cache under a hash of source, compiler and flags, so that it is
built once; ``$CC`` and ``$CFLAGS`` are heeded.
"""

import ctypes
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

from edgesr.data.cache import cache_root
from edgesr.errors import MissingDependencyError, OutputError
from edgesr.files import atomic_path

SOURCE = Path(__file__).with_name("kernel") / "bits.c"
_FLAGS = ("-std=c11", "-O3", "-ffp-contract=off", "-fno-trapping-math", "-fPIC", "-shared")
_COMPILERS = ("cc", "clang", "gcc")
_SECONDS = 120
_DIGITS = 16


@cache
def load_kernel() -> ctypes.CDLL:
    """Return the kernel as a library, built if need be; one of its functions is called by name.

    Raises:
        MissingDependencyError: there is no C compiler, it fails, or what it made cannot be loaded.
    """
    if sys.byteorder != "little":
        raise MissingDependencyError("the C kernel is for little-endian processors")
    path = _built(_compiler())
    try:
        library = ctypes.CDLL(str(path))
        library.edgesr_bits_job_size.restype = ctypes.c_size_t
        library.edgesr_bits_has.restype = ctypes.c_int
    except (OSError, AttributeError) as error:
        raise MissingDependencyError(
            f"{path}: cannot be loaded ({error}); delete it and try again"
        ) from error
    return library


def _compiler() -> list[str]:
    named = shlex.split(os.environ.get("CC", ""))
    for command in [named] if named else [[name] for name in _COMPILERS]:
        found = shutil.which(command[0])
        if found is not None:
            return [found, *command[1:]]
    wanted = f"$CC = {shlex.join(named)}" if named else ", ".join(_COMPILERS)
    raise MissingDependencyError(f"no C compiler was found ({wanted}); install gcc or clang")


def _built(compiler: list[str]) -> Path:
    flags = [*_FLAGS, *shlex.split(os.environ.get("CFLAGS", ""))]
    about = [platform.machine(), sys.platform, *compiler, *flags]
    digest = hashlib.sha256("\0".join(about).encode() + SOURCE.read_bytes()).hexdigest()
    path = cache_root() / "kernels" / f"bits-{digest[:_DIGITS]}.so"
    if path.is_file():
        return path
    try:
        with atomic_path(path) as temporary:
            command = [*compiler, *flags, "-o", str(temporary), str(SOURCE)]
            subprocess.run(  # noqa: S603 - the user's own compiler on our own source
                command, check=True, capture_output=True, text=True, timeout=_SECONDS
            )
    except subprocess.CalledProcessError as error:
        reason = " ".join(str(error.stderr).split())[:200]
        raise MissingDependencyError(
            f"{compiler[0]}: cannot compile {SOURCE.name} ({reason}); set CC to gcc or clang"
        ) from error
    except (subprocess.TimeoutExpired, OutputError) as error:
        raise MissingDependencyError(
            f"the C kernel cannot be built ({error}); set EDGESR_CACHE to a folder of yours"
        ) from error
    return path
