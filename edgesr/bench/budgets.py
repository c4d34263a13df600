"""The limits of the gate: ``benchmarks/budgets.toml``, a file of yours, then flags."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgesr.bench import datafiles
from edgesr.bench.statistics import CONFIDENCE, RESAMPLES
from edgesr.errors import ConfigError
from edgesr.metrics import PROTOCOLS
from edgesr.resources import data_dir

DEFAULT_DROP_DB = 0.1
DEFAULT_REGRESSION_DB = 0.01
DEFAULT_LATENCY_RATIO = 1.1


@dataclass(frozen=True, kw_only=True)
class Budgets:
    """What a model must keep to; None is no limit.

    A limit that is set and cannot be checked fails. A file to compare with brings the default
    limit of its comparison where none is set.

    Attributes:
        protocol: of PSNR, a key of ``PROTOCOLS``.
        confidence: that a loss is real, one-sided, before it fails.
        resamples: of the bootstrap.
        seed: of the bootstrap.
        strict: fail as well where it is not shown, with that confidence, that a limit is kept.
        max_drop_db: loss of mean PSNR against the float reference.
        max_regression_db: loss of mean PSNR against the stored baseline.
        min_psnr_db: mean PSNR.
        max_colour_bias: mean of SR minus HR in grey levels, of any channel.
        max_bytes: size of the file.
        forbidden_ops: operators, or patterns such as ``*TRANSPOSE*``.
        exact: want the proof that file and integer simulation agree in every value.
        max_latency_ratio: run time over that of the latency reference, in the same run.
        latency_shape: height and width of the image that is timed.
        latency_repeats: paired repetitions.
    """

    protocol: str = "mai"
    confidence: float = CONFIDENCE
    resamples: int = RESAMPLES
    seed: int = 0
    strict: bool = False
    max_drop_db: float | None = None
    max_regression_db: float | None = None
    min_psnr_db: float | None = None
    max_colour_bias: float | None = None
    max_bytes: int | None = None
    forbidden_ops: tuple[str, ...] = ()
    exact: bool = False
    max_latency_ratio: float | None = None
    latency_shape: tuple[int, int] = (180, 320)
    latency_repeats: int = 21


def default_budgets_file() -> Path:
    """Return the file that holds where no other is named."""
    return data_dir("benchmarks") / "budgets.toml"


def load_budgets(path: Path | None, flags: Mapping[str, Any]) -> Budgets:
    """Return the limits of ``path``, or of the default file, with those of ``flags`` on top.

    Args:
        path: TOML file whose keys are the attributes of ``Budgets``.
        flags: the same keys; None means that the flag was not given.

    Raises:
        ConfigError: the file is missing or damaged, or a key or value is wrong.
    """
    path = path or default_budgets_file()
    budgets = datafiles.decode(Budgets, datafiles.read_table(path), str(path))
    given = {key: value for key, value in flags.items() if value is not None}
    budgets = replace(budgets, **given)
    _check(budgets, str(path))
    return budgets


def _check(budgets: Budgets, where: str) -> None:
    if budgets.protocol not in PROTOCOLS:
        known = ", ".join(PROTOCOLS)
        raise ConfigError(f"{where}: protocol = {budgets.protocol!r}: want one of {known}")
    ranges = {
        "confidence": 0.5 < budgets.confidence < 1,  # noqa: PLR2004 - a fair coin
        "resamples": budgets.resamples >= 100,  # noqa: PLR2004 - fewer have no tail
        "max_bytes": budgets.max_bytes is None or budgets.max_bytes > 0,
        "max_colour_bias": budgets.max_colour_bias is None or budgets.max_colour_bias >= 0,
        "max_latency_ratio": budgets.max_latency_ratio is None or budgets.max_latency_ratio > 0,
        "latency_repeats": budgets.latency_repeats >= 1,
        "latency_shape": min(budgets.latency_shape) >= 1,
        "seed": budgets.seed >= 0,
    }
    for key, fits in ranges.items():
        if not fits:
            raise ConfigError(f"{where}: {key} = {getattr(budgets, key)!r} is out of range")
