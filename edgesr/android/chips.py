"""What is known of a phone's chip: the TOML files of ``android_bench/devices``."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from typing import Any

from edgesr.datafiles import decode, read_table
from edgesr.resources import data_dir

FOLDER = "android_bench/devices"


@dataclass(frozen=True, kw_only=True)
class Chip:
    """One system on a chip.

    Attributes:
        model: as ``ro.soc.model`` has it, such as ``SM8650``.
        platforms: values of ``ro.board.platform``, for Android 11 and older.
        hexagon: generation of Qualcomm's NPU.
        vtcm_mb: its own memory, MiB.
        neuropilot: version of MediaTek's runtime that LiteRT recommends.
        clusters: kinds of cores, for people.
        gpu: name.
        note: what others met on it.
    """

    model: str
    platforms: tuple[str, ...] = ()
    hexagon: str | None = None
    vtcm_mb: int | None = None
    neuropilot: str | None = None
    clusters: tuple[str, ...] = ()
    gpu: str | None = None
    note: str | None = None


@dataclass(frozen=True, kw_only=True)
class Maker:
    """A maker's chips.

    Attributes:
        maker: name.
        npu: what its NPU is called.
        backends: of ``edgesr device bench`` that reach the NPU.
        litert_plugin: folder of LiteRT's compiler plugin.
        soc: chips.
        sources: where facts are from, by key.
    """

    maker: str
    npu: str
    backends: tuple[str, ...]
    litert_plugin: str
    soc: tuple[Chip, ...]
    sources: Mapping[str, str] = field(default_factory=dict)


@cache
def makers() -> tuple[Maker, ...]:
    """Return every maker that is known.

    Raises:
        ConfigError: a file is damaged or holds what is not understood.
    """
    found = []
    for path in sorted(data_dir(FOLDER).glob("*.toml")):
        values = read_table(path)
        sources = values.pop("sources", {})
        found.append(replace(decode(Maker, values, str(path)), sources=sources))
    return tuple(found)


def chip_facts(soc_model: str | None, platform: str | None) -> dict[str, Any] | None:
    """Return what is known of a chip, as JSON values; None for one that is in no file.

    Args:
        soc_model: ``ro.soc.model``; makers add letters to it, such as ``SM8650-AC``.
        platform: ``ro.board.platform``, asked where the other is missing.
    """
    for maker in makers():
        for chip in maker.soc:
            if _is(chip, soc_model, platform):
                facts = {key: value for key, value in asdict(chip).items() if value}
                facts.pop("platforms", None)
                return {
                    "maker": maker.maker,
                    "npu": maker.npu,
                    "backends": list(maker.backends),
                    "litert_plugin": maker.litert_plugin,
                    **{k: list(v) if isinstance(v, tuple) else v for k, v in facts.items()},
                }
    return None


def _is(chip: Chip, soc_model: str | None, platform: str | None) -> bool:
    if soc_model:
        return bool(re.match(re.escape(chip.model) + r"(?![0-9])", soc_model, re.IGNORECASE))
    known = {chip.model.lower(), *chip.platforms}
    return platform is not None and platform.lower() in known
