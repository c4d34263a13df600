"""Predicted partitions against what LiteRT's XNNPACK takes here: not our own oracle."""

from collections.abc import Callable
from typing import Any

import pytest

from edgesr.errors import CheckpointError
from edgesr.lint.check import lint
from edgesr.lint.delegation import count_delegated
from edgesr.lint.model import Operator, Subgraph
from edgesr.lint.partitions import partition
from edgesr.lint.targets import load_target
from edgesr.zoo import DEFAULT, ZOO

Make = Callable[..., Any]


def one(name: str, version: int, **more: Any) -> Callable[[Make], bytes]:
    def build(make: Make) -> bytes:
        s = make(**more)
        return bytes(s.done(s.conv(s.op(name, [s.conv(s.x)], version=version))))

    return build


def copies(count: int) -> Callable[[Make], bytes]:
    def build(make: Make) -> bytes:
        s = make()
        return bytes(s.done(s.conv(s.concat([s.conv(s.x)] * count))))

    return build


def two_branches(make: Make) -> bytes:
    """A refused operator in one branch, a layer in the other: TFLite reorders, so do we."""
    s = make()
    y = s.conv(s.x)
    refused = s.op("RELU", [y])
    side = s.conv(s.conv(s.x))
    return bytes(s.done(s.conv(s.add(refused, side)), s.op("RELU6", [side])))


def ratio(output: float) -> Callable[[Make], bytes]:
    def build(make: Make) -> bytes:
        s = make()
        return bytes(s.done(s.add(s.conv(s.x), s.conv(s.x), grid=(output, 0))))

    return build


FLOAT: dict[str, Any] = {"grid": None}
GRAPHS: dict[str, Callable[[Make], bytes]] = {
    **{f"{count} copies": copies(count) for count in (2, 4, 5, 6, 9)},
    **{f"{name} int8": one(name, 2) for name in ("RELU", "RELU6", "ABS", "EXP", "RSQRT")},
    **{f"{name} int8": one(name, 1) for name in ("HARD_SWISH", "ELU", "NEG", "RELU_N1_TO_1")},
    **{
        f"{name} float32": one(name, 1, **FLOAT)
        for name in ("RELU", "ABS", "EXP", "GELU", "COS", "SIGN", "ROUND", "SQRT", "LOG", "CEIL")
    },
    "two branches": two_branches,
    **{f"sum to {scale}": ratio(scale) for scale in (0.5 / 255, 0.5 / 256, 512.0, 513.0)},
}


@pytest.mark.parametrize("name", GRAPHS)
def test_the_prediction_equals_what_litert_does(name: str, sheet: Make) -> None:
    content = GRAPHS[name](sheet)
    (cut,) = lint(content, load_target("xnnpack"), name=name).partitions
    assert count_delegated(content) == {
        "operators": cut.operators,
        "delegated": cut.delegated,
        "partitions": len(cut.taken),
    }


def test_the_prediction_for_the_shipped_model_equals_what_litert_does() -> None:
    content = ZOO[DEFAULT].tflite.read_bytes()
    (cut,) = lint(content, load_target("xnnpack"), name="zoo").partitions
    assert count_delegated(content) == {"operators": 12, "delegated": 10, "partitions": 1}
    assert (cut.delegated, len(cut.taken)) == (10, 1)


def unbiased(make: Make) -> bytes:
    s = make()
    return bytes(s.done(s.conv(s.x, bias=False)))


def scaled(make: Make) -> bytes:
    s = make()
    return bytes(s.done(s.depth_to_space(s.conv(s.x, 12), grid=(0.25, 3))))


def joined(make: Make) -> bytes:
    s = make()
    return bytes(s.done(s.concat([s.conv(s.x), s.conv(s.x, grid=(0.125, 0))])))


def offset(make: Make) -> bytes:
    s = make()
    return bytes(s.done(s.conv(s.x, zero_point=4)))


def few_scales(make: Make) -> bytes:
    s = make()
    return bytes(s.done(s.conv(s.x, scales=2)))


def too_new(make: Make) -> bytes:
    s = make()
    return bytes(s.done(s.conv(s.x, version=9)))


@pytest.mark.parametrize("build", [unbiased, scaled, joined, offset, few_scales, too_new])
def test_what_litert_does_not_load_is_an_error(build: Callable[[Make], bytes], sheet: Make) -> None:
    content = build(sheet)
    with pytest.raises((CheckpointError, RuntimeError, ValueError)):
        count_delegated(content)
    assert any(lint(content, load_target(name), name="x").errors for name in ("cpu", "xnnpack"))


def test_what_reads_itself_ends() -> None:
    op = Operator(index=0, name="ADD", version=1, inputs=(0, 0), outputs=(0,), options={})
    graph = Subgraph(index=0, name="", tensors=(), operators=(op,), inputs=(), outputs=(0,))
    assert partition(graph, lambda _: True).parts == ()
