"""Bad graphs, written tensor by tensor with the exporter's own flatbuffer builder."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from ai_edge_litert import schema_py_generated as schema

from edgesr.export.flatbuffer import ModelBuilder

CODE = schema.BuiltinOperator
OPTIONS = schema.BuiltinOptions
GRID = (0.5, 3)
SEED = 7


class Sheet:
    """A graph of one input ``x`` (1, h, w, c); methods add an operator and return its output."""

    def __init__(
        self,
        channels: int = 3,
        size: tuple[int, int] = (6, 8),
        *,
        grid: tuple[float, int] | None = GRID,
        free: bool = False,
        dtype: str = "int8",
    ) -> None:
        self.model = ModelBuilder(name="bad", description="a seeded bad graph")
        self.shapes: dict[int, tuple[int, ...]] = {}
        self.grids: dict[int, Any] = {}
        self.types: dict[int, str] = {}
        self.free = free
        self.random = np.random.default_rng(SEED)
        kind = dtype if grid is not None else "float32"
        self.x = self.tensor("x", (1, *size, channels), kind, grid)

    def tensor(  # noqa: PLR0913, PLR0917
        self,
        name: str,
        shape: Sequence[int],
        dtype: str = "int8",
        grid: Any = GRID,
        data: npt.NDArray[Any] | None = None,
        axis: int = 0,
    ) -> int:
        signature = None
        if self.free and data is None and len(shape) == 4:
            signature = [1, -1, -1, shape[3]]
        number = self.model.tensor(
            name,
            shape,
            dtype,
            signature=signature,
            grid=None if dtype.startswith("float") else grid,
            data=data,
            axis=axis,
        )
        self.shapes[number] = tuple(shape)
        self.grids[number] = grid
        self.types[number] = dtype
        return number

    def ints(self, name: str, values: Any) -> int:
        data = np.asarray(values, np.int32)
        return self.tensor(name, data.shape, "int32", None, data)

    def op(  # noqa: PLR0913
        self,
        name: str,
        inputs: Sequence[int],
        shape: Sequence[int] | None = None,
        *,
        dtype: str | None = None,
        grid: Any = "same",
        version: int = 2,
        options: tuple[str, Mapping[str, Any]] | None = None,
    ) -> int:
        first = inputs[0]
        output = self.tensor(
            f"{name.lower()}{len(self.shapes)}",
            shape or self.shapes[first],
            dtype or self.types[first],
            self.grids[first] if isinstance(grid, str) else grid,
        )
        tagged = None
        if options is not None:
            made = getattr(schema, f"{options[0]}T")()
            for key, value in options[1].items():
                setattr(made, key, value)
            tagged = (getattr(OPTIONS, options[0]), made)
        self.model.operator(
            getattr(CODE, name), list(inputs), output, version=version, options=tagged
        )
        return output

    def conv(  # noqa: PLR0913
        self,
        source: int,
        channels: int = 4,
        *,
        kernel: int = 3,
        bias: bool = True,
        fused: int = 0,
        groups: int = 1,
        scales: int | None = None,
        zero_point: int = 0,
        lowest: bool = False,
        bias_factor: float = 1.0,
        stride: int = 1,
        grid: Any = GRID,
        version: int = 3,
        axis: int = 0,
        data: int | None = None,
    ) -> int:
        n, h, w, c = self.shapes[source]
        shape = (channels, kernel, kernel, c // groups)
        values = self.random.integers(-127, 128, shape, np.int8)
        if lowest:
            values.flat[0] = -128
        floating = self.types[source].startswith("float")
        count = channels if scales is None else scales
        steps = np.linspace(0.002, 0.004, count).astype(np.float32)
        weight = (
            self.tensor("weight", shape, "float32", None, values.astype(np.float32) / 100)
            if floating
            else self.tensor("weight", shape, "int8", (steps, zero_point), values, axis)
        )
        inputs = [source, weight if data is None else data]
        if bias:
            numbers = self.random.integers(-500, 500, channels)
            if floating:
                inputs.append(
                    self.tensor("bias", (channels,), "float32", None, numbers.astype(np.float32))
                )
            else:
                scale = np.float32(self.grids[source][0]) * steps * np.float32(bias_factor)
                inputs.append(
                    self.tensor("bias", (channels,), "int32", (scale, 0), numbers.astype(np.int32))
                )
        return self.op(
            "CONV_2D",
            inputs,
            (n, -(-h // stride), -(-w // stride), channels),
            grid=None if floating else grid,
            version=1 if floating else version,
            options=(
                "Conv2DOptions",
                {
                    "strideW": stride,
                    "strideH": stride,
                    "dilationWFactor": 1,
                    "dilationHFactor": 1,
                    "fusedActivationFunction": fused,
                },
            ),
        )

    def depth_to_space(self, source: int, block: int = 2, *, version: int = 1, **more: Any) -> int:
        n, h, w, c = self.shapes[source]
        return self.op(
            "DEPTH_TO_SPACE",
            [source],
            (n, h * block, w * block, c // block**2),
            version=version,
            options=("DepthToSpaceOptions", {"blockSize": block}),
            **more,
        )

    def concat(self, sources: Sequence[int], axis: int = 3, **more: Any) -> int:
        shape = list(self.shapes[sources[0]])
        shape[axis] = sum(self.shapes[one][axis] for one in sources)
        return self.op(
            "CONCATENATION",
            sources,
            shape,
            options=("ConcatenationOptions", {"axis": axis}),
            **more,
        )

    def add(self, one: int, other: int, **more: Any) -> int:
        return self.op("ADD", [one, other], options=("AddOptions", {}), **more)

    def reshape(self, source: int, shape: Sequence[int]) -> int:
        return self.op("RESHAPE", [source, self.ints("shape", shape)], shape, version=1)

    def transpose(self, source: int, order: Sequence[int]) -> int:
        shape = [self.shapes[source][one] for one in order]
        return self.op("TRANSPOSE", [source, self.ints("order", order)], shape)

    def pixel_shuffle(self, source: int, block: int = 2, *, torch_order: bool = True) -> int:
        """Return a converter's RESHAPE, TRANSPOSE, RESHAPE of PyTorch's or TFLite's channels."""
        n, h, w, c = self.shapes[source]
        left = c // block**2
        split = (n, h, w, left, block, block) if torch_order else (n, h, w, block, block, left)
        order = (0, 1, 4, 2, 5, 3) if torch_order else (0, 1, 3, 2, 4, 5)
        moved = self.transpose(self.reshape(source, split), order)
        return self.reshape(moved, (n, h * block, w * block, left))

    def code(self, value: int, like: int) -> int:
        """Return a constant of one code on the grid of ``like``."""
        return self.tensor("limit", (), "int8", self.grids[like], np.array(value, np.int8))

    def done(self, *outputs: int) -> bytes:
        names = {f"y{place}": one for place, one in enumerate(outputs)}
        return self.model.finish({"x": self.x}, names, {})


@pytest.fixture
def sheet() -> Callable[..., Sheet]:
    return Sheet
