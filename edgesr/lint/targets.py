"""What a runtime or accelerator takes: the TOML files under ``export/targets/``."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

from edgesr.datafiles import decode, read_table
from edgesr.errors import ConfigError, DataError
from edgesr.lint.findings import Severity
from edgesr.lint.model import NUMPY
from edgesr.resources import data_dir

_SCHEMA = "edgesr/targets/1"
_ANY_VERSION = 99
_TYPES = frozenset({*NUMPY, "INT4", "BFLOAT16", "ANY"})


@dataclass(frozen=True, kw_only=True)
class FixedGrid:
    """Scale and zero point that an operator's output has for a type."""

    dtype: str
    scale: float
    zero_point: int


@dataclass(frozen=True, kw_only=True)
class OpRule:
    """What a target takes of one operator. ``TYPE@4`` means: since feature level 4.

    Attributes:
        sources: keys of the target's sources.
        dtypes: types of the activations.
        conversions: ``FROM>TO`` types, instead of ``dtypes``.
        level: first feature level with the operator.
        max_version: highest operator version.
        rank: fewest and most axes of activations.
        constant: places of inputs that have to be constants.
        bias: whether a bias has to be there.
        groups: whether a convolution may have groups.
        per_channel: first feature level with per-channel weights, 0 for never.
        hybrid: whether float layers may have int8 weights.
        activations: fused activations; None for any.
        inputs: fewest and most inputs.
        max_stride: in either direction.
        strides: the only strides.
        max_dilation: in either direction.
        dilation_level: first feature level with dilation.
        max_multiplier: channels that a depthwise convolution makes of one.
        max_window: pixels under the window of a pool.
        max_size: height and width of what a RESIZE makes.
        keep_dims: first feature level with FULLY_CONNECTED that keeps its axes, 0 for never.
        max_kernel: height, and product of height and width, of a kernel.
        min_block: smallest block of DEPTH_TO_SPACE and SPACE_TO_DEPTH.
        masks: whether STRIDED_SLICE may have ellipsis and new-axis masks.
        permutations: of TRANSPOSE, as texts such as ``0213``; None for any.
        factors: enlargements of a RESIZE; None for any.
        half_pixel: first feature level with half_pixel_centers or align_corners, 0 for never.
        same_scale: whether output and input share scale and zero point.
        equal_scales_below: feature level below which all inputs and the output share them.
        fixed_output: scale and zero point that the output has.
        scale_ratio: least and largest input scale over output scale.
        product_below_output: whether the product of the input scales is below the output scale.
        accumulator_below_output: feature level below which input x weight scale is below output's.
        fatal: codes that are errors whatever the target's severity: nothing else runs it either.
        slow: why it is slow, or nothing.
        note: what to do where it is refused, or nothing.
    """

    sources: tuple[str, ...]
    dtypes: tuple[str, ...] = ()
    conversions: tuple[str, ...] = ()
    level: int = 1
    max_version: int = _ANY_VERSION
    rank: tuple[int, int] | None = None
    constant: tuple[int, ...] = ()
    bias: bool = False
    groups: bool = True
    per_channel: int = 1
    hybrid: bool = False
    activations: tuple[str, ...] | None = None
    inputs: tuple[int, int] | None = None
    max_stride: int | None = None
    strides: tuple[int, ...] | None = None
    max_dilation: int | None = None
    dilation_level: int = 1
    max_multiplier: int | None = None
    max_window: int | None = None
    max_size: int | None = None
    keep_dims: int = 1
    max_kernel: tuple[int, int] | None = None
    min_block: int = 1
    masks: bool = True
    permutations: tuple[str, ...] | None = None
    factors: tuple[int, ...] | None = None
    half_pixel: int = 1
    same_scale: bool = False
    equal_scales_below: int = 0
    fixed_output: tuple[FixedGrid, ...] = ()
    scale_ratio: tuple[float, float] | None = None
    product_below_output: bool = False
    accumulator_below_output: int = 0
    fatal: tuple[str, ...] = ()
    slow: str = ""
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Level:
    """A feature level, where it is found, and the first Android API level that has it."""

    number: int
    name: str
    api: int | None = None


