import struct
from pathlib import Path

import pytest

from edgesr.android.elf import abi_of, check_abi
from edgesr.android.errors import RunnerError
from edgesr.android.runners import (
    abilities,
    check_runner,
    fetch_runner,
    find_runner,
    open_runner,
    store_runner,
    version_in,
)

CLASSIC = (
    "usage: benchmark_model <flags>\nFlags:\n\t--num_runs=50\tint32\n\t--use_nnapi=false\tbool\n"
)
LITERT = "Flags:\n\t--use_npu=false\n\t--dispatch_library_path=\n\t--gpu-precision=auto\n"
NATIVE = "usage: edgesr-runner --library=LIB --graph=MODEL [flags]\n  --num_runs=50\n"


def elf(path: Path, *, bits: int = 2, machine: int = 183) -> Path:
    head = b"\x7fELF" + bytes([bits, 1, 1]) + bytes(9) + struct.pack("<HH", 3, machine)
    path.write_bytes(head + bytes(44))
    return path


@pytest.mark.parametrize(
    ("bits", "machine", "abi"),
    [(2, 183, "arm64-v8a"), (1, 40, "armeabi-v7a"), (2, 62, "x86_64"), (1, 3, "x86")],
)
def test_the_header_tells_the_processor(tmp_path: Path, bits: int, machine: int, abi: str) -> None:
    assert abi_of(elf(tmp_path / "runner", bits=bits, machine=machine)) == abi


def test_a_runner_for_another_processor_is_refused_by_name(tmp_path: Path) -> None:
    runner = open_runner(elf(tmp_path / "runner", machine=62), (elf(tmp_path / "lib.so"),))
    with pytest.raises(RunnerError, match=r"runner: is built for x86_64, want arm64-v8a"):
        check_runner(runner, ("arm64-v8a", "armeabi-v7a"))
    with pytest.raises(RunnerError, match=r"lib\.so: is built for arm64-v8a"):
        check_runner(runner, ("x86_64",))


def test_a_script_runs_on_every_processor(tmp_path: Path) -> None:
    script = tmp_path / "runner"
    script.write_text("#!/system/bin/sh\n")
    check_abi(script, ("x86_64",))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 an apk", b"\x7fELF", b"\x7fELF" + bytes(40)])
def test_what_is_no_program_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "runner"
    path.write_bytes(content)
    with pytest.raises(RunnerError, match="want"):
        abi_of(path)


def test_a_missing_runner_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunnerError, match="cannot be read"):
        open_runner(tmp_path / "missing")


@pytest.mark.parametrize(
    ("text", "flavour", "flag"),
    [
        (CLASSIC, "classic", "use_nnapi"),
        (LITERT, "litert", "gpu-precision"),
        (NATIVE, "native", "num_runs"),
    ],
)
def test_help_tells_the_flavour_and_the_flags(text: str, flavour: str, flag: str) -> None:
    able = abilities(text, "runner")
    assert able.flavour == flavour
    assert flag in able.flags


@pytest.mark.parametrize("text", ["", "usage: cat [FILE...]", "not executable: 64-bit ELF file"])
def test_another_program_is_no_runner(text: str) -> None:
    with pytest.raises(RunnerError, match="benchmark_model"):
        abilities(text, "runner")


def test_a_stored_runner_is_found_for_its_processor(tmp_path: Path) -> None:
    stored = store_runner(
        open_runner(
            elf(tmp_path / "runner", machine=62), (elf(tmp_path / "l.so", machine=62),), "1"
        )
    )
    found = find_runner(("x86_64",))
    assert (found.sha256, found.version) == (stored.sha256, "1")
    assert [path.name for path in found.files] == ["runner", "l.so"]
    assert found.path.stat().st_mode & 0o111
    with pytest.raises(RunnerError, match="device setup"):
        find_runner(("armeabi-v7a",))


def test_an_address_that_does_not_answer_says_what_else_to_do(tmp_path: Path) -> None:
    with pytest.raises(RunnerError, match="--runner PATH"):
        fetch_runner("http://127.0.0.1:9/benchmark_model", tmp_path)
    with pytest.raises(RunnerError, match="https"):
        fetch_runner("file:///etc/passwd", tmp_path)


def test_the_version_is_in_the_address() -> None:
    assert version_in("https://x/litert/binaries/2.2.0/android_arm64/benchmark_model") == "2.2.0"
    assert version_in("https://x/latest/benchmark_model") is None
