"""Published numbers, with where each was read and whether it was."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from edgesr.bench import datafiles
from edgesr.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A number that tables give.

    Attributes:
        title: heading, with its unit.
        higher_is_better: whether more of it ranks first.
        digits: decimals worth printing.
    """

    title: str
    higher_is_better: bool = False
    digits: int = 2


MEASURES: Mapping[str, Measure] = MappingProxyType(
    {
        "psnr": Measure(title="PSNR dB", higher_is_better=True),
        "psnr_val": Measure(title="PSNR val dB", higher_is_better=True),
        "psnr_test": Measure(title="PSNR test dB", higher_is_better=True),
        "psnr_float": Measure(title="PSNR float dB", higher_is_better=True),
        "psnr_y": Measure(title="PSNR Y dB", higher_is_better=True),
        "ssim": Measure(title="SSIM", higher_is_better=True, digits=4),
        "ssim_y": Measure(title="SSIM Y", higher_is_better=True, digits=4),
        "runtime_ms": Measure(title="runtime ms"),
        "runtime_val_ms": Measure(title="runtime val ms"),
        "runtime_test_ms": Measure(title="runtime test ms"),
        "params_m": Measure(title="params M", digits=3),
        "flops_g": Measure(title="FLOPs G"),
        "activations_m": Measure(title="activations M"),
        "memory_mib": Measure(title="memory MiB"),
        "convs": Measure(title="convs", digits=0),
        "quality": Measure(title="quality score", higher_is_better=True),
        "speedup": Measure(title="speed-up", higher_is_better=True),
    }
)
"""The numbers of ``Baseline``, by name."""


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """One row of a table: a published result, or one of yours.

    Numbers that the source does not give are None. FLOPs are multiply-accumulates, as the field
    counts them.

    Attributes:
        name: network or team.
        evidence: ``verified`` in the source, ``recalled`` from memory, or your ``own``.
        verified: the numbers of a recalled row that were verified after all.
        source: paper, table or commit.
        device: that the runtime stands for.
        dataset: that the quality stands for, where it is not the suite's.
        precision: such as ``int8``.
        note: what a reader should know.
        rank: published place.
        score: published score.
    """

    name: str
    evidence: Literal["verified", "recalled", "own"] = "own"
    verified: tuple[str, ...] = ()
    source: str = ""
    device: str = ""
    dataset: str = ""
    precision: str = ""
    note: str = ""
    rank: int | None = None
    score: float | None = None
    psnr: float | None = None
    psnr_val: float | None = None
    psnr_test: float | None = None
    psnr_float: float | None = None
    psnr_y: float | None = None
    ssim: float | None = None
    ssim_y: float | None = None
    runtime_ms: float | None = None
    runtime_val_ms: float | None = None
    runtime_test_ms: float | None = None
    params_m: float | None = None
    flops_g: float | None = None
    activations_m: float | None = None
    memory_mib: float | None = None
    convs: float | None = None
    quality: float | None = None
    speedup: float | None = None

    def value(self, measure: str) -> float | None:
        """Return the number of that name in ``MEASURES``, or None where it is not known."""
        found: float | None = getattr(self, measure)
        return found

    def evidence_of(self, measure: str) -> str:
        """Return whether that number was verified."""
        return "verified" if measure in self.verified else self.evidence


@dataclass(frozen=True, kw_only=True)
class _Table:
    name: str
    title: str
    source: str
    suite: str
    rows: tuple[Baseline, ...]
    device: str = ""
    precision: str = ""
    unknown: tuple[str, ...] = ()


def baseline_names() -> list[str]:
    """Return the names that ``load_baselines`` takes."""
    return datafiles.names("baselines")


def load_baselines(name: str) -> tuple[Baseline, ...]:
    """Return the rows of a table of ``benchmarks/baselines``, as published.

    Raises:
        ConfigError: it is unknown, or its file is wrong.
    """
    path, table = _table(name)
    rows = []
    for row in table.rows:
        _check(row, f"{path}: {row.name}")
        rows.append(
            replace(
                row,
                source=row.source or table.source,
                device=row.device or table.device,
                precision=row.precision or table.precision,
            )
        )
    return tuple(rows)


def unknown_facts(name: str) -> tuple[str, ...]:
    """Return what is not known about a table, in sentences."""
    return _table(name)[1].unknown


def _table(name: str) -> tuple[str, _Table]:
    path, values = datafiles.load("baselines", name)
    table = datafiles.decode(_Table, values, str(path))
    if table.name != name:
        raise ConfigError(f"{path}: name = {table.name!r}, want the file's name {name!r}")
    return str(path), table


def _check(row: Baseline, where: str) -> None:
    if row.evidence == "own":
        raise ConfigError(f"{where}: evidence is missing; want verified or recalled")
    check_numbers(row, where)
    strange = [key for key in row.verified if key not in {*MEASURES, "score", "rank"}]
    if strange:
        raise ConfigError(f"{where}: verified names {strange[0]}, which is no number of a row")


def check_numbers(row: Baseline, where: str) -> None:
    """Refuse numbers that cannot be.

    Raises:
        ConfigError: one is not positive.
    """
    for name in MEASURES:
        number = row.value(name)
        if number is not None and number <= 0:
            raise ConfigError(f"{where}: {name} = {number:g}: want more than 0")
