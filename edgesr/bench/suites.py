"""Suites: what a challenge or paper measures on, so that a number can stand beside theirs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgesr.bench import datafiles
from edgesr.data.layouts import Dataset, find_dataset
from edgesr.errors import ConfigError, DatasetError
from edgesr.metrics import PROTOCOLS

Evidence = Literal["verified", "recalled"]
"""``verified``: read in the named source or measured; ``recalled``: from memory, check it first."""


@dataclass(frozen=True, kw_only=True)
class Suite:
    """What is measured on what.

    Attributes:
        name: file name in ``benchmarks/suites``.
        title: one line.
        dataset: images that the published numbers stand for.
        images: how many they are; None where that is not known.
        scale: upscaling factor.
        protocol: key in ``PROTOCOLS``, or the challenge's own metric where it is none of them.
        input: height and width of the low-resolution image that runtime is measured with; None
            where it is the data set's own images.
        device: that the published runtimes stand for.
        precision: of the published networks.
        get: how to get the images.
        source: where this was read.
        evidence: whether it was.
        rules: name for ``edgesr score --rules``; None where there is no score.
        baselines: names of published tables.
        notes: what a comparison has to know.
    """

    name: str
    title: str
    dataset: str
    scale: int
    protocol: str
    device: str
    precision: str
    get: str
    source: str
    evidence: Evidence
    images: int | None = None
    input: tuple[int, int] | None = None
    rules: str | None = None
    baselines: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def measurable(self) -> bool:
        """Whether edgesr measures this suite's quality metric."""
        return self.protocol in PROTOCOLS


def suite_names() -> list[str]:
    """Return the names that ``load_suite`` takes."""
    return datafiles.names("suites")


def load_suite(name: str) -> Suite:
    """Return a suite of ``benchmarks/suites``.

    Raises:
        ConfigError: it is unknown, or its file is wrong.
    """
    path, values = datafiles.load("suites", name)
    suite = datafiles.decode(Suite, values, str(path))
    if suite.name != name:
        raise ConfigError(f"{path}: name = {suite.name!r}, want the file's name {name!r}")
    return suite


def open_suite(suite: Suite, data: Path, *, lr: Path | None = None) -> Dataset:
    """Find the suite's images below ``data``.

    Args:
        suite: what to measure on.
        data: folder of the high-resolution images.
        lr: folder of the low-resolution ones, where it lies elsewhere.

    Raises:
        DatasetError: there are none; the message says how to get them.
    """
    try:
        return find_dataset(data, suite.scale, lr_root=lr)
    except DatasetError as error:
        raise DatasetError(
            f"{error}; suite {suite.name} wants {suite.dataset}: {suite.get}"
        ) from error


def not_the_same(suite: Suite, dataset: Dataset) -> str | None:
    """Return why results on ``dataset`` do not compare with the suite's, or None."""
    if suite.images is None or len(dataset.pairs) == suite.images:
        return None
    return f"{len(dataset.pairs)} images, but suite {suite.name} stands for {suite.images}"
