from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from edgesr.lint.check import lint
from edgesr.lint.targets import load_target
from edgesr.zoo import ZOO

Make = Callable[..., Any]


@dataclass(frozen=True, kw_only=True)
class Seed:
    target: str
    errors: frozenset[str]
    warnings: frozenset[str]
    notes: frozenset[str]
    partitions: int
    build: Callable[[Make], bytes]


def seed(  # noqa: PLR0913
    build: Callable[[Make], bytes],
    errors: str = "",
    warnings: str = "",
    *,
    notes: str = "",
    target: str = "nnapi",
    partitions: int = 1,
) -> Seed:
    return Seed(
        target=target,
        errors=frozenset(errors.split()),
        warnings=frozenset(warnings.split()),
        notes=frozenset(notes.split()),
        partitions=partitions,
        build=build,
    )


def plain(make: Make, **more: Any) -> bytes:
    s = make(**more)
    return bytes(s.done(s.depth_to_space(s.conv(s.conv(s.x, fused=1), 12))))


def tile(make: Make) -> bytes:
    s = make()
    y = s.conv(s.x, 3)
    y = s.op("TILE", [y, s.ints("times", [1, 1, 1, 4])], (1, 6, 8, 12), version=3)
    return bytes(s.done(s.depth_to_space(s.conv(y, 12))))


def cast(make: Make) -> bytes:
    s = make()
    y = s.op("CAST", [s.conv(s.x)], dtype="int32", grid=None, version=3)
    z = s.op("CAST", [y], dtype="int8", grid=(0.5, 3), version=3)
    return bytes(s.done(s.conv(z)))


def grouped(make: Make) -> bytes:
    s = make(4)
    return bytes(s.done(s.conv(s.conv(s.conv(s.x), 4, groups=2, version=6))))


def unbiased(make: Make, **more: Any) -> bytes:
    s = make(**more)
    return bytes(s.done(s.conv(s.conv(s.conv(s.x), bias=False))))


def second_version(make: Make) -> bytes:
    s = make()
    return bytes(s.done(s.depth_to_space(s.conv(s.x, 12), version=2)))


def one_conv(make: Make, **more: Any) -> bytes:
    s = make()
    return bytes(s.done(s.conv(s.x, **more)))


def scaled_reshape(make: Make) -> bytes:
    s = make()
    y = s.conv(s.x)
    z = s.op("RESHAPE", [y, s.ints("shape", [1, 8, 6, 4])], (1, 8, 6, 4), grid=(0.25, 3), version=1)
    return bytes(s.done(s.conv(z)))


def scaled_shuffle(make: Make) -> bytes:
    s = make()
    return bytes(s.done(s.depth_to_space(s.conv(s.x, 12), grid=(0.25, 3))))


def scaled_concat(make: Make, **more: Any) -> bytes:
    s = make()
    return bytes(s.done(s.conv(s.concat([s.conv(s.x, **more), s.conv(s.x, grid=(0.125, 0))]))))


def scaled_minimum(make: Make) -> bytes:
    s = make()
    y = s.conv(s.x)
    return bytes(s.done(s.op("MINIMUM", [y, s.code(90, y)], grid=(0.25, 3))))


def coarse_add(make: Make) -> bytes:
    s = make()
    return bytes(s.done(s.add(s.conv(s.x), s.conv(s.x, grid=(2.0, 0)))))


def requantized(make: Make) -> bytes:
    s = make()
    y = s.op("QUANTIZE", [s.conv(s.x)], grid=(0.25, 0), version=1)
    return bytes(s.done(s.conv(y)))


def round_trip(make: Make) -> bytes:
    s = make()
    y = s.op("DEQUANTIZE", [s.conv(s.x)], dtype="float32", grid=None)
    z = s.op("QUANTIZE", [y], dtype="int8", grid=(0.25, 0), version=1)
    return bytes(s.done(s.conv(z)))


def island(make: Make, op: str = "ABS") -> bytes:
    s = make()
    y = s.op("DEQUANTIZE", [s.conv(s.x)], dtype="float32", grid=None)
    y = s.op(op, [y], version=1)
    z = s.op("QUANTIZE", [y], dtype="int8", grid=(0.25, 0), version=1)
    return bytes(s.done(s.conv(z)))


def unknown(make: Make, op: str = "GELU") -> bytes:
    s = make()
    return bytes(s.done(s.conv(s.op(op, [s.conv(s.x)], version=1))))


def float_only(make: Make) -> bytes:
    s = make()
    return bytes(s.done(s.conv(s.op("ABS", [s.conv(s.x)], version=2))))


