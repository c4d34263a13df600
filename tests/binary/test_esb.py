"""Files of packed networks: what is written is read, and nothing else is."""

import hashlib
import json
import random
import struct
from pathlib import Path

import numpy as np
import pytest

from edgesr.binary.esb import EsbFile, from_bytes, read_esb, to_bytes, write_esb
from edgesr.errors import CheckpointError

HEADER = struct.Struct("<8sIIQ32s")
HOSTILE = (
    b"-1",
    b"0",
    b"1e999",
    b"true",
    b"null",
    b"[]",
    b"{}",
    b'""',
    b"NaN",
    b"99999999999999999999",
    b"2147483648",
    b"[" * 3000,
    b"9" * 5000,
    b'"\\ud800"',
)


def example() -> EsbFile:
    generator = np.random.default_rng(0)
    tensors = {
        "a.weight": generator.random((5, 5, 3, 3)) < 0.5,
        "a.factor": generator.random(5, np.float32),
        "b": generator.random((3, 4)).astype(np.float16),
        "c.weight": generator.random((8, 8, 1, 1)) < 0.5,
    }
    return EsbFile(about={"schema": "x", "nested": {"list": [1, 2.5, None]}}, tensors=tensors)


def sealed(body: bytes, json_bytes: int) -> bytes:
    """Put a right header before a wrong body, so that a parser has to look at it."""
    digest = hashlib.sha256(body).digest()
    return HEADER.pack(b"EDGESRB\n", 1, json_bytes, HEADER.size + len(body), digest) + body


def mutated(good: bytes, dice: random.Random) -> bytes:
    json_bytes = HEADER.unpack_from(good)[2]
    text, rest = good[HEADER.size :][:json_bytes], good[HEADER.size + json_bytes :]
    kind = dice.randrange(6)
    if kind == 0:  # anywhere, unsealed
        data = bytearray(good)
        for _ in range(dice.randint(1, 8)):
            data[dice.randrange(len(data))] = dice.randrange(256)
        return bytes(data)
    if kind == 1:
        return good[: dice.randrange(len(good))] + dice.randbytes(dice.choice((0, 0, 7, 300)))
    changed = bytearray(text)
    if kind == 2:  # bytes of the JSON
        for _ in range(dice.randint(1, 4)):
            changed[dice.randrange(len(changed))] = dice.randrange(32, 127)
    elif kind == 3:  # a hostile value in place of a stretch
        start = dice.randrange(len(changed))
        changed[start : start + dice.randint(0, 12)] = dice.choice(HOSTILE)
    elif kind == 4:  # a number of a shape or place
        digits = [at for at, byte in enumerate(changed) if 48 <= byte <= 57]
        at = dice.choice(digits)
        changed[at : at + 1] = dice.choice((*HOSTILE, b"%d" % dice.randrange(10)))
    else:
        rest = rest[: dice.randrange(len(rest) + 1)] + dice.randbytes(dice.choice((0, 64)))
    size = len(changed) + dice.choice((0, 0, 0, -1, 1, 2**31))
    return sealed(bytes(changed) + rest, size % 2**32)


def attack(count: int, seed: int) -> int:
    """Parse mutated files; return how many were refused."""
    good, dice, refused = to_bytes(example()), random.Random(seed), 0  # noqa: S311
    for _ in range(count):
        data = mutated(good, dice)
        try:
            from_bytes(data, "file")
        except CheckpointError:
            refused += 1
    return refused


def test_what_is_written_is_read(tmp_path: Path) -> None:
    content, path = example(), tmp_path / "a.esb"
    assert write_esb(path, content) == path.stat().st_size
    found = read_esb(path)
    assert found.about == content.about
    assert list(found.tensors) == list(content.tensors)
    for name, value in content.tensors.items():
        assert found.tensors[name].dtype == value.dtype
        assert np.array_equal(found.tensors[name], value)
    assert to_bytes(found) == path.read_bytes()


def test_one_bit_takes_one_bit() -> None:
    few, many = (
        len(to_bytes(EsbFile(about={}, tensors={"w": np.zeros((n, 64, 3, 3), np.bool_)})))
        for n in (10, 74)
    )
    assert abs(many - few - 64 * 64 * 9 // 8) <= 1


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [
        (0, b"PK", "is no .esb file"),
        (8, b"\x02", "is of version 2, want 1"),
        (12, b"\xff\xff\xff", "bytes of JSON"),
        (16, b"\x01", "but says"),
        (30, b"\x00\x01", "checksum"),
        (100, b"\x00", "checksum"),
    ],
)
def test_damage_is_named(place: int, value: bytes, reason: str) -> None:
    data = bytearray(to_bytes(example()))
    data[place : place + len(value)] = value
    with pytest.raises(CheckpointError, match=reason):
        from_bytes(bytes(data), "file")


def test_every_truncation_is_refused() -> None:
    good = to_bytes(example())
    for size in range(len(good)):
        with pytest.raises(CheckpointError):
            from_bytes(good[:size], "file")


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"shape": [2**31, 2**31]}, "too many values"),
        ({"shape": [-1]}, "a side that is none"),
        ({"shape": [True]}, "a side that is none"),
        ({"shape": [1] * 9}, "no shape"),
        ({"offset": 64}, "which is not"),
        ({"offset": 1.0}, "no shape or place"),
        ({"kind": "pickle"}, "of kind 'pickle'"),
        ({"name": 5}, "of kind"),
        ({"extra": 1}, "other keys"),
    ],
)
def test_hostile_entries_are_refused(entry: dict[str, object], reason: str) -> None:
    good = {"name": "w", "kind": "float32", "shape": [4], "offset": 128}
    text = json.dumps({"about": {}, "tensors": [{**good, **entry}]}).encode()
    body = text.ljust(128 - HEADER.size, b" ")
    with pytest.raises(CheckpointError, match=reason):
        from_bytes(sealed(body + bytes(16), len(body)), "file")


def test_values_that_are_no_numbers_are_refused() -> None:
    for value in (np.nan, np.inf):
        data = to_bytes(EsbFile(about={}, tensors={"a": np.full(3, value, np.float16)}))
        with pytest.raises(CheckpointError, match="NaN or infinity"):
            from_bytes(data, "file")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no\.esb: cannot be read"):
        read_esb(tmp_path / "no.esb")


def test_mutated_files_are_read_or_refused_and_nothing_else() -> None:
    assert attack(3000, seed=1) > 2500


@pytest.mark.slow
def test_a_hundred_thousand_mutated_files() -> None:
    assert attack(100_000, seed=2) > 80_000
