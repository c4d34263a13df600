"""What ``edgesr diffusion`` measured, as Markdown: tables, and what can be read from them."""

from collections.abc import Mapping, Sequence
from typing import Any

from edgesr.errors import DataError
from edgesr.perception import PERCEPTUAL

START = "<!-- Results of `edgesr diffusion`, written by `make diffusion-table`. -->"
END = "<!-- End of results. -->"

_PLACES = {
    "psnr_y": 2,
    "ssim_y": 4,
    "ms_ssim": 4,
    "vif": 4,
    "gmsd": 4,
    "spectrum_distance_db": 2,
    "high_frequency_ratio": 3,
    "diversity": 2,
}
"""Columns, with their digits after the point."""

_TITLES = {"psnr_y": "PSNR-Y dB", "ssim_y": "SSIM-Y", "diversity": "diversity"}
_SIGNS = {"higher": "↑", "lower": "↓", "near 1": "→1"}


def results_section(documents: Sequence[Mapping[str, Any]]) -> str:
    """Return tables and findings of one or more documents, without a heading."""
    return "\n\n".join(_document(one) for one in documents)


def results_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the Markdown table of the rows of one set."""
    heads, lines = table_cells(rows)
    return "\n".join(
        [
            f"| {' | '.join(heads)} |",
            f"|---|{'---:|' * (len(heads) - 1)}",
            *(f"| {' | '.join([f'`{line[0]}`', *line[1:]])} |" for line in lines),
        ]
    )


def table_cells(rows: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Return headings and cells of the rows of one set: bicubic, one pass, denoisers, students."""
    signs = {"psnr_y": "↑", "ssim_y": "↑", "diversity": ""}
    signs.update({name: _SIGNS[metric.better] for name, metric in PERCEPTUAL.items()})
    heads = ["network", "steps", *(f"{_title(key)} {signs[key]}".strip() for key in _PLACES)]
    lines = [
        [row["name"], _taken(row), *(_number(row, key) for key in _PLACES)]
        for row in sorted(rows, key=_order)
    ]
    return heads, lines


def findings(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return one sentence each for the comparisons that the rows of one set allow.

    Fewer steps with all of the path's, a student with its teacher, and the spectrum above the reach
    of the input with that of networks of one pass.
    """
    usual = [row for row in rows if row["steps"] is not None and row["is_usual"]]
    plain = [row for row in rows if row["steps"] is None and row["sha256"] is not None]
    said = []
    for row in usual:
        if row["is_distilled"]:
            teachers = [one for one in usual if one["sha256"] == row["teacher_sha256"]]
            said += [_against_teacher(row, teacher) for teacher in teachers]
            continue
        said += [
            f"{_name(row)} in {_steps(row)} against all {whole['steps']}: "
            f"{row['psnr_y'] - whole['psnr_y']:+.2f} dB PSNR-Y."
            for whole in rows
            if whole["sha256"] == row["sha256"] and whole["steps"] == row["path_steps"] != 1
            if whole["steps"] != row["steps"]
        ]
    return [*said, *(_against_plain(row, other) for row in usual for other in plain)]


def with_section(
    page: str, section: str, where: str, *, marks: tuple[str, str] = (START, END)
) -> str:
    """Return ``page`` with ``section`` between the two ``marks``, in place of what is there.

    Raises:
        DataError: the marks are not there, once each and in order.
    """
    first, last = marks
    before, start, rest = page.partition(first)
    _, end, after = rest.partition(last)
    if not (start and end) or first in after or last in before + after:
        raise DataError(f"{where}: want one line {first} and after it one line {last}; add them")
    return f"{before}{first}\n\n{section}\n\n{last}{after}"


def _document(document: Mapping[str, Any]) -> str:
    parts = []
    for name, facts in document["sets"].items():
        rows = [row for row in document["rows"] if row["set"] == name]
        if not rows:
            continue
        parts.append(
            f"**{name} x{document['scale']}**: {facts['images']} images, low-resolution ones "
            f"{facts['lr']}; sampler `{document['sampler']}`, seed {document['seed']}"
            + (f", diversity over {document['seeds']} seeds." if document["seeds"] > 1 else ".")
        )
        parts.append(results_table(rows))
        if said := findings(rows):
            parts.append("\n".join(f"- {sentence}" for sentence in said))
    about = document["environments"][-1]
    torch = about["packages"].get("torch")
    parts.append(
        "Steps are evaluations of the network; a star marks those that it takes unless others are "
        f"asked for. Measured by edgesr {about['edgesr']} on {about['cpu']}"
        + (f" with torch {torch}." if torch else ".")
    )
    return "\n\n".join(parts)


def _against_teacher(row: Mapping[str, Any], teacher: Mapping[str, Any]) -> str:
    worse = [
        _title(key)
        for key, metric in PERCEPTUAL.items()
        if _distance(row, key, metric.better) > _distance(teacher, key, metric.better)
    ]
    return (
        f"{_name(row)} in {_steps(row)} against {_name(teacher)} in {_steps(teacher)}, its "
        f"teacher: {row['psnr_y'] - teacher['psnr_y']:+.2f} dB PSNR-Y; of {len(PERCEPTUAL)} "
        f"perceptual metrics worse in {', '.join(worse) if worse else 'none'}."
    )


def _against_plain(row: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    key = "spectrum_distance_db"
    near = row[key] < other[key]
    return (
        f"Above the reach of the input the spectrum of {_name(row)} in {_steps(row)} is "
        f"{'nearer to' if near else 'no nearer to'} the original's than that of {_name(other)}: "
        f"{row[key]:.2f} against {other[key]:.2f} dB."
    )


def _distance(row: Mapping[str, Any], key: str, better: str) -> float:
    """Return how far a value, as it is printed, is from the best one."""
    value = round(float(row[key]), _PLACES[key])
    return {"higher": -value, "lower": value, "near 1": abs(value - 1)}[better]


def _order(row: Mapping[str, Any]) -> int:
    facts = (row["sha256"] is not None, row["steps"] is not None, bool(row["is_distilled"]))
    return sum(facts)


def _title(key: str) -> str:
    return _TITLES.get(key) or PERCEPTUAL[key].title


def _taken(row: Mapping[str, Any]) -> str:
    """Return the evaluations of the network, with a star where they are those of its training."""
    if row["sha256"] is None:
        return "-"
    return f"{row['evaluations']}{'*' * (row['steps'] is not None and row['is_usual'])}"


def _name(row: Mapping[str, Any]) -> str:
    return f"`{row['name']}`"


def _steps(row: Mapping[str, Any]) -> str:
    return f"{row['steps']} step{'s' * (row['steps'] != 1)}"


def _number(row: Mapping[str, Any], key: str) -> str:
    value = row[key]
    return "-" if value is None else f"{value:.{_PLACES[key]}f}"