@dataclass(frozen=True, kw_only=True)
class Target:
    """A runtime or accelerator.

    Attributes:
        name: of the file.
        title: for people.
        rest: what runs the operators that are refused.
        refusal: severity of an operator that is refused.
        free_sizes: severity of sizes that are chosen when the model is loaded.
        max_rank: most axes of any tensor.
        max_partitions: so many partitions are taken, the largest; None for all.
        all_subgraphs: whether subgraphs after the first are taken.
        levels: feature levels, none where there are none.
        level: the one that is linted for.
        analyzer: which program of LiteRT gives its own verdict.
        plugin: folder, manufacturer and chip of a compiler plugin of LiteRT, or nothing.
        caveat: what the verdict does not cover.
        sources: where facts are from, by key.
        ops: by operator.
        refused: reason by operator or pattern.
    """

    name: str
    title: str
    rest: str
    refusal: Severity
    free_sizes: Severity
    max_rank: int
    max_partitions: int | None = None
    all_subgraphs: bool = True
    levels: tuple[Level, ...] = ()
    level: int = 1
    analyzer: Literal["none", "gpu", "delegation", "plugin"] = "none"
    plugin: tuple[str, str, str] | None = None
    caveat: str = ""
    sources: Mapping[str, str] = field(default_factory=dict)
    ops: Mapping[str, OpRule] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)

    def reason(self, op: str) -> str:
        """Return why operator ``op`` is named as refused, or nothing."""
        found = (text for name, text in self.refused.items() if fnmatchcase(op, name))
        return next(found, "")

    @property
    def label(self) -> str:
        """Name with the feature level where there are levels."""
        return f"{self.name}-{self.level}" if self.levels else self.name

    def on_android(self, api: int) -> "Target":
        """Return the target at the feature level of an Android API level, the first at least."""
        fit = [one.number for one in self.levels if one.api is not None and one.api <= api]
        first = [one.number for one in self.levels[:1]]
        return replace(self, level=max(fit or first, default=self.level))

    def cite(self, rule: OpRule) -> str:
        """Return where the facts of a rule are from."""
        return "; ".join(self.sources[key] for key in rule.sources)


def target_names() -> list[str]:
    """Return the targets that ship with edgesr."""
    return sorted(path.stem for path in (data_dir("export") / "targets").glob("*.toml"))


def load_target(name: str) -> Target:
    """Return a target.

    Args:
        name: a shipped one such as ``nnapi``, with a feature level such as ``nnapi-4``, or the path
            of a TOML file.

    Raises:
        ConfigError: the file is missing, damaged or not understood.
        DataError: there is no such target or level.
    """
    if name.endswith(".toml"):
        return read_target(Path(name))
    known = target_names()
    stem, level = name, ""
    if name not in known and "-" in name:
        stem, _, level = name.rpartition("-")
    if stem not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise DataError(
            f"target {name!r} is unknown; {hint}choose one of {', '.join(known)}, or a TOML file"
        )
    target = read_target(data_dir("export") / "targets" / f"{stem}.toml")
    if not level:
        return target
    levels = [str(one.number) for one in target.levels]
    if level not in levels:
        wanted = f"want one of {', '.join(levels)}" if levels else "it has no levels; leave it out"
        raise DataError(f"target {name!r}: feature level {level!r} is unknown, {wanted}")
    return replace(target, level=int(level))


def read_target(path: Path) -> Target:
    """Read a target's TOML file.

    Raises:
        ConfigError: it is missing, damaged, of another schema, or names what is not known.
    """
    values = read_table(path)
    if values.pop("schema", None) != _SCHEMA:
        raise ConfigError(
            f'{path}: want the line schema = "{_SCHEMA}"; the file is of another kind'
        )
    sources = _texts(values.pop("sources", {}), f"{path}: sources")
    refused = _texts(values.pop("refused", {}), f"{path}: refused")
    tables = values.pop("ops", {})
    if not isinstance(tables, dict) or not tables:
        raise ConfigError(f"{path}: ops: want a table an operator")
    rules = {op: decode(OpRule, table, f"{path}: ops.{op}") for op, table in tables.items()}
    for op, rule in rules.items():
        _check_rule(rule, sources, f"{path}: ops.{op}")
    target = decode(Target, values, str(path))
    if target.levels and target.level not in {one.number for one in target.levels}:
        raise ConfigError(f"{path}: level = {target.level}: want the number of one of its levels")
    return replace(target, sources=sources, ops=rules, refused=refused)


def _check_rule(rule: OpRule, sources: Mapping[str, str], where: str) -> None:
    for key in rule.sources:
        if key not in sources:
            raise ConfigError(f"{where}: source {key!r} is not in sources; add it")
    if not rule.sources:
        raise ConfigError(f"{where}: sources is empty; say where the facts are from")
    pairs = [one.partition("@")[0].split(">") for one in (*rule.dtypes, *rule.conversions)]
    for kind in (one for pair in pairs for one in pair):
        if kind not in _TYPES:
            raise ConfigError(f"{where}: type {kind!r} is unknown; want one such as INT8")
    if bool(rule.dtypes) == bool(rule.conversions):
        raise ConfigError(f"{where}: want either dtypes or conversions")


def _texts(values: Any, where: str) -> Mapping[str, str]:
    if not isinstance(values, dict) or not all(isinstance(one, str) for one in values.values()):
        raise ConfigError(f"{where}: want texts by name")
    return values


def since(entries: tuple[str, ...], wanted: str) -> int | None:
    """Return the feature level since which ``wanted`` is among ``TYPE@level`` entries, or None."""
    for entry in entries:
        kind, _, level = entry.partition("@")
        if kind in {wanted, "ANY"}:
            return int(level or 1)
    return None
