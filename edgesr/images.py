"""Read and write image files with every 8-bit value kept, the right way up.

``read_image`` and ``write_image`` serve training and evaluation: RGB and nothing else.
``read_picture`` and ``write_picture`` serve photographs: transparency, grey, colour profile and
EXIF travel with the pixels. What 8-bit RGB cannot hold (16 bits a channel, CMYK, floats,
animations) is refused by name rather than cut down silently.
"""

import struct
import warnings
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from edgesr.errors import ImageError
from edgesr.files import atomic_path

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".ppm")
"""Suffixes, in lower case, of the files that are read."""

_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "PPM", "GIF")
_WRITERS: Mapping[str, tuple[str, Mapping[str, Any]]] = MappingProxyType(
    {
        ".png": ("PNG", {"compress_level": 1}),
        ".jpg": ("JPEG", {"quality": 95, "subsampling": 0}),
        ".jpeg": ("JPEG", {"quality": 95, "subsampling": 0}),
        ".webp": ("WEBP", {"lossless": True, "exact": True, "quality": 30, "method": 1}),
        ".tif": ("TIFF", {}),  # compressed ones lose their EXIF in libtiff
        ".tiff": ("TIFF", {}),
        ".bmp": ("BMP", {}),
    }
)
_LONGEST_SIDE = MappingProxyType({"JPEG": 65_500, "WEBP": 16_383})
_HOLDS_ALPHA = ("PNG", "WEBP", "TIFF")
_DECODE_ERRORS = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error)
_KEPT_EXIF = ("ImageDescription", "Make", "Model", "Software", "DateTime", "Artist", "Copyright")
_OPAQUE = 255


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A photograph with all that a file can say about it.

    Attributes:
        rgb: ``(h, w, 3)`` uint8, orientation applied; grey files repeat their channel.
        alpha: ``(h, w)`` uint8 opacity, or None where the file has none.
        grey: the file held grey rather than colour.
        icc: colour profile, or None.
        exif: EXIF block with orientation 1 and without the thumbnail, or None.
    """

    rgb: NDArray[np.uint8]
    alpha: NDArray[np.uint8] | None = None
    grey: bool = False
    icc: bytes | None = None
    exif: bytes | None = None


def list_images(folder: Path) -> list[Path]:
    """Return the image files directly inside ``folder``, sorted by name; hidden ones left out.

    Raises:
        ImageError: the folder does not exist or cannot be listed.
    """
    try:
        entries = sorted(Path(folder).iterdir())
    except OSError as error:
        raise ImageError(
            f"{folder}: cannot be listed ({error.strerror}); check the path"
        ) from error
    return [
        entry
        for entry in entries
        if entry.suffix.lower() in IMAGE_SUFFIXES
        and not entry.name.startswith(".")
        and entry.is_file()
    ]


def read_size(path: Path) -> tuple[int, int]:
    """Return width and height of the stored pixels; nothing is decoded.

    Raises:
        ImageError: the file is missing or no image.
    """
    with _open(path) as image:
        return image.size


def read_image(path: Path) -> NDArray[np.uint8]:
    """Return ``path`` as ``(h, w, 3)`` RGB uint8 with the EXIF orientation applied.

    Grey and palette images become RGB; an alpha channel that is opaque everywhere is dropped.

    Raises:
        ImageError: the file is missing, damaged, animated, transparent or not 8 bits a channel.
    """
    picture = read_picture(path)
    if picture.alpha is not None and picture.alpha.min() < _OPAQUE:
        raise ImageError(f"{path}: has transparent pixels, want opaque RGB; flatten it first")
    return picture.rgb


def write_image(path: Path, rgb: NDArray[np.uint8]) -> None:
    """Write ``(h, w, 3)`` RGB uint8 to ``path`` atomically, in the format that its suffix names.

    PNG, WebP, TIFF and BMP are lossless; JPEG is quality 95 without chroma subsampling.

    Raises:
        ImageError: the suffix is unknown or the format cannot hold the image.
        OutputError: the file cannot be written.
    """
    write_picture(path, Picture(rgb=rgb))


def read_picture(path: Path) -> Picture:
    """Return ``path`` with transparency, colour profile and EXIF.

    Raises:
        ImageError: the file is missing, damaged, animated or not 8 bits a channel.
    """
    path = Path(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of what is refused or forgiven below
        upright, exif = _decode(path)
    icc = upright.info.get("icc_profile")
    if upright.mode == "1":
        upright = upright.convert("L")
    grey = upright.mode in {"L", "LA"}
    if "A" in upright.getbands() or "transparency" in upright.info:
        rgba = np.array(upright.convert("RGBA"))
        return Picture(
            rgb=np.ascontiguousarray(rgba[..., :3]),
            alpha=np.ascontiguousarray(rgba[..., 3]),
            grey=grey,
            icc=icc,
            exif=exif,
        )
    return Picture(rgb=np.array(upright.convert("RGB")), grey=grey, icc=icc, exif=exif)


def write_picture(path: Path, picture: Picture) -> None:
    """Write ``picture`` to ``path`` atomically, in the format that its suffix names.

    A grey picture is written with one channel: its red one.

    Raises:
        ImageError: the suffix is unknown, or the format has no transparency or not that size.
        OutputError: the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in _WRITERS:
        wanted = " ".join(_WRITERS)
        raise ImageError(f"{path}: cannot write suffix {path.suffix!r}; use one of {wanted}")
    kind, options = _WRITERS[path.suffix.lower()]
    height, width = picture.rgb.shape[:2]
    limit = _LONGEST_SIDE.get(kind)
    if limit is not None and max(height, width) > limit:
        raise ImageError(f"{path}: {width}x{height} is over {kind}'s limit of {limit}; use .png")
    if picture.alpha is not None and kind not in _HOLDS_ALPHA:
        raise ImageError(f"{path}: {kind} holds no transparency; use .png or .webp")
    icc = picture.icc if _profile_fits(picture) else None
    metadata = {"icc_profile": icc, "exif": picture.exif}
    known = {key: value for key, value in metadata.items() if value and kind != "BMP"}
    with atomic_path(path) as temporary:
        _to_pillow(picture).save(temporary, format=kind, **options, **known)


