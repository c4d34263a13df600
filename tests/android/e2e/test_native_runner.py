"""edgesr's own runner, built for this machine: what it prints is what edgesr reads."""

import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edgesr.android.elf import abi_of
from edgesr.android.native import parse_native

if TYPE_CHECKING:
    from tests.android.e2e.conftest import Desk

ROOT = Path(__file__).resolve().parents[3]
NATIVE = ROOT / "android_bench" / "native"
MODEL = ROOT / "edgesr/zoo/ncnet_x3_int8.tflite"


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if sys.platform != "linux" or shutil.which("cc") is None:
        pytest.skip("building the native runner for this machine needs Linux and cc")
    return _build("linux-x86_64", tmp_path_factory.mktemp("native"), CC="cc")


@pytest.fixture(scope="module")
def library() -> Path:
    spec = find_spec("ai_edge_litert")
    path = Path(spec.origin).parent / "libLiteRt.so" if spec and spec.origin else Path()
    if not path.is_file():
        pytest.skip("this ai_edge_litert brings no libLiteRt.so")
    return path


def _build(target: str, folder: Path, **environment: str) -> Path:
    built = subprocess.run(  # noqa: S603 - our own recipe
        ["/bin/sh", NATIVE / "build.sh", target, folder],
        env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    return folder / target / "edgesr-runner"


def _run(*words: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603


def test_every_latency_is_printed(runner: Path, library: Path) -> None:
    flags = ("--num_runs=7", "--warmup_runs=2", "--num_threads=1", "--input_shape=1,16,16,3")
    ended = _run(runner, f"--library={library}", f"--graph={MODEL}", *flags)
    assert ended.returncode == 0, ended.stderr
    found = parse_native(ended.stdout)
    assert (len(found.samples_us), len(found.warmup_us)) == (7, 2)
    assert found.error is None
    assert found.init_us is not None
    assert found.init_us > 0
    assert found.peak_mb is not None
    assert found.peak_mb > 1


def test_at_least_so_many_seconds_are_measured(runner: Path, library: Path) -> None:
    flags = ("--num_runs=1", "--warmup_runs=0", "--min_secs=0.2", "--input_shape=1,16,16,3")
    found = parse_native(_run(runner, f"--library={library}", f"--graph={MODEL}", *flags).stdout)
    assert sum(found.samples_us) > 0.1e6
    assert len(found.samples_us) > 1


def test_what_cannot_be_run_is_told_as_json(runner: Path, library: Path, tmp_path: Path) -> None:
    bad = tmp_path / 'bad "name".tflite'
    bad.write_bytes(b"no model at all")
    ended = _run(runner, f"--library={library}", f"--graph={bad}")
    assert ended.returncode == 1
    assert "LiteRtCreateModelFromFile" in str(parse_native(ended.stdout).error)
    ended = _run(runner, f"--library={bad}", f"--graph={MODEL}")
    assert ended.returncode == 1
    assert "dlopen" in str(parse_native(ended.stdout).error)


@pytest.mark.parametrize("flag", ["--nonsense", "--input_shape=1,x", "--num_runs=0"])
def test_a_flag_that_is_not_understood_ends_with_2(runner: Path, flag: str) -> None:
    ended = _run(runner, "--library=a", "--graph=b", flag)
    assert ended.returncode == 2
    assert "not understood" in ended.stdout
    assert "usage: edgesr-runner" in ended.stdout


def test_bench_measures_with_it_and_knows_the_true_p90(
    desk: "Desk", runner: Path, library: Path
) -> None:
    desk.phone()
    words = desk.bench_words("--runner-lib", library, runner=runner)
    ended = desk.edgesr(*(word for word in words if "warmup_min_secs" not in str(word)))
    assert ended.code == 0, ended.err
    result = desk.result()
    assert result["runner"]["experimental"]
    (launch,) = result["cases"][0]["launches"]
    assert launch["latency"]["source"] == "raw"
    assert len(launch["samples_us"]) == 3
    assert launch["latency"]["p50"] <= launch["latency"]["p90"] <= launch["latency"]["max"]


def test_the_recipe_builds_for_phones_without_an_ndk(tmp_path: Path) -> None:
    if find_spec("ziglang") is None:
        pytest.skip("building for Android needs pip install ziglang")
    for target, abi in (("android-aarch64", "arm64-v8a"), ("android-x86_64", "x86_64")):
        zig = f"{sys.executable} -m ziglang"
        built = _build(target, tmp_path, ZIG=zig, HOME=str(tmp_path))
        assert abi_of(built) == abi
        assert b"/system/bin/linker64\0" in built.read_bytes()
