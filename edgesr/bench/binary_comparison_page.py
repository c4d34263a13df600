"""A one-bit denoiser beside float32 and INT8 as Markdown: tables, and what they say."""

import math
from collections.abc import Mapping
from typing import Any

from edgesr.bench.load import said_load
from edgesr.bench.verdict import MIN_EFFECT
from edgesr.perception import PERCEPTUAL

MARKS = (
    "<!-- Results of `python -m edgesr.bench.binary_comparison`; `make binary-table`. -->",
    "<!-- End of the comparison. -->",
)

FLOAT, INT8, ONE_BIT = "float32", "int8", "1-bit"
"""What is compared, as results call it."""

_SIGNS = {"higher": "↑", "lower": "↓", "near 1": "→1"}
_RULE = "Params by the rule | OPs a step by the rule"
_FASTER = "faster than float32 | than int8"
_PLACES = {"ms_ssim": 4, "vif": 4, "gmsd": 4, "spectrum_distance_db": 2, "high_frequency_ratio": 3}


def comparison_section(document: Mapping[str, Any]) -> str:
    """Return tables and sentences of a results document, without a heading.

    Sets that were interrupted before their last network are left out.
    """
    document = {**document, "sets": _whole(document["sets"])}
    parts = [_intro(document), _costs(document)]
    for name, found in document["sets"].items():
        title = f"**{name} x{document['scale']}**, {found['images']} images, one seed"
        parts.append("\n".join([title, "", *_quality(found["rows"])]))
    return "\n\n".join([*parts, "\n".join(f"- {sentence}" for sentence in findings(document))])


def findings(document: Mapping[str, Any]) -> list[str]:
    """Return what the figures say, whoever wins."""
    times = {row["name"]: row for row in document["times"]}
    size = {row["name"]: row["bytes"] for row in document["networks"]}
    said = [
        sentence
        for name, found in document["sets"].items()
        for sentence in _losses(name, {row["name"]: row for row in found["rows"]})
    ]
    one, other = times[ONE_BIT], times[INT8]
    said += [
        (
            f"The file of one bit is {_times(size[FLOAT] / size[ONE_BIT])} smaller than the "
            f"float one, and {_against(size[INT8] / size[ONE_BIT], 'smaller', 'larger')} than "
            "INT8's."
        ),
        (
            f"A step of one bit is {_against(one['step']['times_float32'][0], 'faster', 'slower')} "
            f"than float32 and {_against(one['step']['times_int8'][0], 'faster', 'slower')} than "
            f"INT8; a whole image {_against(one['image']['times_float32'][0], 'faster', 'slower')} "
            f"and {_against(one['image']['times_int8'][0], 'faster', 'slower')}. INT8 itself is "
            f"{_against(other['step']['times_float32'][0], 'faster', 'slower')} than float32."
        ),
    ]
    return [*said, _verdict(document, one)] if document["sets"] else said


def _whole(sets: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: found
        for name, found in sets.items()
        if any(row["name"] == ONE_BIT for row in found["rows"])
    }


def _verdict(document: Mapping[str, Any], one: Mapping[str, Any]) -> str:
    """Weigh one bit against INT8: who is better in quality on all sets, and who in time."""
    drops, sure = [], False
    for found in document["sets"].values():
        rows = {row["name"]: row for row in found["rows"]}
        drops.append(rows[ONE_BIT]["psnr_y"] - rows[INT8]["psnr_y"])
        sure = sure or rows[ONE_BIT]["to_twin"][2] < rows[INT8]["to_twin"][1]
    doubt = "" if sure else " The images are too few to be sure of the quality."
    _, low, high = one["image"]["times_int8"]
    if max(drops) < 0 and low <= 1:
        return (
            "So INT8 is the better choice for this network on this processor: better in quality, "
            f"and one bit is {'slower' if high < 1 else 'no faster'}.{doubt}"
        )
    if max(drops) < 0:
        return (
            "So one bit buys time and bytes with quality: whether that is worth it, the loss above "
            f"decides; where the time of INT8 will do, take INT8.{doubt}"
        )
    if min(drops) >= 0 and low > 1:
        return "So one bit is the better choice here, in quality and in time."
    return "So neither is better in everything: the sets do not agree, or the times do not differ."