def can_write(path: Path, *, alpha: bool) -> bool:
    """Tell whether the format that the suffix of ``path`` names is written (with transparency)."""
    writer = _WRITERS.get(Path(path).suffix.lower())
    return writer is not None and (not alpha or writer[0] in _HOLDS_ALPHA)


def _decode(path: Path) -> tuple[Image.Image, bytes | None]:
    with _open(path) as image:
        _check_kind(path, image)
        early = _kept_exif(image) if image.format == "TIFF" else None  # load closes a TIFF,
        try:
            image.load()  # and finds EXIF that stands behind a PNG's pixels
            return ImageOps.exif_transpose(image), early or _kept_exif(image)
        except _DECODE_ERRORS as error:
            raise _damaged(path, error) from error


def _open(path: Path) -> Image.Image:
    Image.init()  # Pillow looks up names in formats= without loading their plugins
    try:
        return Image.open(path, formats=_FORMATS)
    except FileNotFoundError as error:
        raise ImageError(f"{path}: no such file; check the path") from error
    except IsADirectoryError as error:
        raise ImageError(f"{path}: is a folder, want an image file") from error
    except UnidentifiedImageError as error:
        size = path.stat().st_size
        found = f"{size} bytes of no known image format" if size else "an empty file"
        wanted = ", ".join(suffix[1:] for suffix in IMAGE_SUFFIXES)
        raise ImageError(f"{path}: found {found}, want one of {wanted}") from error
    except Image.DecompressionBombError as error:
        raise ImageError(f"{path}: too large ({_one_line(error)}); cut it into parts") from error
    except _DECODE_ERRORS as error:
        raise _damaged(path, error) from error


def _check_kind(path: Path, image: Image.Image) -> None:
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":  # a phone's MPO is a photograph plus previews
        raise ImageError(f"{path}: holds {frames} frames, want a still image; extract one first")
    deep = image.mode.startswith(("I", "F")) or any(
        _is_16_bit(tile) for tile in getattr(image, "tile", ())
    )
    if deep:
        raise ImageError(f"{path}: is {_depth(image)}, want 8 bits a channel; convert it first")
    if image.mode not in {"1", "L", "LA", "P", "PA", "RGB", "RGBA"}:
        raise ImageError(f"{path}: is {image.mode}, want RGB or grey; convert it to sRGB first")
    if min(image.size) < 1:
        raise ImageError(f"{path}: is {image.width}x{image.height}, want at least one pixel")


def _is_16_bit(tile: Any) -> bool:
    """Tell whether Pillow will cut the samples of ``tile`` down to 8 bits while decoding."""
    arguments = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
    raw_mode = next((str(item) for item in arguments if isinstance(item, str)), "")
    deep_ppm = tile[0] in {"ppm", "ppm_plain"} and arguments[-1] > _OPAQUE
    return ";16" in raw_mode or deep_ppm


def _depth(image: Image.Image) -> str:
    return "floating point" if image.mode == "F" else f"16 bits a channel or more ({image.mode})"


def _kept_exif(image: Image.Image) -> bytes | None:
    """Return the descriptive EXIF tags; structure, orientation and thumbnail are left behind."""
    try:
        source = image.getexif()
        kept = Image.Exif()
        for name in _KEPT_EXIF:
            tag = ExifTags.Base[name].value
            if tag in source:
                kept[tag] = source[tag]
        for block in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
            tags = dict(source.get_ifd(block))
            for size in (ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight):
                tags.pop(size.value, None)
            if tags:
                kept[block.value] = tags
        if not len(kept):
            return None
        kept[ExifTags.Base.Orientation.value] = 1
        return kept.tobytes()
    except (*_DECODE_ERRORS, KeyError, TypeError, AttributeError):
        return None  # an EXIF block that cannot be parsed is no reason to lose the photograph


def _profile_fits(picture: Picture) -> bool:
    """Tell whether the colour profile is for grey or for RGB as the picture is (ICC.1, 7.2.6)."""
    wanted = b"GRAY" if picture.grey else b"RGB "
    return picture.icc is not None and picture.icc[16:20] == wanted


def _to_pillow(picture: Picture) -> Image.Image:
    colours = picture.rgb[..., :1] if picture.grey else picture.rgb
    if picture.alpha is not None:
        colours = np.concatenate([colours, picture.alpha[..., None]], axis=-1)
    return Image.fromarray(
        np.ascontiguousarray(colours.squeeze(-1) if colours.shape[-1] == 1 else colours)
    )


def _damaged(path: Path, error: BaseException) -> ImageError:
    return ImageError(f"{path}: damaged or cut short ({_one_line(error)}); get a whole copy")


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
