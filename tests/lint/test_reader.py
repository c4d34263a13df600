import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from edgesr.errors import CheckpointError
from edgesr.lint.bounded import Bytes, DamagedError
from edgesr.lint.check import lint
from edgesr.lint.reader import read_bytes, read_model
from edgesr.lint.report import text_lines
from edgesr.lint.sarif import sarif
from edgesr.lint.targets import load_target
from edgesr.zoo import DEFAULT, ZOO

Make = Callable[..., Any]
TARGETS = ("nnapi", "ethos-u")


def small(make: Make) -> bytes:
    s = make()
    y = s.op("RELU", [s.op("MINIMUM", [s.conv(s.x, 12), s.code(127, s.x)])])
    y = s.op("DEQUANTIZE", [s.pixel_shuffle(y)], dtype="float32", grid=None)
    return bytes(s.done(s.op("ABS", [y], version=1)))


def test_every_number_equals_what_litert_s_schema_reads() -> None:
    content = ZOO[DEFAULT].tflite.read_bytes()
    ours = read_model(content, "zoo").subgraphs[0]
    theirs = schema.ModelT.InitFromPackedBuf(content).subgraphs[0]
    assert len(ours.tensors) == len(theirs.tensors)
    for one, other in zip(ours.tensors, theirs.tensors, strict=True):
        assert one.name == other.name.decode()
        assert one.shape == tuple(other.shape)
        assert one.scales == tuple(map(float, other.quantization.scale))
        assert one.zero_points == tuple(other.quantization.zeroPoint)
    for op, entry in zip(ours.operators, theirs.operators, strict=True):
        assert op.inputs == tuple(entry.inputs)
        assert op.outputs == tuple(entry.outputs)
        for key, name in {"stride_w": "strideW", "fused": "fusedActivationFunction"}.items():
            if key in op.options:
                assert op.option(key) == getattr(entry.builtinOptions, name)


@pytest.mark.parametrize(
    "content", [b"", b"TFL3", b"\x00" * 4 + b"TFL3", b"no model at all, but long enough"]
)
def test_what_is_no_model_is_refused(content: bytes) -> None:
    with pytest.raises(CheckpointError, match=r"m\.tflite: \d+ bytes"):
        read_model(content, "m.tflite")


def test_a_missing_file_is_named() -> None:
    with pytest.raises(CheckpointError, match="check the path"):
        read_bytes(Path("nowhere.tflite"))


def test_every_truncation_is_refused_or_read(sheet: Make) -> None:
    content = small(sheet)
    refused = 0
    for length in range(0, len(content), 7):
        refused += _survives(content[:length])
    assert refused > 0.9 * len(range(0, len(content), 7))


@pytest.mark.parametrize("seed", range(3))
def test_no_mutation_crashes_the_linter(seed: int, sheet: Make) -> None:
    content, random = small(sheet), np.random.default_rng(seed)
    refused = 0
    for _ in range(_MUTANTS):
        damaged = bytearray(content)
        for _ in range(int(random.integers(1, 4))):
            place = int(random.integers(len(damaged) - 4))
            kind = random.integers(4)
            if kind == 0:
                damaged[place] = int(random.integers(256))
            elif kind == 1:
                struct.pack_into("<i", damaged, place, int(random.integers(-(2**31), 2**31)))
            elif kind == 2:
                struct.pack_into("<I", damaged, place - place % 4, int(random.choice(_NASTY)))
            else:
                start = int(random.integers(len(damaged) - 8))
                damaged[place : place + 4] = damaged[start : start + 4]
        refused += _survives(bytes(damaged))
    assert 0 < refused < _MUTANTS


_MUTANTS = 250
_NASTY = (0, 1, 4, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFC, 0x10000)


def _survives(content: bytes) -> bool:
    """Lint a file for all it is worth; tell whether it was refused."""
    target = load_target_once(TARGETS[sum(content[-8:]) % 2])
    try:
        report = lint(content, target, name="m.tflite")
    except CheckpointError:
        return True
    assert text_lines(report)
    assert sarif(report)
    return False


_LOADED: dict[str, Any] = {}


def load_target_once(name: str) -> Any:
    if name not in _LOADED:
        _LOADED[name] = load_target(name)
    return _LOADED[name]


def test_a_small_file_that_describes_a_giant_one_is_given_up(sheet: Make) -> None:
    """Every tensor of the list is the same table, so that a megabyte would become gigabytes."""
    content = bytearray(small(sheet))
    root = Bytes(content=bytes(content)).root()
    graph = root.tables(2)[0]
    start = len(content)
    count = 200_000
    content += struct.pack("<I", count)
    table = graph.tables(0)[0].position
    for number in range(count):
        place = start + 4 + 4 * number
        content += struct.pack("<i", table - place)
    slot = graph._place(0)
    assert slot is not None
    struct.pack_into("<I", content, slot, start - slot)
    with pytest.raises(CheckpointError, match="damaged or truncated"):
        read_model(bytes(content), "m.tflite")


def _read_again(file: Bytes) -> None:
    for _ in range(10_000):
        file.take(0, 1000)


def test_the_work_of_reading_is_bounded() -> None:
    file = Bytes(content=bytes(1000))
    with pytest.raises(DamagedError, match="without end"):
        _read_again(file)
