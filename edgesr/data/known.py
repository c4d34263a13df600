"""Image sets with a lasting address, a licence and a published checksum.

Set5, Set14, BSD100 and Urban100 are missing on purpose: their copies on the web have neither a
lasting address nor a licence. Whoever has them names the folder.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, kw_only=True)
class KnownSet:
    """One zip archive of images.

    Attributes:
        name: key in ``KNOWN_SETS``.
        title: one line for listings.
        url: address of the archive.
        bytes: size of the archive.
        sha256: of the archive.
        folder: the one folder that it unpacks to, below the folder of the user's choice.
        licence: what the owners allow.
        source: page and paper that describe it.
    """

    name: str
    title: str
    url: str
    bytes: int
    sha256: str
    folder: str
    licence: str
    source: str


_DIV2K_URL = "https://data.vision.ee.ethz.ch/cvl/DIV2K/"
_DIV2K_LICENCE = (
    "DIV2K is for academic research only; the copyright of its images belongs to their owners"
)
_DIV2K_SOURCE = f"{_DIV2K_URL} (Agustsson and Timofte, NTIRE 2017)"


def _div2k(part: str, title: str, size: int, sha256: str) -> KnownSet:
    name, _, scale = part.partition("_bicubic_")
    folder = f"DIV2K_{name}_bicubic/{scale}" if scale else f"DIV2K_{name}"
    return KnownSet(
        name=f"div2k_{part}".lower().replace("_bicubic", ""),
        title=title,
        url=f"{_DIV2K_URL}DIV2K_{part}.zip",
        bytes=size,
        sha256=sha256,
        folder=folder,
        licence=_DIV2K_LICENCE,
        source=_DIV2K_SOURCE,
    )


KNOWN_SETS: Mapping[str, KnownSet] = MappingProxyType(
    {
        "div2k_train_hr": _div2k(
            "train_HR",
            "800 photographs of 2K",
            3_530_603_713,
            "9d0b9c463f6e35b6c62cc6a930ee2224f670b34c1df841a57670f9acf0f6c335",
        ),
        "div2k_train_lr_x2": _div2k(
            "train_LR_bicubic_X2",
            "their low resolution, x2",
            925_390_592,
            "a53a424317575838dadce4bcd97cf7b744d6855f43740ed5f0245af3cf4bd850",
        ),
        "div2k_train_lr_x3": _div2k(
            "train_LR_bicubic_X3",
            "their low resolution, x3",
            427_847_282,
            "ad5c8e5507e2765823d3c2c5bd0934842efcd487c5370604c224090898b3163a",
        ),
        "div2k_train_lr_x4": _div2k(
            "train_LR_bicubic_X4",
            "their low resolution, x4",
            246_914_039,
            "f006b837f4eb52b82909aa01478e6d6d199eefce932179491d0c9dbb706dde3a",
        ),
        "div2k_valid_hr": _div2k(
            "valid_HR",
            "100 photographs of 2K for validation",
            448_993_893,
            "20dd31fd84d777bc1cf5d6b7654a3f569c0aec74458ae094122ad1d0489900fc",
        ),
        "div2k_valid_lr_x2": _div2k(
            "valid_LR_bicubic_X2",
            "their low resolution, x2",
            117_763_600,
            "60eed9875c697df51204aa579e2a699e1d5215095788a097ff54dd17e2664d57",
        ),
        "div2k_valid_lr_x3": _div2k(
            "valid_LR_bicubic_X3",
            "their low resolution, x3",
            54_513_392,
            "04b9a2ed3b4a0715d3924d3ae8514830c3328fac8d30512ce716d6f419e052a3",
        ),
        "div2k_valid_lr_x4": _div2k(
            "valid_LR_bicubic_X4",
            "their low resolution, x4",
            31_505_881,
            "a50a5d1c4b88de4e8d300d8fb2b904c52fe93b2b298a4899697760d7cbb6d553",
        ),
    }
)
"""Sizes and SHA-256 as published in the checksum lists of TensorFlow Datasets (div2k)."""
