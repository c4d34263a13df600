import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgesr import litert
from edgesr.android.backends import parse_backends
from edgesr.android.model import check_signature, read_model_file
from edgesr.android.refusals import refused_operators, told
from edgesr.android.request import make_cases
from edgesr.errors import CheckpointError, DataError, UsageError
from edgesr.zoo import DEFAULT, ZOO

SHIPPED = ZOO[DEFAULT].tflite


def test_a_file_that_takes_every_size_is_fixed_to_one_and_computes_the_same() -> None:
    read = read_model_file(SHIPPED, shape=(8, 12))
    assert read.inputs[0]["shape"] == [1, 8, 12, 3]
    assert read.outputs[0]["shape"] == [1, 24, 36, 3]
    assert not read.dynamic
    assert read.sha256 != read.source_sha256
    fixed, free = litert.open_model(read.content), litert.open_model(SHIPPED)
    assert fixed.fixed_shape == (8, 12)
    image = np.arange(8 * 12 * 3, dtype="uint8").reshape(8, 12, 3)
    assert (fixed.upscale(image) == free.upscale(image)).all()


def test_a_file_of_one_size_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "fixed.tflite"
    path.write_bytes(read_model_file(SHIPPED, shape=(8, 8)).content)
    read = read_model_file(path)
    assert read.content == path.read_bytes()
    assert read.sha256 == read.source_sha256
    assert read.name == "fixed"
    assert read.operators["CONV_2D"] > 0
    with pytest.raises(DataError, match="8x8"):
        read_model_file(path, shape=(9, 9))


def test_every_size_means_no_number() -> None:
    with pytest.raises(UsageError, match="--shape"):
        read_model_file(SHIPPED)


@pytest.mark.parametrize("content", [b"", b"no model", b"\x1c\0\0\0TFL3", b"\x1c\0\0\0TFL3" * 9])
def test_what_is_no_model_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.tflite"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"bad\.tflite"):
        read_model_file(path, shape=(8, 8))
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_model_file(tmp_path / "missing.tflite")


def test_a_cut_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.tflite"
    path.write_bytes(SHIPPED.read_bytes()[:2000])
    with pytest.raises(CheckpointError, match=r"cut\.tflite"):
        read_model_file(path, shape=(8, 8))


def test_a_signature_that_is_not_there_is_refused() -> None:
    read = read_model_file(SHIPPED, shape=(8, 8))
    check_signature(read, None)
    with pytest.raises(UsageError, match="no signature 'nope'"):
        check_signature(read, "nope")


def test_several_signatures_need_a_choice() -> None:
    read = read_model_file(SHIPPED, shape=(8, 8))
    several = type(read)(**{**vars(read), "signatures": ("up", "down")})
    check_signature(several, "up")
    with pytest.raises(UsageError, match="--signature"):
        check_signature(several, None)


def test_the_linter_names_what_an_accelerator_refuses() -> None:
    read = read_model_file(SHIPPED, shape=(8, 8))
    cpu, npu, qnn, nnapi = make_cases([read], parse_backends("cpu,npu,qnn,nnapi"), [1])
    for unknown in (cpu, npu, qnn):
        assert refused_operators(unknown) is None
        assert told(refused_operators(unknown)) == ""
    assert refused_operators(nnapi) == ()
    assert "the driver takes less" in told(())
    old = refused_operators(nnapi, 28)  # Android 9 has no native int8
    assert old is not None
    assert "CONV_2D" in old
    assert "CONV_2D" in told(old)


def test_a_size_is_fixed_without_torch() -> None:
    code = (
        "import sys; from pathlib import Path; from edgesr.android.model import read_model_file; "
        f"read_model_file(Path({str(SHIPPED)!r}), shape=(8, 8)); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603 - our own code


def test_the_memory_that_a_model_needs_at_least_grows_with_the_image() -> None:
    small, large = (read_model_file(SHIPPED, shape=(8, side)).least_bytes for side in (8, 16))
    assert small >= 8 * 8 * 3 + 24 * 24 * 3
    assert large == 2 * small
