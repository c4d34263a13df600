"""edgesr.images: 8-bit values survive, photographs stand upright, everything else is refused."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from edgesr.errors import ImageError, OutputError
from edgesr.images import (
    Picture,
    can_write,
    list_images,
    read_image,
    read_picture,
    write_image,
    write_picture,
)

LOSSLESS = [".png", ".webp", ".tif", ".tiff", ".bmp"]
KEEPS_ALL = [".png", ".webp", ".tif"]
ORIENTATION = 0x0112
MAKE = 0x010F
EXPOSURE = 0x829A
PIXEL_WIDTH = 0xA002
EXIF_BLOCK = 0x8769

UPRIGHT: dict[int, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: np.rot90,
}


def noise(*shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(11).integers(0, 256, shape, dtype=np.uint8)


def png_16_bit(samples: NDArray[np.uint16], colour_type: int) -> bytes:
    """Encode 16-bit samples as PNG, which Pillow cannot do in colour."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)

    height, width = samples.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*item) for item in chunks)


@pytest.mark.parametrize("suffix", LOSSLESS)
def test_every_8_bit_value_survives_a_lossless_file(tmp_path: Path, suffix: str) -> None:
    levels = np.arange(256, dtype=np.uint8)
    rgb = np.stack([levels, levels[::-1], np.roll(levels, 85)], axis=-1).reshape(16, 16, 3)
    write_image(tmp_path / f"a{suffix}", rgb)
    np.testing.assert_array_equal(read_image(tmp_path / f"a{suffix}"), rgb)


def test_jpeg_is_written_without_chroma_subsampling(tmp_path: Path) -> None:
    write_image(tmp_path / "a.jpg", noise(32, 32, 3))
    with Image.open(tmp_path / "a.jpg") as image:
        assert [layer[1:3] for layer in image.layer] == [(1, 1)] * 3  # type: ignore[attr-defined]
    assert read_image(tmp_path / "a.jpg").shape == (32, 32, 3)


@pytest.mark.parametrize("suffix", KEEPS_ALL)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int, suffix: str) -> None:
    stored = noise(6, 4, 3)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    Image.fromarray(stored).save(tmp_path / f"a{suffix}", exif=exif, lossless=True)
    picture = read_picture(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(picture.rgb, UPRIGHT[orientation](stored))
    write_picture(tmp_path / f"b{suffix}", picture)
    np.testing.assert_array_equal(read_image(tmp_path / f"b{suffix}"), picture.rgb)


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif", ".jpg"])
def test_exif_is_kept_with_orientation_1_and_without_pixel_sizes(
    tmp_path: Path, suffix: str
) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    exif[MAKE] = "Maker"
    exif.get_ifd(EXIF_BLOCK).update({EXPOSURE: 0.5, PIXEL_WIDTH: 4})
    Image.fromarray(noise(6, 4, 3)).save(tmp_path / f"a{suffix}", exif=exif.tobytes())
    write_picture(tmp_path / f"b{suffix}", read_picture(tmp_path / f"a{suffix}"))
    with Image.open(tmp_path / f"b{suffix}") as image:
        kept = image.getexif()
        assert kept[MAKE] == "Maker"
        assert kept.get(ORIENTATION, 1) == 1
        block = kept.get_ifd(EXIF_BLOCK)
    assert block[EXPOSURE] == 0.5
    assert PIXEL_WIDTH not in block


def test_a_damaged_exif_block_does_not_lose_the_photograph(tmp_path: Path) -> None:
    pixels = noise(6, 4, 3)
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=b"Exif\0\0MM\0\x2a\0\0\xff\xff")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), pixels)


