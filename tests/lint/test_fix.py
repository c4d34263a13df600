from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from edgesr.errors import CheckpointError
from edgesr.lint import fix as fix_module
from edgesr.lint.fix import Fixed, fix
from edgesr.lint.proof import Proof, prove
from edgesr.lint.reader import read_model
from edgesr.lint.targets import load_target
from edgesr.litert import Kernels, run_once

Make = Callable[..., Any]
KERNELS: tuple[Kernels, ...] = ("xnnpack", "builtin", "reference")


def clipped(make: Make) -> bytes:
    """A converter's tail: the image by nearest copies, a shuffle of PyTorch's channels, a clip."""
    s = make(grid=(1.0, -128))
    y = s.add(s.conv(s.x, 12, grid=(0.25, 4)), s.concat([s.x] * 4), grid=(1.0, -128))
    y = s.op("RELU", [s.op("MINIMUM", [y, s.code(127, y)])])
    return bytes(s.done(s.pixel_shuffle(y)))


def shuffled(make: Make, **more: Any) -> bytes:
    s = make(**more)
    return bytes(s.done(s.pixel_shuffle(s.conv(s.x, 12))))


def straight(make: Make, **more: Any) -> bytes:
    s = make(**more)
    return bytes(s.done(s.pixel_shuffle(s.conv(s.x, 12), torch_order=False)))


def through_nchw(make: Make) -> bytes:
    s = make()
    y = s.transpose(s.conv(s.x, 12), (0, 3, 1, 2))
    y = s.transpose(s.reshape(y, (1, 3, 2, 2, 6, 8)), (0, 1, 4, 2, 5, 3))
    return bytes(s.done(s.transpose(s.reshape(y, (1, 3, 12, 16)), (0, 2, 3, 1))))


def idle(make: Make) -> bytes:
    s = make()
    y = s.transpose(s.transpose(s.conv(s.x), (0, 3, 1, 2)), (0, 2, 3, 1))
    return bytes(s.done(s.conv(y)))


def copies(make: Make, **more: Any) -> bytes:
    s = make(**more)
    y = s.add(s.conv(s.x, 27), s.concat([s.x] * 9))
    return bytes(s.done(s.depth_to_space(y, 3)))


def relu(make: Make) -> bytes:
    s = make()
    return bytes(s.done(s.op("RELU", [s.conv(s.x)])))


def second_version(make: Make, **more: Any) -> bytes:
    s = make(**more)
    return bytes(s.done(s.depth_to_space(s.conv(s.x, 12), version=2)))


def same_grid(make: Make) -> bytes:
    s = make()
    return bytes(s.done(s.conv(s.op("QUANTIZE", [s.conv(s.x)], version=1))))


def six(make: Make, name: str = "RELU", fused: int = 0) -> bytes:
    s = make(grid=(0.0625, -33))
    y = s.conv(s.x, fused=fused, grid=(0.0625, -33))
    y = s.op(name, [y]) if name else y
    return bytes(s.done(s.op("MINIMUM", [y, s.code(63, y)])))


def saturated_later(make: Make) -> bytes:
    s = make()
    y = s.conv(s.x)
    y = s.op("MINIMUM", [y, s.code(103, y)])
    return bytes(s.done(s.op("QUANTIZE", [y], grid=(0.2, -123), version=1)))


CASES: Mapping[str, tuple[Callable[[Make], bytes], list[str]]] = {
    "a converter's tail": (clipped, ["CONV_2D", "CONV_2D", "ADD", "DEPTH_TO_SPACE"]),
    "PyTorch's channels": (shuffled, ["CONV_2D", "DEPTH_TO_SPACE"]),
    "TFLite's channels": (straight, ["CONV_2D", "DEPTH_TO_SPACE"]),
    "a shuffle in NCHW": (through_nchw, ["CONV_2D", "DEPTH_TO_SPACE"]),
    "a float shuffle": (lambda m: straight(m, grid=None), ["CONV_2D", "DEPTH_TO_SPACE"]),
    "layout changes for nothing": (idle, ["CONV_2D", "CONV_2D"]),
    "nine copies": (copies, ["CONV_2D", "CONV_2D", "ADD", "DEPTH_TO_SPACE"]),
    "nine copies of free size": (
        lambda m: copies(m, free=True),
        ["CONV_2D", "CONV_2D", "ADD", "DEPTH_TO_SPACE"],
    ),
    "nine float copies": (
        lambda m: copies(m, grid=None),
        ["CONV_2D", "CONV_2D", "ADD", "DEPTH_TO_SPACE"],
    ),
    "a lone RELU": (relu, ["CONV_2D"]),
    "RELU and MINIMUM at 6": (six, ["CONV_2D"]),
    "a layer with RELU and MINIMUM at 6": (lambda m: six(m, "", 1), ["CONV_2D"]),
    "a clip before a scale that saturates": (saturated_later, ["CONV_2D", "QUANTIZE"]),
    "DEPTH_TO_SPACE at version 2": (second_version, ["CONV_2D", "DEPTH_TO_SPACE"]),
    "QUANTIZE to the same scale": (same_grid, ["CONV_2D", "CONV_2D"]),
}


