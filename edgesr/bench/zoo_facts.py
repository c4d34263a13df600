"""What is known of trained networks: from their cards and from results files, nothing measured."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from edgesr.bench import edge_search
from edgesr.bench.results import BENCH_SCHEMA, read_document, timings_of
from edgesr.bench.timing import quantile
from edgesr.errors import DataError
from edgesr.models import MODELS
from edgesr.models.denoisers import DENOISERS
from edgesr.resources import data_dir
from edgesr.zoo import DEFAULT, ZOO, ZooEntry

OUTPUT_PIXELS = 1920 * 1080
"""Of the image that multiply-accumulates are quoted for."""

Speed = dict[str, Any]
"""``ratio`` of processor time to NCNet's, its quartiles ``low`` and ``high``, and how measured."""


def read_results() -> list[dict[str, Any]]:
    """Return the documents with times in ``benchmarks/results``; none where they are not there.

    Raises:
        DataError: one is damaged.
    """
    folder = data_dir("benchmarks") / "results"
    documents = [read_document(path) for path in sorted(folder.glob("*.json"))]
    return [one for one in documents if one["schema"] in {BENCH_SCHEMA, edge_search.SCHEMA}]


def network_facts(documents: Iterable[Mapping[str, Any]] = ()) -> list[dict[str, Any]]:
    """Return parameters, multiply-accumulates and processor time of every network.

    Args:
        documents: results with times.
    """
    speeds = graph_speeds(documents)
    return [
        {
            "name": network.name,
            "title": network.title,
            "params": {str(scale): count for scale, count in network.params.items()},
            "gmacs_1080p": {str(scale): gmacs(network.name, scale) for scale in network.scales},
            "receptive_field": network.receptive_field,
            "cpu_ratio_x3": speeds.get(network.name),
            "source": network.source,
        }
        for network in MODELS.values()
    ]


def trained_facts(entry: ZooEntry, documents: Iterable[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """Return what the card of a trained network and results with times say of it.

    Args:
        entry: shipped or pulled.
        documents: results with times.

    Raises:
        CheckpointError: the card is missing or damaged.
    """
    card = entry.read_card()
    found = DENOISERS.get(entry.model) if entry.is_denoiser else MODELS.get(entry.model)
    params = {} if found is None else found.params
    return {
        "name": entry.name,
        "network": entry.model,
        "scale": entry.scale,
        "origin": "pulled" if entry.is_pulled else "shipped",
        "files": [
            {"path": str(path), "bytes": path.stat().st_size}
            for path in entry.files
            if path.is_file()
        ],
        "params": params.get(entry.scale),
        "gmacs_1080p": gmacs(entry.model, entry.scale),
        "steps": card.get("sampling", {}).get("steps"),
        "centre": _centre(card),
        "psnr": psnr(card),
        "float_psnr": _means(card.get("float_evaluations", {})),
        "bicubic_psnr": _means(card.get("evaluations", {}), "bicubic"),
        "cpu_ratio": card.get("cpu_ratio") or file_speeds(card, documents),
    }


def gmacs(model: str, scale: int) -> float | None:
    """Return 1e9 multiply-accumulates for an output of 1920 x 1080; None of a denoiser."""
    if model not in MODELS or scale not in MODELS[model].macs_per_pixel:
        return None
    return round(MODELS[model].macs_per_pixel[scale] * OUTPUT_PIXELS / scale**2 / 1e9, 3)


def psnr(card: Mapping[str, Any]) -> dict[str, float]:
    """Return ``dataset protocol`` -> PSNR in dB of what upscales by default, as its card states."""
    if "rows" in card:
        return {
            f"{row['set']} {card['protocol']}": round(row["psnr_y"], 3)
            for row in card["rows"]
            if row["sha256"] == card["run_sha256"] and row["is_usual"]
        }
    return _means(card.get("evaluations", {}))


def file_speeds(card: Mapping[str, Any], documents: Iterable[Mapping[str, Any]]) -> list[Speed]:
    """Return the processor time of a network's .tflite as a ratio to that of shipped NCNet.

    Both must have been timed in one run, with as many threads and the same kernels.
    """
    own, reference = _digests(card), _digests(ZOO[DEFAULT].read_card())
    found = []
    for document in documents:
        if document["schema"] != BENCH_SCHEMA or document["what"] != "inference":
            continue
        timings = timings_of(document, DEFAULT)
        for about in document["timings"]:
            if about.get("sha256") not in own:
                continue
            others = [
                one
                for one in document["timings"]
                if one.get("sha256") in reference
                and (one["threads"], one["runtime"]) == (about["threads"], about["runtime"])
            ]
            if others:
                times = timings[about["name"]].cpu_ms, timings[others[0]["name"]].cpu_ms
                facts = {key: about[key] for key in ("threads", "runtime")}
                found.append({**_ratio(*times), **facts, "shape": document["shape"]})
    return found


def graph_speeds(documents: Iterable[Mapping[str, Any]]) -> dict[str, Speed]:
    """Return by network the ratio of an untrained x3 graph to NCNet's, from the search's results.

    Raises:
        DataError: such a document is damaged.
    """
    found: dict[str, Speed] = {}
    for document in documents:
        if document["schema"] != edge_search.SCHEMA:
            continue
        how = {"threads": document["threads"], "runtime": "xnnpack", "shape": document["shape"]}
        try:
            found[document["reference"]["name"]] = {"ratio": 1.0, "low": 1.0, "high": 1.0, **how}
            by_name = {one["name"]: one for one in document["candidates"]}
            for name, chosen in document["chosen"].items():
                if chosen is not None:
                    low, high = by_name[chosen]["ratio_quartiles"]
                    found[name] = {
                        "ratio": by_name[chosen]["ratio"],
                        "low": low,
                        "high": high,
                        **how,
                    }
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"{edge_search.DEFAULT_OUTPUT}: is damaged ({error!r}); measure again with python "
                "-m edgesr.bench.edge_search"
            ) from error
    return found


def _ratio(own: Sequence[float], reference: Sequence[float]) -> Speed:
    ratios = [a / b for a, b in zip(own, reference, strict=True)]
    return {
        "ratio": round(statistics.median(ratios), 3),
        "low": round(quantile(ratios, 0.25), 3),
        "high": round(quantile(ratios, 0.75), 3),
    }


def _digests(card: Mapping[str, Any]) -> set[str]:
    """Return the SHA-256 of the .tflite files that a card lists."""
    files = card.get("files", {}).items()
    return {about["sha256"] for name, about in files if Path(name).suffix == ".tflite"}


def _means(evaluations: Mapping[str, Any], of: str = "mean") -> dict[str, float]:
    return {
        f"{dataset} {protocol}": round(score["psnr"], 3)
        for dataset, evaluation in evaluations.items()
        for protocol, score in evaluation.get(of, {}).items()
    }


def _centre(card: Mapping[str, Any]) -> str | None:
    """Return the network that makes a denoiser's centre, ``bicubic``, or None of no denoiser."""
    sampling = card.get("sampling")
    if sampling is None:
        return None
    return str((sampling.get("centre") or {"model": "bicubic"})["model"])