@pytest.mark.parametrize("suffix", KEEPS_ALL)
@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("transparent", [False, True])
def test_a_picture_survives(tmp_path: Path, suffix: str, *, grey: bool, transparent: bool) -> None:
    rgb = noise(5, 7, 1).repeat(3, axis=-1) if grey else noise(5, 7, 3)
    alpha = noise(5, 7) if transparent else None
    icc = b"\0" * 16 + (b"GRAY" if grey else b"RGB ") + b"\0" * 108
    write_picture(tmp_path / f"a{suffix}", Picture(rgb=rgb, alpha=alpha, grey=grey, icc=icc))
    picture = read_picture(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(picture.rgb, rgb)
    assert (picture.alpha is None) == (alpha is None)
    if picture.alpha is not None and alpha is not None:
        np.testing.assert_array_equal(picture.alpha, alpha)
    if suffix != ".webp":  # WebP has no grey
        assert picture.grey == grey
        assert picture.icc == icc


def test_a_colour_profile_for_other_channels_is_left_out(tmp_path: Path) -> None:
    icc = b"\0" * 16 + b"GRAY" + b"\0" * 108
    write_picture(tmp_path / "a.png", Picture(rgb=noise(3, 3, 3), icc=icc))
    assert read_picture(tmp_path / "a.png").icc is None


def test_grey_bilevel_and_palette_files_become_rgb(tmp_path: Path) -> None:
    grey = noise(5, 7)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(read_image(tmp_path / "grey.png"), np.stack([grey] * 3, axis=-1))
    Image.fromarray(grey > 127).save(tmp_path / "bilevel.png")
    assert set(read_image(tmp_path / "bilevel.png").ravel().tolist()) == {0, 255}
    palette = Image.fromarray(noise(5, 7, 3)).quantize(8)
    palette.save(tmp_path / "palette.png")
    expected = np.array(palette.convert("RGB"))
    np.testing.assert_array_equal(read_image(tmp_path / "palette.png"), expected)


def test_opaque_alpha_is_dropped_and_transparency_refused(tmp_path: Path) -> None:
    rgba = noise(4, 4, 4)
    rgba[..., 3] = 255
    Image.fromarray(rgba).save(tmp_path / "opaque.png")
    np.testing.assert_array_equal(read_image(tmp_path / "opaque.png"), rgba[..., :3])
    rgba[0, 0, 3] = 254
    Image.fromarray(rgba).save(tmp_path / "clear.png")
    with pytest.raises(ImageError, match=r"clear\.png: has transparent pixels, want opaque RGB"):
        read_image(tmp_path / "clear.png")


def test_a_transparent_colour_is_transparency(tmp_path: Path) -> None:
    rgb = noise(4, 4, 3)
    Image.fromarray(rgb).save(tmp_path / "key.png", transparency=tuple(rgb[2, 1].tolist()))
    picture = read_picture(tmp_path / "key.png")
    assert picture.alpha is not None
    assert picture.alpha[2, 1] == 0
    assert picture.alpha[0, 0] == 255


def write_bad_files(folder: Path) -> None:
    deep = np.random.default_rng(1).integers(0, 65536, (5, 4, 3), dtype=np.uint16)
    (folder / "deep_rgb.png").write_bytes(png_16_bit(deep, 2))
    (folder / "deep_grey.png").write_bytes(png_16_bit(deep[..., 0], 0))
    (folder / "deep_rgba.png").write_bytes(png_16_bit(deep.repeat(2, axis=-1)[..., :4], 6))
    (folder / "deep.ppm").write_bytes(b"P6 4 5 65535\n" + deep.astype(">u2").tobytes())
    tifffile.imwrite(folder / "deep.tif", deep)
    Image.new("F", (4, 4)).save(folder / "float.tif")
    Image.new("CMYK", (4, 4)).save(folder / "cmyk.jpg")
    frames = [Image.new("RGB", (4, 4), (level, 0, 0)) for level in (0, 255)]
    for name in ("moving.png", "moving.webp", "moving.gif", "pages.tif"):
        frames[0].save(folder / name, save_all=True, append_images=frames[1:])
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.png").write_text("no image")
    for suffix in (".png", ".jpg", ".webp", ".tif"):
        write_image(folder / f"whole{suffix}", noise(64, 64, 3))
        content = (folder / f"whole{suffix}").read_bytes()
        (folder / f"short{suffix}").write_bytes(content[: len(content) // 2])
    damaged = bytearray((folder / "whole.png").read_bytes())
    damaged[100] ^= 255
    (folder / "flipped.png").write_bytes(damaged)
    (folder / "folder.png").mkdir()


BAD_FILES = {
    "deep_rgb.png": r"16 bits a channel or more \(RGB\), want 8 bits a channel; convert it first",
    "deep_grey.png": "16 bits a channel",
    "deep_rgba.png": "16 bits a channel",
    "deep.ppm": "16 bits a channel",
    "deep.tif": "16 bits a channel",
    "float.tif": "floating point, want 8 bits",
    "cmyk.jpg": "is CMYK, want RGB or grey",
    "moving.png": "holds 2 frames, want a still image",
    "moving.webp": "holds 2 frames",
    "moving.gif": "holds 2 frames",
    "pages.tif": "holds 2 frames",
    "empty.png": "found an empty file, want one of png",
    "text.png": "found 8 bytes of no known image format",
    "short.png": "damaged or cut short",
    "short.jpg": "damaged or cut short",
    "short.webp": "damaged or cut short|no known image format",
    "short.tif": "damaged or cut short|no known image format",
    "flipped.png": "damaged or cut short",
    "folder.png": "is a folder, want an image file",
    "missing.png": "no such file; check the path",
}


@pytest.fixture(scope="module")
def bad_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bad")
    write_bad_files(folder)
    return folder


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_gives_one_line_that_names_it(bad_files: Path, name: str) -> None:
    with pytest.raises(ImageError, match=BAD_FILES[name]) as caught:
        read_image(bad_files / name)
    assert str(caught.value).startswith(f"{bad_files / name}: ")
    assert "\n" not in str(caught.value)


def test_what_a_format_cannot_hold_is_refused_before_writing(tmp_path: Path) -> None:
    rgb = noise(2, 2, 3)
    with pytest.raises(ImageError, match=r"cannot write suffix '\.xyz'; use one of \.png"):
        write_image(tmp_path / "a.xyz", rgb)
    with pytest.raises(ImageError, match="JPEG holds no transparency"):
        write_picture(tmp_path / "a.jpg", Picture(rgb=rgb, alpha=rgb[..., 0]))
    with pytest.raises(ImageError, match="over WEBP's limit of 16383"):
        write_image(tmp_path / "a.webp", np.zeros((1, 16384, 3), dtype=np.uint8))
    assert list(tmp_path.iterdir()) == []
    assert can_write(tmp_path / "a.PNG", alpha=True)
    assert not can_write(tmp_path / "a.jpg", alpha=True)


def test_a_path_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="cannot be written"):
        write_image(tmp_path / "file" / "a.png", noise(2, 2, 3))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_images_of_a_folder_are_listed_by_name(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.jpg", ".hidden.png", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "folder.png").mkdir()
    assert [path.name for path in list_images(tmp_path)] == ["a.jpg", "b.PNG"]
    with pytest.raises(ImageError, match="cannot be listed"):
        list_images(tmp_path / "missing")
