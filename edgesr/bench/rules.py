"""The scoring rules of challenges, read from ``benchmarks/rules``: a new one is a TOML file."""

from dataclasses import dataclass
from typing import Literal

from edgesr.bench import datafiles
from edgesr.bench.baselines import MEASURES
from edgesr.bench.suites import Evidence
from edgesr.errors import ConfigError

Kind = Literal["psnr_over_time", "weighted_exponential", "rank_sum", "quality_speedup"]


@dataclass(frozen=True, kw_only=True)
class Term:
    """One summand ``weight * exp(rate * value / value of the reference)``."""

    measure: str
    weight: float
    rate: float


@dataclass(frozen=True, kw_only=True)
class Floor:
    """Who is below is not ranked.

    Attributes:
        measure: number in ``MEASURES``.
        at_least: smallest accepted value.
        evidence: whether the rule was read in its source.
        required: whether an entry of yours has to give the number.
        note: what a reader should know.
    """

    measure: str
    at_least: float
    evidence: Evidence
    required: bool = True
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Track:
    """One ranking.

    Attributes:
        name: such as ``main``.
        title: one line.
        kind: formula, a key of ``edgesr.bench.score.FORMULAS``.
        evidence: whether the formula was read in its source.
        measures: that ``rank_sum`` adds the ranks of.
        terms: that ``weighted_exponential`` adds.
        constant: divides ``psnr_over_time``; None gives scores relative to the best, which has 100.
        exponent: of the speed-up in ``quality_speedup``.
    """

    name: str
    title: str
    kind: Kind
    evidence: Evidence
    measures: tuple[str, ...] = ()
    terms: tuple[Term, ...] = ()
    constant: float | None = None
    exponent: float | None = None

    @property
    def needs(self) -> tuple[str, ...]:
        """Numbers without which there is no score."""
        if self.kind == "psnr_over_time":
            return "psnr", "runtime_ms"
        if self.kind == "quality_speedup":
            return "quality", "speedup"
        return self.measures or tuple(term.measure for term in self.terms)


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What a challenge wants and how it ranks.

    Attributes:
        name: file name in ``benchmarks/rules``.
        title: one line.
        source: where it was read.
        suite: what it measures on.
        baselines: table of its published results.
        tracks: rankings, the main one first.
        floors: what an entry must reach.
        reference: row of the table that exponentials divide by.
        flops_counter: counter whose FLOPs the challenge takes.
        counted_pixels: low-resolution pixels of the image that FLOPs are counted on.
        notes: what a reader should know.
    """

    name: str
    title: str
    source: str
    suite: str
    baselines: str
    tracks: tuple[Track, ...]
    floors: tuple[Floor, ...] = ()
    reference: str | None = None
    flops_counter: Literal["ntire22", "fvcore"] | None = None
    counted_pixels: int | None = None
    notes: tuple[str, ...] = ()


def rule_names() -> list[str]:
    """Return the names that ``load_rule`` takes."""
    return datafiles.names("rules")


def load_rule(name: str) -> Rule:
    """Return a rule of ``benchmarks/rules``.

    Raises:
        ConfigError: it is unknown, or its file is wrong.
    """
    path, values = datafiles.load("rules", name)
    rule = datafiles.decode(Rule, values, str(path))
    if rule.name != name or not rule.tracks:
        raise ConfigError(f"{path}: want name = {name!r} and at least one track")
    used = [floor.measure for floor in rule.floors]
    for track in rule.tracks:
        if not track.needs or (track.terms and rule.reference is None):
            raise ConfigError(f"{path}: track {track.name} lacks measures, terms or a reference")
        used += track.needs
    strange = [measure for measure in used if measure not in MEASURES]
    if strange:
        raise ConfigError(
            f"{path}: {strange[0]} is no number of a row; want one of {', '.join(MEASURES)}"
        )
    return rule
