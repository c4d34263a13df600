"""Packed convolutions are the float ones: sums equal, whatever the instruction set."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from torch.nn import functional

from edgesr.binary import packed_kernel
from edgesr.binary.conv import BinaryConv2d, group_of
from edgesr.binary.packed import PackedConv2d, parts_of
from edgesr.binary.packed_build import load_kernel
from edgesr.binary.packed_kernel import available_kernels, find_kernel, packed_convolve
from edgesr.binary.packed_weights import MAX_INPUTS, SIDES, arrange
from edgesr.binary.style import STYLES, BinaryStyle, find_style
from edgesr.errors import DataError, GraphError, MissingDependencyError, UsageError

KERNELS = available_kernels()
SHAPES = [
    # channels, side, height, width
    (8, 3, 5, 7),
    (13, 3, 4, 5),
    (24, 1, 3, 9),
    (32, 3, 8, 8),
    (40, 3, 1, 9),
    (64, 3, 9, 1),
    (64, 1, 1, 1),
    (72, 3, 1, 1),
    (96, 3, 2, 2),
    (128, 3, 6, 5),
    (200, 3, 4, 13),
    (200, 1, 5, 6),
]


def layer(channels: int, side: int, style: BinaryStyle) -> BinaryConv2d:
    torch.manual_seed(channels)
    conv = BinaryConv2d(channels, side, style=style)
    with torch.no_grad():
        for name in ("shift", "before", "bend", "after"):
            if getattr(conv, name, None) is not None:
                getattr(conv, name).normal_(0, 0.3)
    return conv


def float_sums(conv: BinaryConv2d, image: torch.Tensor, group: int) -> torch.Tensor:
    assert conv.shift is not None
    bits = torch.where(image + conv.shift[group][:, None, None] >= 0, 1.0, -1.0)
    outside = 1.0 if conv.style.padding == "one" else 0.0
    bits = functional.pad(bits, (conv.size // 2,) * 4, value=outside)
    return functional.conv2d(bits, conv.parts()[0]).to(torch.int32)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("padding", ["one", "zero"])
def test_sums_equal_the_float_layers_and_results_follow(
    kernel: str, padding: Literal["one", "zero"]
) -> None:
    style = replace(find_style("bidiffsr"), padding=padding)
    group = torch.tensor([1, 4])
    for channels, side, height, width in SHAPES:
        conv = layer(channels, side, style)
        packed = PackedConv2d(parts_of(conv), kernel=kernel)
        images = torch.randn(2, channels, height, width)
        with torch.no_grad():
            assert torch.equal(packed.sums(images, 4), float_sums(conv, images, 4)), channels
            wanted, found = conv(images, group), packed(images, group)
        assert float((wanted - found).abs().max()) < 1e-5, (channels, side)


@pytest.mark.parametrize("name", STYLES)
def test_every_style_has_a_packed_form(name: str) -> None:
    conv = layer(40, 3, find_style(name))
    packed = PackedConv2d(parts_of(conv))
    images = torch.randn(2, 40, 6, 7)
    group = torch.tensor([0, 2]) if conv.style.groups > 1 else None
    with torch.no_grad():
        wanted, found = conv(images, group), packed(images, group)
    assert float((wanted - found).abs().max()) < 2e-5 * float(wanted.abs().max().clamp(min=1))


def test_all_kernels_and_threads_give_the_same_bits() -> None:
    conv = layer(64, 3, replace(find_style("bidm"), groups=2))
    images, group = torch.randn(1, 64, 23, 30), torch.tensor([1])
    made = {name: PackedConv2d(parts_of(conv), kernel=name)(images, group) for name in KERNELS}
    for name, one in made.items():
        assert torch.equal(one, made["numpy"]), name
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        assert torch.equal(PackedConv2d(parts_of(conv))(images, group), made["numpy"])
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("kernel", KERNELS)
def test_zeros_are_plus_one_and_nan_is_minus_one(kernel: str) -> None:
    conv = BinaryConv2d(8, 1, style=replace(find_style("bnn"), padding="zero"))
    with torch.no_grad():
        conv.weight.fill_(1.0)
    packed = PackedConv2d(parts_of(conv), kernel=kernel)
    for value, wanted in ((0.0, 8), (-0.0, 8), (1e-45, 8), (-1e-45, -8), (float("nan"), -8)):
        sums = packed.sums(torch.full((1, 8, 1, 1), value))
        assert torch.equal(sums, torch.full_like(sums, wanted)), value


def test_layouts_in_memory_do_not_matter() -> None:
    packed = PackedConv2d(parts_of(layer(16, 3, find_style("bbcu"))))
    images = torch.randn(1, 16, 6, 8)
    wide = torch.randn(1, 32, 6, 8)
    wide[:, 1::2] = images
    wanted = packed(images)
    assert torch.equal(packed(images.contiguous(memory_format=torch.channels_last)), wanted)
    assert torch.equal(packed(wide[:, 1::2]), wanted)


def test_wrong_use_is_refused() -> None:
    conv = layer(16, 3, find_style("bidiffsr"))
    packed = PackedConv2d(parts_of(conv))
    image = torch.randn(1, 16, 4, 4)
    with pytest.raises(DataError, match="5 groups of timesteps"):
        packed(image)
    with pytest.raises(DataError, match="group 5: want 0 to 4"):
        packed(image, torch.tensor([5]))
    with pytest.raises(DataError, match="timestep 2001 is outside"):
        packed(image, group_of(torch.tensor([2001]), conv.style))
    with pytest.raises(DataError, match="no gradient"):
        packed(image.clone().requires_grad_(), torch.tensor([0]))
    with pytest.raises(DataError, match="float64"):
        packed(image.double(), torch.tensor([0]))
    with pytest.raises(DataError, match="want \\(h, w, 16\\)"):
        packed(image[:, :8], torch.tensor([0]))
    strided = image[0].permute(1, 2, 0).numpy()
    with pytest.raises(DataError, match="want contiguous float32"):
        packed_convolve(packed.weights, strided, packed.tables[0])
    for side in (2, 5):
        with pytest.raises(GraphError, match="cannot be packed"):
            arrange(np.zeros((4, 4, side, side), np.bool_), "numpy")


def test_a_kernel_can_be_forced_and_a_wrong_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_kernel("numpy") == "numpy"
    monkeypatch.setenv("EDGESR_BITS", "numpy")
    assert find_kernel() == "numpy"
    with pytest.raises(UsageError, match="kernel = 'mmx'"):
        find_kernel("mmx")
    monkeypatch.setenv("EDGESR_BITS", "amx")
    with pytest.raises(UsageError, match=r"\$EDGESR_BITS = 'amx'"):
        find_kernel()
    other = next(name for name in ("neon", "avx2") if name not in KERNELS)
    with pytest.raises(MissingDependencyError):
        find_kernel(other)


@pytest.fixture
def fresh() -> Iterator[None]:
    def forget() -> None:
        load_kernel.cache_clear()
        packed_kernel._best.cache_clear()

    forget()
    yield
    forget()


@pytest.mark.usefixtures("fresh")
def test_without_a_compiler_numpy_runs_and_says_so_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    assert (find_kernel(), find_kernel()) == ("numpy", "numpy")
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert "no C compiler was found ($CC = no-such-compiler)" in said[0]
    with pytest.raises(MissingDependencyError, match="no C compiler"):
        find_kernel("avx2")


@pytest.mark.usefixtures("fresh")
def test_a_failing_compiler_is_quoted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CC", "false")
    monkeypatch.setenv("EDGESR_CACHE", str(tmp_path))
    with pytest.raises(MissingDependencyError, match=r"cannot compile bits\.c"):
        load_kernel()
    assert not list(tmp_path.rglob("*.so"))


@pytest.mark.skipif(KERNELS == ("numpy",), reason="needs a C compiler")
@pytest.mark.usefixtures("fresh")
def test_the_kernel_is_built_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EDGESR_CACHE", str(tmp_path))
    monkeypatch.setenv("CFLAGS", "-O1")
    load_kernel()
    (built,) = tmp_path.rglob("*.so")
    load_kernel.cache_clear()
    monkeypatch.setattr("edgesr.binary.packed_build.subprocess.run", None)
    load_kernel()
    assert list(tmp_path.rglob("*")) == [built.parent, built]


def test_older_numpy_counts_by_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    conv = layer(24, 3, find_style("bidiffsr"))
    packed = PackedConv2d(parts_of(conv), kernel="numpy")
    images = torch.randn(1, 24, 3, 4)
    wanted = packed.sums(images)
    monkeypatch.delattr(np, "bitwise_count", raising=False)
    assert torch.equal(packed.sums(images), wanted)


def test_the_kernel_has_room_for_the_widest_window() -> None:
    """The words of a window lie on its stack, so its limit must be that of ``arrange``."""
    text = Path(packed_kernel.__file__).with_name("kernel").joinpath("bits.c").read_text()
    assert f"MAX_WORDS = {max(SIDES) ** 2} * {MAX_INPUTS} / 64 " in text
