"""Challenge scores: your entries among the published ones."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from edgesr import __version__
from edgesr.bench.baselines import MEASURES, Baseline
from edgesr.bench.fair_play import Entry, Finding, findings
from edgesr.bench.rules import Rule, Track
from edgesr.errors import ConfigError

SCHEMA = "edgesr/score/1"
_BEST = 100.0


@dataclass(frozen=True, kw_only=True)
class Placing:
    """An entry in one track.

    Attributes:
        score: None where a number is missing.
        rank: from 1, equal scores share one; None where it is not ranked.
        missing: numbers that would be needed.
    """

    score: float | None
    rank: int | None
    missing: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Standing:
    """An entry with everything that the rule says about it.

    Attributes:
        row: its numbers.
        own: whether it is yours.
        below: floors that it does not reach, in sentences; it is not ranked then.
        findings: what a reader should doubt.
        placings: by track.
    """

    row: Baseline
    own: bool
    below: tuple[str, ...]
    findings: tuple[Finding, ...]
    placings: Mapping[str, Placing]

    @property
    def problems(self) -> tuple[str, ...]:
        """Why it cannot stand: floors, and findings that are errors."""
        return *self.below, *(one.message for one in self.findings if one.level == "error")


def standings(
    rule: Rule, own: Sequence[Entry], published: Sequence[Baseline]
) -> tuple[Standing, ...]:
    """Score and rank entries; sorted by the main track, unranked ones last.

    An entry below a floor, and one of yours with a finding that is an error, takes no rank.

    Raises:
        ConfigError: there is no entry, two have one name, or the rule's reference is missing.
    """
    entries = [*own, *(Entry(row=row) for row in published)]
    if not entries:
        raise ConfigError("no entries to score; name a file with some")
    _check_names([entry.row for entry in own])
    yours = len(own)
    below = [_below(rule, entry.row, own=i < yours) for i, entry in enumerate(entries)]
    found = [findings(entry, rule, own=i < yours) for i, entry in enumerate(entries)]
    ranked = [
        not low and (i >= yours or all(one.level != "error" for one in notes))
        for i, (low, notes) in enumerate(zip(below, found, strict=True))
    ]
    rows = [entry.row for entry in entries]
    placings = {track.name: _place(rule, track, rows, ranked, published) for track in rule.tracks}
    result = [
        Standing(
            row=row,
            own=i < yours,
            below=below[i],
            findings=found[i],
            placings={name: places[i] for name, places in placings.items()},
        )
        for i, row in enumerate(rows)
    ]
    main = rule.tracks[0].name
    return tuple(sorted(result, key=lambda one: one.placings[main].rank or len(result) + 1))


def to_json(rule: Rule, result: Sequence[Standing]) -> dict[str, Any]:
    """Return a scored table as JSON values."""
    return {
        "schema": SCHEMA,
        "edgesr": __version__,
        "rules": rule.name,
        "title": rule.title,
        "source": rule.source,
        "suite": rule.suite,
        "notes": list(rule.notes),
        "standings": [_standing_json(rule, one) for one in result],
    }


def _standing_json(rule: Rule, one: Standing) -> dict[str, Any]:
    row = one.row
    return {
        "name": row.name,
        "own": one.own,
        "evidence": row.evidence,
        "verified": list(row.verified),
        "source": row.source,
        "note": row.note,
        "published_rank": row.rank,
        "published_score": row.score,
        "measures": {name: v for name in MEASURES if (v := row.value(name)) is not None},
        "tracks": {
            track.name: {
                "score": one.placings[track.name].score,
                "rank": one.placings[track.name].rank,
                "missing": list(one.placings[track.name].missing),
            }
            for track in rule.tracks
        },
        "below": list(one.below),
        "findings": [{"level": f.level, "message": f.message} for f in one.findings],
    }


def _check_names(rows: Sequence[Baseline]) -> None:
    names = [row.name for row in rows]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ConfigError(f"two entries are named {twice[0]!r}; give each a name of its own")


def _below(rule: Rule, row: Baseline, *, own: bool) -> tuple[str, ...]:
    """Say which floors ``row`` misses; a published row may leave the number out, yours may not."""
    problems = []
    for floor in rule.floors:
        value, title = row.value(floor.measure), MEASURES[floor.measure].title
        if value is None and own and floor.required:
            problems.append(f"{title} is not given, want {floor.at_least:.2f} or more")
        elif value is not None and value < floor.at_least:
            problems.append(f"{title} is {value:.2f}, want {floor.at_least:.2f} or more")
    return tuple(problems)


def _place(
    rule: Rule,
    track: Track,
    rows: Sequence[Baseline],
    ranked: Sequence[bool],
    published: Sequence[Baseline],
) -> list[Placing]:
    missing = [tuple(m for m in track.needs if row.value(m) is None) for row in rows]
    usable = [i for i in range(len(rows)) if not missing[i]]
    chosen = [i for i in usable if ranked[i]]
    formula = FORMULAS[track.kind]
    reference = _reference(rule, published) if track.terms else None
    # A sum of ranks is taken among the ranked alone; other scores stand for themselves.
    counted = chosen if track.kind == "rank_sum" else usable
    numbers = [[_number(rows[i], m) for m in track.needs] for i in counted]
    scores = dict(zip(counted, formula(track, numbers, reference), strict=True))
    sign = 1 if track.kind in _LOWER_IS_BETTER else -1
    ranks = dict(zip(chosen, _ranks([sign * scores[i] for i in chosen]), strict=True))
    return [
        Placing(score=scores.get(i), rank=ranks.get(i), missing=missing[i])
        for i in range(len(rows))
    ]


def _reference(rule: Rule, published: Sequence[Baseline]) -> Baseline:
    for row in published:
        if row.name == rule.reference:
            return row
    raise ConfigError(f"rules {rule.name}: no row {rule.reference!r} in {rule.baselines}")


def _number(row: Baseline, measure: str) -> float:
    value = row.value(measure)
    if value is None:
        raise ConfigError(f"{row.name}: {measure} is missing; add it")
    return value


Formula = Callable[[Track, list[list[float]], Baseline | None], list[float]]


def _psnr_over_time(track: Track, rows: list[list[float]], _: Baseline | None) -> list[float]:
    """``2^(2 PSNR) / (C runtime)``, runtime in ms; without a C, relative to the best of the table.

    Source: Ignatov et al. 2022, arXiv 2211.05910; recalled.
    """
    logs = [2 * psnr - math.log2(runtime) for psnr, runtime in rows]
    if track.constant is not None:
        return [2 ** (log - math.log2(track.constant)) for log in logs]
    return [_BEST * 2 ** (log - max(logs)) for log in logs]


def _weighted_exponential(
    track: Track, rows: list[list[float]], reference: Baseline | None
) -> list[float]:
    """``sum of weight * e^(rate * value / value of the reference)``."""
    if reference is None:
        return []
    units = [_number(reference, term.measure) for term in track.terms]
    return [
        sum(
            # An entry 350 times the reference would overflow; it is last either way.
            term.weight * math.exp(min(term.rate * value / unit, 700.0))
            for term, value, unit in zip(track.terms, row, units, strict=True)
        )
        for row in rows
    ]


def _rank_sum(track: Track, rows: list[list[float]], _: Baseline | None) -> list[float]:
    """Sum over measures of the rank in each, 1 for the best."""
    total = [0.0] * len(rows)
    for column, measure in enumerate(track.measures):
        sign = -1 if MEASURES[measure].higher_is_better else 1
        ranks = _ranks([sign * row[column] for row in rows])
        total = [before + rank for before, rank in zip(total, ranks, strict=True)]
    return total


def _quality_speedup(track: Track, rows: list[list[float]], _: Baseline | None) -> list[float]:
    """``2^quality * speedup^exponent``."""
    return [2**quality * speedup ** (track.exponent or 0.0) for quality, speedup in rows]


FORMULAS: Mapping[str, Formula] = MappingProxyType(
    {
        "psnr_over_time": _psnr_over_time,
        "weighted_exponential": _weighted_exponential,
        "rank_sum": _rank_sum,
        "quality_speedup": _quality_speedup,
    }
)
"""Formula by its name in a rule; rows hold the numbers of ``Track.needs`` in that order."""

_LOWER_IS_BETTER = frozenset({"weighted_exponential", "rank_sum"})


def _ranks(values: Sequence[float]) -> list[int]:
    """Rank from 1, the smallest first; equal values share the better rank."""
    return [1 + sum(other < value for other in values) for value in values]