def fixed_file(content: bytes) -> Fixed:
    return fix(content, load_target("nnapi"), name="bad.tflite")


@pytest.mark.parametrize("name", CASES)
def test_a_rewrite_keeps_every_bit_and_leaves_nothing_to_fix(name: str, sheet: Make) -> None:
    build, operators = CASES[name]
    before = build(sheet)
    fixed = fixed_file(before)
    graph = read_model(fixed.content, name).subgraphs[0]
    assert Counter(op.name for op in graph.operators) == Counter(operators)
    assert all(step.kept for step in fixed.steps), fixed.steps
    assert fixed.proof is not None
    assert fixed.proof.equal
    assert [one.code for one in fixed.after.findings if one.severity != "note"] == []
    _same_bits(before, fixed.content)


def _same_bits(before: bytes, after: bytes) -> None:
    """Compare with inputs of our own, apart from the proof."""
    source = read_model(before, "before").subgraphs[0]
    tensor = source.tensors[source.inputs[0]]
    random, ran = np.random.default_rng(99), 0
    for kernels in KERNELS:
        for _ in range(4):
            drawn = random.integers(-128, 128, tensor.shape)
            value = drawn.astype(np.float32 if tensor.dtype == "FLOAT32" else np.int8)
            try:
                expected = run_once(before, [value], kernels=kernels)
            except CheckpointError:
                break
            ran += 1
            np.testing.assert_array_equal(run_once(after, [value], kernels=kernels), expected)
    assert ran


def test_channels_that_another_operator_reads_are_left_alone(sheet: Make) -> None:
    s = sheet()
    y = s.conv(s.x, 12)
    content = s.done(s.pixel_shuffle(y), s.conv(y))
    fixed = fixed_file(content)
    assert [step.kept for step in fixed.steps] == [False]
    assert "read by others" in fixed.steps[0].text
    assert fixed.content == content


def test_reordered_float_channels_are_kept_only_where_the_sums_stay_the_same(
    sheet: Make,
) -> None:
    """Float kernels may add in another order for another channel; this depends on the CPU."""
    before = shuffled(sheet, grid=None)
    fixed = fixed_file(before)
    (step,) = fixed.steps
    if step.kept:
        _same_bits(before, fixed.content)
    else:
        assert "not bit-equal, not written" in step.text
        assert fixed.content == before


def test_a_rewrite_that_changes_a_bit_is_not_kept(
    sheet: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = shuffled(sheet)  # not what the file computes
    content = straight(sheet)
    monkeypatch.setattr(fix_module, "rewrite", lambda *_: other)
    fixed = fixed_file(content)
    assert fixed.content == content
    assert fixed.proof is None
    assert "not bit-equal, not written" in fixed.steps[0].text


def test_the_proof_sees_one_changed_weight(sheet: Make) -> None:
    content = bytearray(shuffled(sheet))
    graph = read_model(bytes(content), "x").subgraphs[0]
    weight = next(one for one in graph.tensors if one.name == "weight")
    place = bytes(content).index(bytes(weight.data or b""))
    content[place + 13] ^= 64
    found = prove(shuffled(sheet), bytes(content))
    assert not found.equal
    assert "values differ" in found.reason


def test_a_file_that_nothing_runs_is_not_called_equal(sheet: Make) -> None:
    s = sheet()
    content = s.done(s.conv(s.conv(s.x), bias=False))
    found: Proof = prove(content, content)
    assert not found.equal
    assert found.kernels == ()


def test_a_clean_file_is_not_rewritten(sheet: Make) -> None:
    s = sheet()
    content = s.done(s.depth_to_space(s.conv(s.x, 12)))
    fixed = fixed_file(content)
    assert (fixed.content, fixed.steps, fixed.proof) == (content, (), None)


def test_signatures_and_metadata_survive_a_rewrite(sheet: Make) -> None:
    before = read_model(clipped(sheet), "x")
    after = read_model(fixed_file(clipped(sheet)).content, "x")
    assert after.signatures == before.signatures
    old, new = before.subgraphs[0], after.subgraphs[0]
    for one, other in ((old.inputs, new.inputs), (old.outputs, new.outputs)):
        assert [str(old.tensors[i]) for i in one] == [str(new.tensors[i]) for i in other]