def converted(make: Make, **more: Any) -> bytes:
    s = make()
    return bytes(s.done(s.pixel_shuffle(s.conv(s.x, 12), **more)))


def idle_layout(make: Make) -> bytes:
    s = make()
    y = s.transpose(s.transpose(s.conv(s.x), (0, 3, 1, 2)), (0, 2, 3, 1))
    return bytes(s.done(s.conv(y)))


def layout(make: Make) -> bytes:
    s = make(3, (6, 6))
    return bytes(s.done(s.conv(s.transpose(s.conv(s.x), (0, 2, 1, 3)))))


def copies(make: Make) -> bytes:
    s = make()
    y = s.add(s.conv(s.x, 27), s.concat([s.x] * 9))
    return bytes(s.done(s.depth_to_space(y, 3)))


def late(make: Make) -> bytes:
    s = make()
    return bytes(s.done(s.conv(s.depth_to_space(s.conv(s.x, 12)), 3)))


def saturating(make: Make) -> bytes:
    s = make(grid=(1.0, -128))
    y = s.conv(s.x, 12, grid=(1.0, -128))
    y = s.op("RELU", [s.op("MINIMUM", [y, s.code(127, y)])])
    return bytes(s.done(s.depth_to_space(y)))


def lone_relu(make: Make) -> bytes:
    s = make()
    return bytes(s.done(s.conv(s.op("RELU", [s.conv(s.x)]))))


def six(make: Make, limit: int = 63, name: str = "RELU", fused: int = 0) -> bytes:
    """RELU and MINIMUM; on this grid 6 is code 63."""
    s = make(grid=(0.0625, -33))
    y = s.conv(s.x, fused=fused, grid=(0.0625, -33))
    y = s.op(name, [y]) if name else y
    return bytes(s.done(s.conv(s.op("MINIMUM", [y, s.code(limit, y)]))))


def saturated_later(make: Make, limit: int = 106) -> bytes:
    """Clipped at 51.5 and more, then given a scale that ends at 50."""
    s = make()
    y = s.depth_to_space(s.conv(s.x, 12))
    y = s.op("MINIMUM", [y, s.code(limit, y)])
    return bytes(s.done(s.conv(s.op("QUANTIZE", [y], grid=(0.2, -123), version=1))))


def transposed(make: Make) -> bytes:
    s = make()
    weight = s.tensor(
        "weight",
        (3, 3, 3, 3),
        "int8",
        (np.full(3, 0.003, np.float32), 0),
        np.ones((3, 3, 3, 3), np.int8),
    )
    options = ("TransposeConvOptions", {"strideW": 2, "strideH": 2})
    size = s.ints("size", [1, 12, 16, 3])
    output = s.tensor("up", (1, 12, 16, 3))
    made = __import__("ai_edge_litert.schema_py_generated", fromlist=["x"])
    tagged = made.TransposeConvOptionsT()
    for key, value in options[1].items():
        setattr(tagged, key, value)
    s.model.operator(
        made.BuiltinOperator.TRANSPOSE_CONV,
        [size, weight, s.x],
        output,
        version=2,
        options=(made.BuiltinOptions.TransposeConvOptions, tagged),
    )
    return bytes(s.done(output))


def logistic(make: Make, scale: float = 0.5) -> bytes:
    s = make()
    y = s.op("LOGISTIC", [s.conv(s.x)], grid=(scale, -128))
    return bytes(s.done(s.conv(y)))


def no_scale(make: Make) -> bytes:
    s = make()
    y = s.op("RELU6", [s.conv(s.x)], grid=None, dtype="int8")
    return bytes(s.done(y))


def custom(make: Make) -> bytes:
    s = make()
    return bytes(s.done(s.conv(s.op("CUSTOM", [s.conv(s.x)], version=1))))


def mirror(make: Make) -> bytes:
    s = make()
    sides = s.ints("sides", [[0, 0], [1, 1], [1, 1], [0, 0]])
    y = s.op("MIRROR_PAD", [s.x, sides], (1, 8, 10, 3), options=("MirrorPadOptions", {"mode": 0}))
    return bytes(s.done(s.conv(y)))


def resized(make: Make, **more: Any) -> bytes:
    s = make()
    y = s.conv(s.x)
    size = s.ints("size", [18, 24])
    options = ("ResizeNearestNeighborOptions", more)
    y = s.op("RESIZE_NEAREST_NEIGHBOR", [y, size], (1, 18, 24, 4), options=options)
    return bytes(s.done(y))


