"""No kernel reads or writes where it must not: address and undefined-behaviour sanitizers.

The C code is built with both, and a process of its own runs it under the sanitizer's allocator, so
that every NumPy array has forbidden zones round it.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FLAGS = "-fsanitize=address,undefined -fno-sanitize-recover=all -g"


@pytest.mark.slow
def test_kernels_and_parser_are_clean_under_sanitizers(tmp_path: Path) -> None:
    compiler = shutil.which("gcc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("needs gcc on Linux")
    library = subprocess.run(  # noqa: S603 - the user's own compiler
        [compiler, "-print-file-name=libasan.so"], capture_output=True, text=True, check=True
    ).stdout.strip()
    if not Path(library).is_file():
        pytest.skip("needs gcc's address sanitizer")
    environment = {
        **os.environ,
        "CC": compiler,
        "CFLAGS": FLAGS,
        "EDGESR_CACHE": str(tmp_path),
        "PYTHONPATH": str(ROOT),
        "PYTHONMALLOC": "malloc",
    }
    build = "from edgesr.binary import packed_build as b; b._built(b._compiler())"
    subprocess.run([sys.executable, "-c", build], env=environment, check=True)  # noqa: S603
    runtime = {"LD_PRELOAD": str(Path(library).resolve()), "ASAN_OPTIONS": "detect_leaks=0"}
    done = subprocess.run(  # noqa: S603 - our own interpreter and script
        [sys.executable, str(ROOT / "tests/binary/sanitized.py"), "1", "400"],
        env={**environment, **runtime},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.startswith("400 layers on ")
