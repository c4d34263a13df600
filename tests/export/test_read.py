"""Reading a file gives back what was written; everything else is refused with a reason."""

import contextlib
import functools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from ai_edge_litert import schema_py_generated as schema
from torch import Tensor, nn
from torch.nn import functional

from edgesr.errors import CheckpointError, EdgesrError
from edgesr.export.flatbuffer import ModelBuilder
from edgesr.export.op_cases_more import CASES
from edgesr.export.parity import compare_family, made_pictures
from edgesr.export.read import read_model
from edgesr.export.tflite import Io, write_float32, write_int8
from edgesr.graph.capture import capture
from edgesr.graph.passes import lower
from edgesr.litert import Kernels
from edgesr.models import build_model
from edgesr.quant.calibrate import CalibrationBatch
from edgesr.quant.ptq import quantize_graph
from edgesr.quant.scheme import QuantizedGraph
from edgesr.quant.simulate import KERNELS


class Mixed(nn.Module):
    """Every operation that a file may hold."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, 9, 3, padding=1)
        self.depthwise = nn.Conv2d(9, 9, 3, padding=1, groups=9)
        self.down = nn.Conv2d(9, 8, 3, stride=2, padding=1)
        self.mix = nn.Conv2d(17, 9, 1)
        self.tail = nn.Conv2d(9, 12, 3, padding=1)

    def forward(self, lr: Tensor) -> Tensor:
        first = functional.relu6(self.head(lr) * 0.05)
        spatial = torch.relu(self.depthwise(first)) + self.depthwise(first)
        small = functional.interpolate(torch.relu(self.down(first)), scale_factor=2)
        joined = torch.cat([spatial, small], dim=1)
        mixed = torch.relu(self.mix(joined) + first)
        return functional.pixel_shuffle(self.tail(mixed) * 8 + 128, 2).clamp(0, 255)


NAMES = ("ncnet", "abpn", "xlsr", "quicksrnet_s", "mixed")


def quantized(module: nn.Module) -> QuantizedGraph:
    torch.manual_seed(0)
    images = torch.randint(0, 256, (2, 24, 24, 3)).float()
    graph = lower(capture(module.eval(), name="net"))
    return quantize_graph(graph, [CalibrationBatch(inputs=images)]).quantized


@functools.cache
def network(name: str) -> QuantizedGraph:
    torch.manual_seed(0)
    return quantized(Mixed() if name == "mixed" else build_model(name, 3))


def edited(edit: Callable[[schema.ModelT], None]) -> bytes:
    """Write a small file after ``edit`` changed it."""
    import flatbuffers

    model = schema.ModelT.InitFromPackedBuf(write_int8(network("ncnet")))
    edit(model)
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def tensor(model: schema.ModelT, name: str) -> schema.TensorT:
    return next(one for one in model.subgraphs[0].tensors if one.name.decode() == name)


@pytest.mark.parametrize("io", ["int8", "uint8", "float32"])
@pytest.mark.parametrize("shape", [None, (24, 38)])
@pytest.mark.parametrize("name", NAMES)
def test_writing_what_was_read_gives_the_same_bytes(
    name: str, io: Io, shape: tuple[int, int] | None
) -> None:
    content = write_int8(network(name), io=io, shape=shape, metadata={"edgesr": "{}"})
    found = read_model(content)
    assert (found.io, found.shape, found.metadata) == (io, shape, {"edgesr": "{}"})
    again = write_int8(found.quantized, io=found.io, shape=found.shape, metadata=found.metadata)
    assert again == content


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("io", ["int8", "uint8", "float32"])
@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_was_read_is_bit_exact_on_every_family(
    name: str, io: Io, kernels: Kernels
) -> None:
    shape = (40, 52) if name == "mixed" else None
    content = write_int8(network(name), io=io, shape=shape)
    result = compare_family(content, read_model(content), made_pictures(3), kernels=kernels)
    assert result.values > 10_000
    assert result.mismatches == 0


def test_a_truncated_file_is_refused_wherever_it_ends() -> None:
    content = write_int8(network("ncnet"))
    for end in range(0, len(content), len(content) // 40):
        if end < len(content):
            with pytest.raises(CheckpointError, match=r"damaged or truncated|no TFL3 mark"):
                read_model(content[:end])


def test_flipped_bits_never_escape_as_a_traceback() -> None:
    content = write_int8(network("ncnet"))
    random = np.random.default_rng(0)
    for _ in range(150):
        damaged = bytearray(content)
        damaged[int(random.integers(8, len(content)))] ^= 1 << int(random.integers(8))
        with contextlib.suppress(EdgesrError):
            read_model(bytes(damaged))


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["body.0", "body.0/weight"])
def test_a_scale_that_no_kernel_takes_is_refused(name: str, scale: float) -> None:
    def edit(model: schema.ModelT) -> None:
        one = tensor(model, name)
        one.quantization.scale = np.full(len(one.quantization.scale), scale, np.float32)

    with pytest.raises(CheckpointError, match="positive finite number"):
        read_model(edited(edit))


def test_a_bias_on_another_grid_is_refused() -> None:
    def edit(model: schema.ModelT) -> None:
        grid = tensor(model, "body.0/bias").quantization
        grid.scale = grid.scale * 1.5

    with pytest.raises(CheckpointError, match="bias is not on the grid"):
        read_model(edited(edit))


def test_a_move_between_different_grids_is_refused() -> None:
    def edit(model: schema.ModelT) -> None:
        grid = tensor(model, "sr").quantization
        grid.zeroPoint = grid.zeroPoint + 1

    with pytest.raises(CheckpointError, match="different grids"):
        read_model(edited(edit))


def test_a_float_file_and_foreign_operators_are_refused() -> None:
    graph = lower(capture(build_model("ncnet", 2), name="ncnet"))
    with pytest.raises(CheckpointError, match="want an int8 or int16x8 file"):
        read_model(write_float32(graph))
    content = CASES["HARD_SWISH"](np.random.default_rng(0)).content
    with pytest.raises(CheckpointError, match=r"operator 0 \(HARD_SWISH\) is not simulated"):
        read_model(content)


def test_other_files_are_refused(tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(CheckpointError, match="no TFL3 mark"):
        read_model(b"\x89PNG\r\n\x1a\n" * 10)
    folder = tmp_path_factory.mktemp("none")
    with pytest.raises(CheckpointError, match="check the path"):
        read_model(folder / "none.tflite")
    with pytest.raises(CheckpointError, match="check the path"):
        read_model(folder)
    empty = ModelBuilder(name="empty", description="").finish({}, {}, {})
    with pytest.raises(CheckpointError, match="not one input"):
        read_model(empty)
