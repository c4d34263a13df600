"""Doubts about an entry: counts that hide work, uncollapsed networks, runtimes with a warm-up.

All of these were seen in submitted code. A published row only gets a warning; your own entry with
an error takes no rank.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from edgesr.bench import datafiles
from edgesr.bench.baselines import Baseline, check_numbers
from edgesr.bench.rules import Rule
from edgesr.errors import ConfigError

_LEAST_SHARE = 0.5
"""FLOPs of a plain network per parameter and pixel: 0.92 to 1.00 in IMDN, RFDN, RLFN, FMEN, EFDN,
SPAN. Far below, either operators were not counted or parameters do no work."""

_IDLE_SHARE = 0.01
"""Parameters without effect that a forgotten layer may hold."""

_SLACK = 0.98


@dataclass(frozen=True, kw_only=True)
class Claims:
    """How the numbers of an entry came about.

    Attributes:
        flops_counter: counter of its FLOPs.
        collapsed: whether parameters and FLOPs are those of the deployed network, with
            re-parameterised branches merged.
        warmup_runs: forward passes before the first timed one, those of the constructor included.
        factory: ``file.py:function`` that builds the network, to be counted here.
    """

    flops_counter: Literal["ntire22", "fvcore"] | None = None
    collapsed: bool | None = None
    warmup_runs: int | None = None
    factory: str | None = None


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a network does when it is built and run; see ``edgesr.bench.network_facts``.

    Attributes:
        params_m: parameters, in millions.
        flops_g: multiply-accumulates of convolutions and matrix products, in billions.
        idle_params_m: parameters that the output does not depend on, in millions.
        constructor_convs: convolutions run while it was built.
        warmup_methods: methods whose name says that they warm up.
        custom_operators: operators that counters do not know.
    """

    params_m: float
    flops_g: float
    idle_params_m: float
    constructor_convs: int
    warmup_methods: tuple[str, ...]
    custom_operators: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A row with its claims, and the facts where its network was at hand."""

    row: Baseline
    claims: Claims = Claims()
    facts: Facts | None = None


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One doubt."""

    level: Literal["error", "warning"]
    message: str


def read_entries(path: Path) -> tuple[Entry, ...]:
    """Read your results: a TOML or JSON file with a list ``entries``.

    Raises:
        ConfigError: the file is missing or damaged, or a key or value is wrong.
    """
    values = datafiles.read_table(path)
    unknown = [key for key in values if key not in {"schema", "entries"}]
    if unknown:
        raise ConfigError(f"{path}: unknown key {unknown[0]}; want a list named entries")
    entries = values.get("entries")
    if not isinstance(entries, list) or not entries:
        raise ConfigError(f"{path}: no entries; want [[entries]] with name, psnr, runtime_ms, ...")
    return tuple(_entry(one, f"{path}: entries[{i}]") for i, one in enumerate(entries))


def findings(entry: Entry, rule: Rule, *, own: bool) -> tuple[Finding, ...]:
    """Return what is doubtful about ``entry``; nothing where nothing is known."""
    found = [] if entry.facts is not None else _hidden_work(entry.row, rule)
    if own:
        found += [*_claimed(entry, rule), *_counted(entry)]
    if own or not found:
        return tuple(found)
    return tuple(Finding(level="warning", message=one.message) for one in found)


def _entry(values: Any, where: str) -> Entry:
    if not isinstance(values, dict):
        raise ConfigError(f"{where}: is {values!r}, want a table")
    keys = Claims.__dataclass_fields__
    row = {key: value for key, value in values.items() if key not in keys}
    if row.get("evidence", "own") != "own":
        raise ConfigError(f"{where}: evidence = {row['evidence']!r}: your entries are your own")
    result = datafiles.decode(Baseline, row, where)
    check_numbers(result, where)
    claims = {key: value for key, value in values.items() if key in keys}
    return Entry(row=result, claims=datafiles.decode(Claims, claims, where))


def _hidden_work(row: Baseline, rule: Rule) -> list[Finding]:
    if rule.counted_pixels is None or row.params_m is None or row.flops_g is None:
        return []
    if row.flops_g >= _LEAST_SHARE * (dense := row.params_m * rule.counted_pixels / 1e3):
        return []
    share = row.flops_g / dense
    message = (
        f"{row.flops_g:.2f} GFLOPs are {share:.0%} of the {dense:.2f} G that {row.params_m:g} M "
        "parameters do when each is used at every pixel: operators may be hidden from the counter "
        "(custom kernels, functional calls), or parameters of an uncollapsed network counted"
    )
    # A network that works at a lower resolution names its factory: then facts decide.
    return [Finding(level="error", message=message)]


def _claimed(entry: Entry, rule: Rule) -> list[Finding]:
    row, claims = entry.row, entry.claims
    found = [
        _warning(f"{floor.measure} is not given, {floor.note}; it must be {floor.at_least:g}")
        for floor in rule.floors
        if not floor.required and row.value(floor.measure) is None
    ]
    if row.flops_g is not None and rule.flops_counter is not None:
        if claims.flops_counter is None:
            found.append(
                _warning(
                    f"flops_counter is not stated; {rule.name} counts with {rule.flops_counter}"
                )
            )
        elif claims.flops_counter != rule.flops_counter:
            found.append(
                _error(
                    f"FLOPs are counted with {claims.flops_counter}, but {rule.name} counts with "
                    f"{rule.flops_counter}"
                )
            )
    if row.params_m is not None or row.flops_g is not None:
        if claims.collapsed is None:
            found.append(_warning("collapsed is not stated; count the deployed network"))
        elif not claims.collapsed:
            found.append(
                _error("parameters are counted before re-parameterised branches are merged")
            )
    if row.runtime_ms is not None and rule.name.startswith("ntire") and claims.warmup_runs:
        found.append(
            _error(f"{claims.warmup_runs} warm-up passes ran before timing; {rule.name} has none")
        )
    return found


def _counted(entry: Entry) -> list[Finding]:
    facts, row = entry.facts, entry.row
    if facts is None:
        return []
    found = []
    if facts.constructor_convs:
        found.append(
            _error(f"its constructor runs {facts.constructor_convs} convolutions: a hidden warm-up")
        )
    if facts.warmup_methods:
        found.append(_error(f"it has a method {facts.warmup_methods[0]}: a warm-up"))
    if facts.custom_operators:
        names = ", ".join(facts.custom_operators)
        found.append(_error(f"operators {names} are invisible to FLOPs counters"))
    if facts.idle_params_m > _IDLE_SHARE * facts.params_m:
        found.append(
            _error(
                f"{facts.idle_params_m:.3f} M of {facts.params_m:.3f} M parameters do not reach "
                "the output: the network is not collapsed"
            )
        )
    for title, stated, counted in (
        ("FLOPs G", row.flops_g, facts.flops_g),
        ("params M", row.params_m, facts.params_m - facts.idle_params_m),
    ):
        if stated is not None and stated < _SLACK * counted:
            found.append(_error(f"{title} are stated as {stated:g}, but counted as {counted:.3f}"))
    return found


def _error(message: str) -> Finding:
    return Finding(level="error", message=message)


def _warning(message: str) -> Finding:
    return Finding(level="warning", message=message)