def computed_size(make: Make) -> bytes:
    s = make()
    y = s.conv(s.x)
    options = ("ShapeOptions", {"outType": 2})
    shape = s.op("SHAPE", [y], (4,), dtype="int32", grid=None, version=1, options=options)
    return bytes(s.done(s.op("RESHAPE", [y, shape], (1, 6, 8, 4), version=1)))


def bilinear(make: Make, size: tuple[int, int]) -> bytes:
    s = make()
    options: tuple[str, dict[str, Any]] = ("ResizeBilinearOptions", {})
    y = s.op("RESIZE_BILINEAR", [s.x, s.ints("size", size)], (1, *size, 3), options=options)
    return bytes(s.done(s.conv(y)))


def fused_tanh(make: Make) -> bytes:
    return one_conv(make, fused=4)


def multiplied(make: Make, scale: float) -> bytes:
    s = make()
    y = s.op("MUL", [s.conv(s.x), s.conv(s.x)], grid=(scale, 0), options=("MulOptions", {}))
    return bytes(s.done(y))


def unwritten(make: Make) -> bytes:
    s = make()
    ghost = s.tensor("ghost", (1, 6, 8, 4))
    return bytes(s.done(s.add(s.conv(s.x), ghost)))


SEEDS: Mapping[str, Seed] = {
    "a clean graph": seed(plain),
    "a clean graph of free size": seed(lambda m: plain(m, free=True), notes="EL001"),
    "a clean float graph": seed(lambda m: plain(m, grid=None)),
    "free size on Ethos-U": seed(lambda m: plain(m, free=True), "EL001 EL101", target="ethos-u"),
    "int8 TILE": seed(tile, "EL102 EL120", partitions=2),
    "int8 CAST": seed(cast, "EL102 EL120", partitions=2),
    "grouped convolution": seed(grouped, "EL102 EL108 EL120", partitions=2),
    "convolution without bias": seed(unbiased, "EL107 EL120", partitions=2),
    "convolution without bias, XNNPACK": seed(
        unbiased, "EL107", "EL120", target="xnnpack", partitions=2
    ),
    "DEPTH_TO_SPACE at version 2": seed(second_version, "", "EL204"),
    "DEPTH_TO_SPACE at version 2, Hexagon": seed(
        second_version, "EL102", "EL204", target="hexagon"
    ),
    "DEPTH_TO_SPACE on Ethos-U": seed(plain, "EL101", target="ethos-u"),
    "RESHAPE between scales": seed(
        scaled_reshape, "EL112 EL120 EL205", notes="EL302", partitions=2
    ),
    "DEPTH_TO_SPACE between scales": seed(scaled_shuffle, "EL112 EL205"),
    "CONCATENATION of two scales": seed(scaled_concat, "EL205"),
    "CONCATENATION of two scales, level 2": seed(
        scaled_concat, "EL105 EL111 EL112 EL121 EL205", target="nnapi-2", partitions=0
    ),
    "MINIMUM of two scales": seed(scaled_minimum, "EL206"),
    "MINIMUM of two scales, Ethos-U": seed(scaled_minimum, "EL112 EL206", target="ethos-u"),
    "a residual coarser than the sum": seed(coarse_add, "", "EL212"),
    "requantization": seed(requantized, "", "EL201"),
    "DEQUANTIZE and QUANTIZE in a row": seed(round_trip, "", "EL202"),
    "a float island": seed(island, "", "EL004"),
    "a float island on Ethos-U": seed(
        island, "EL101 EL103 EL120", "EL004", target="ethos-u", partitions=2
    ),
    "GELU": seed(unknown, "EL101 EL120", partitions=2),
    "RELU_0_TO_1": seed(lambda m: unknown(m, "RELU_0_TO_1"), "EL101 EL120", partitions=2),
    "an operator without int8 kernel in NNAPI": seed(float_only, "EL102 EL103 EL120", partitions=2),
    "a custom operator": seed(custom, "EL101 EL120", partitions=2),
    "a pixel shuffle in pieces": seed(converted, "EL104", "EL002 EL301"),
    "a pixel shuffle in pieces, TFLite's channels": seed(
        lambda m: converted(m, torch_order=False), "EL104", "EL002 EL301"
    ),
    "layout changes for nothing": seed(idle_layout, "", "EL302"),
    "height and width swapped": seed(layout, "", "EL302"),
    "copies by CONCATENATION": seed(copies, "", "EL303"),
    "copies by CONCATENATION, XNNPACK": seed(
        copies, "", "EL110 EL120 EL303", target="xnnpack", partitions=2
    ),
    "a layer after the enlargement": seed(late, "", "EL304"),
    "a clip that the scale does": seed(saturating, "", "EL213"),
    "a RELU that could be fused": seed(lone_relu, "", "EL214"),
    "RELU and MINIMUM at 6": seed(six, "", "EL215 EL214"),
    "a layer with RELU and MINIMUM at 6": seed(lambda m: six(m, name="", fused=1), "", "EL215"),
    "RELU and MINIMUM elsewhere": seed(lambda m: six(m, limit=40), "", "EL214"),
    "a clip before a scale that saturates": seed(saturated_later, "", "EL201 EL216 EL304"),
    "a clip below the end of that scale": seed(
        lambda m: saturated_later(m, limit=90), "", "EL201 EL304"
    ),
    "bilinear to 65 rows on Hexagon": seed(
        lambda m: bilinear(m, (65, 65)), "", "EL304", target="hexagon"
    ),
    "bilinear to 66 rows on Hexagon": seed(
        lambda m: bilinear(m, (66, 66)), "EL110", "EL304", target="hexagon"
    ),
    "transposed convolution": seed(transposed, "", "EL306"),
    "LOGISTIC on a scale of its own": seed(logistic, "EL113 EL120", partitions=2),
    "LOGISTIC on its scale": seed(lambda m: logistic(m, 1 / 256)),
    "an activation without a scale": seed(no_scale, "EL211"),
    "weights off zero": seed(lambda m: one_conv(m, zero_point=4), "EL207"),
    "a weight of -128": seed(lambda m: one_conv(m, lowest=True), "", "EL210"),
    "too few weight scales": seed(lambda m: one_conv(m, scales=2), "EL208"),
    "weight scales on another axis": seed(lambda m: one_conv(m, axis=3), "EL208"),
    "bias on another scale": seed(lambda m: one_conv(m, bias_factor=1.5), "EL209"),
    "per-channel weights below level 3": seed(
        one_conv, "EL105 EL111 EL121", target="nnapi-2", partitions=0
    ),
    "per-tensor weights": seed(lambda m: one_conv(m, scales=1)),
    "a level without the operator": seed(mirror, "EL105"),
    "a level with the operator": seed(mirror, target="nnapi-7"),
    "resizing": seed(resized),
    "half-pixel resizing below level 4": seed(
        lambda m: resized(m, halfPixelCenters=True), "EL105", target="nnapi-3"
    ),
    "a factor that Ethos-U lacks": seed(resized, "EL110", target="ethos-u"),
    "a computed shape": seed(computed_size, "EL101 EL106", "EL302"),
    "a fused TANH": seed(fused_tanh, "EL109 EL121", partitions=0),
    "a large stride on Hexagon": seed(
        lambda m: one_conv(m, stride=4), "EL110 EL121", target="hexagon", partitions=0
    ),
    "a product finer than its factors": seed(lambda m: multiplied(m, 0.1), "EL114"),
    "a product coarse enough": seed(lambda m: multiplied(m, 0.5)),
    "reading what nobody wrote": seed(unwritten, "EL005"),
    "GELU on the GPU": seed(unknown, target="litert-gpu"),
    "a broken float island on the GPU": seed(
        lambda m: island(m, "ROUND"), "EL101 EL120", "EL004", target="litert-gpu", partitions=2
    ),
    "an operator newer than LiteRT": seed(
        lambda m: one_conv(m, version=9), "EL102 EL121", target="cpu", partitions=0
    ),
}


@pytest.mark.parametrize("name", SEEDS)
def test_a_seeded_graph_gets_exactly_its_codes(name: str, sheet: Make) -> None:
    wanted = SEEDS[name]
    report = lint(wanted.build(sheet), load_target(wanted.target), name=name)
    found = {
        severity: {one.code for one in report.findings if one.severity == severity}
        for severity in ("error", "warning", "note")
    }
    assert found == {"error": wanted.errors, "warning": wanted.warnings, "note": wanted.notes}
    assert len(report.partitions[0].taken) == wanted.partitions


def test_there_are_thirty_bad_graphs() -> None:
    assert sum(bool(one.errors or one.warnings) for one in SEEDS.values()) >= 30


@pytest.mark.parametrize("target", ["nnapi", "xnnpack", "litert-gpu", "cpu"])
@pytest.mark.parametrize("name", [name for name, entry in ZOO.items() if not entry.is_denoiser])
def test_shipped_models_are_clean(name: str, target: str) -> None:
    path = ZOO[name].tflite
    report = lint(path.read_bytes(), load_target(target), name=name)
    assert [one for one in report.findings if one.severity != "note"] == []
    assert len(report.partitions[0].taken) == 1