def _losses(name: str, rows: Mapping[str, Mapping[str, Any]]) -> list[str]:
    bits, int8, plain = rows[ONE_BIT], rows[INT8], rows["bicubic"]
    worse = [
        metric.title
        for key, metric in PERCEPTUAL.items()
        if _distance(bits, key, metric.better) > _distance(rows[FLOAT], key, metric.better)
    ]
    gain = bits["psnr_y"] - plain["psnr_y"]
    return [
        (
            f"{name}: one bit {_apart(bits)} dB PSNR-Y to its float twin, INT8 {_apart(int8)} dB "
            "(mean of the images, in brackets its 99 % bounds); one bit stands "
            f"{abs(gain):.2f} dB {'above' if gain >= 0 else 'below'} bicubic, and is worse than "
            f"its twin in {len(worse)} of {len(PERCEPTUAL)} perceptual metrics"
            f"{': ' + ', '.join(worse) if worse else ''}."
        )
    ]


def _apart(row: Mapping[str, Any]) -> str:
    mean, low, high = row["to_twin"]
    return f"{mean:+.2f}" + (f" ({low:+.2f} to {high:+.2f})" if low < high else "")


def _distance(row: Mapping[str, Any], key: str, better: str) -> float:
    value = round(float(row[key]), _PLACES[key])
    return {"higher": -value, "lower": value, "near 1": abs(value - 1)}[better]


def _times(ratio: float) -> str:
    return f"{ratio:.1f} times"


def _against(ratio: float, more: str, less: str) -> str:
    """Return how much ``more`` a ratio above 1 is, or ``less`` one below; neither within 2 %."""
    if abs(math.log(ratio)) < math.log1p(MIN_EFFECT):
        return f"neither {more} nor {less}"
    return f"{ratio:.2f} times {more}" if ratio >= 1 else f"{1 / ratio:.2f} times {less}"


def _intro(document: Mapping[str, Any]) -> str:
    about = document["environment"]
    networks = {row["name"]: row for row in document["networks"]}
    trained = [networks[name]["trained_steps"] for name in (ONE_BIT, FLOAT)]
    same = trained[0] == trained[1] and (
        networks[FLOAT]["data_sha256"] == networks[ONE_BIT]["data_sha256"]
    )
    budget = (
        f"both trained for {trained[0]} steps on the same images"
        if same and trained[0] is not None
        else f"trained for {trained[0]} and {trained[1]} steps: not one budget"
    )
    height, width = document["shape"]
    large = [document["scale"] * side for side in (height, width)]
    return (
        f"`{networks[ONE_BIT]['network']}` and its float twin `{networks[FLOAT]['network']}`, "
        f"{budget}{_best(networks)}; {document['num_steps']} steps of sampling from the same "
        f"noise. Times: {height}x{width} to {large[0]}x{large[1]} pixels, one thread on one core "
        f"of {about['cpu']} with torch {about['packages'].get('torch')} and {document['litert']}, "
        f"medians of processor time; {said_load(about, document['other_cores'])}. An image is "
        "uint8 to uint8 with enlargement and noise, a step is the network alone. In brackets the "
        "99 % interval of paired turns."
    )


def _best(networks: Mapping[str, Mapping[str, Any]]) -> str:
    """Say which of its run's states each file is; both are the best on images held out."""
    steps = [networks[name]["best_step"] for name in (ONE_BIT, FLOAT)]
    if None in steps:
        return ""
    return f" (best on held-out images: steps {steps[0]} and {steps[1]})"


def _costs(document: Mapping[str, Any]) -> str:
    times = {row["name"]: row for row in document["times"]}
    lines = [
        f"|  | file, bytes | {_RULE} | ms a step | {_FASTER} | ms an image | {_FASTER} |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in document["networks"]:
        time, rule = times[row["name"]], row["rule"]
        cells = [
            row["name"],
            f"{row['bytes']:,}",
            "-" if rule["params"] is None else f"{rule['params'] / 1e3:.1f} k",
            "-"
            if rule["ops"] is None
            else f"{rule['ops'] / 1e6:.1f} M ({rule['float_share']:.0%} float)",
        ]
        for what in ("step", "image"):
            cells.append(f"{time[what]['median_cpu_ms']:.2f}")
            cells += [_interval(time[what][key]) for key in ("times_float32", "times_int8")]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _interval(ratio: list[float]) -> str:
    median, low, high = ratio
    return f"{median:.2f} ({low:.2f}-{high:.2f})"


def _quality(rows: list[dict[str, Any]]) -> list[str]:
    heads = ["", "PSNR-Y dB ↑", "SSIM-Y ↑"]
    heads += [f"{PERCEPTUAL[key].title} {_SIGNS[PERCEPTUAL[key].better]}" for key in _PLACES]
    lines = [f"| {' | '.join(heads)} |", f"|---|{'---:|' * (len(heads) - 1)}"]
    for row in rows:
        cells = [row["name"], f"{row['psnr_y']:.2f}", f"{row['ssim_y']:.4f}"]
        cells += [f"{row[key]:.{places}f}" for key, places in _PLACES.items()]
        lines.append(f"| {' | '.join(cells)} |")
    return lines
