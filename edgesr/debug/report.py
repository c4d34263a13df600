"""What was found as JSON values."""

import math
from dataclasses import asdict
from typing import Any

from edgesr import __version__
from edgesr.debug.crops import WorstCrop
from edgesr.debug.debugger import Debugging
from edgesr.debug.figures import Probe, Suspect
from edgesr.debug.remedies import remedy, verdict
from edgesr.files import sha256_file

SCHEMA = "edgesr/debug/1"


def report(found: Debugging, worst: list[WorstCrop]) -> dict[str, Any]:
    """Return everything that was found.

    PSNR, SQNR and gains are in dB, None where they are infinite; errors of pictures in grey levels,
    of tensors in real units; shares from 0 to 1; places in pixels; time in seconds.
    """
    loaded, probe = found.loaded, found.probed.probe
    document = {
        "schema": SCHEMA,
        "edgesr": __version__,
        "model": loaded.descriptor.name,
        "scale": loaded.scale,
        "checkpoint": {"file": str(loaded.path), "sha256": sha256_file(loaded.path)},
        "scheme": found.quantized.scheme,
        "trained": found.observer is None,
        "observer": found.observer,
        "calibration": found.source,
        "images": {
            "source": found.held_out_source,
            "crops": [asdict(crop) for crop in found.crops],
        },
        "verdict": verdict(probe),
        "totals": _totals(found),
        "suspects": [
            {"rank": rank, **_suspect(one)} for rank, one in enumerate(probe.suspects, start=1)
        ],
        "layers": _layers(probe),
        "tensors": [asdict(one) for one in probe.tensors],
        "worst": [
            {**asdict(one), "image": found.crops[one.image].image, "crop": one.image}
            for one in worst
        ],
        "seconds": {stage: round(value, 3) for stage, value in found.seconds.items()},
    }
    finite: dict[str, Any] = _finite(document)
    return finite


def layer_gains(probe: Probe) -> dict[str, tuple[float, float]]:
    """Return for every layer the gain of its output in float and of its weights, best first.

    Tensors that share a grid are kept in float together, so that layers may have one gain.
    """
    gains = {name: [0.0, 0.0] for name in dict.fromkeys(one.layer for one in probe.tensors)}
    for suspect in probe.suspects:
        if suspect.kind == "weights":
            gains[suspect.name][1] = suspect.gain_db
    by_group = {one.name: one.gain_db for one in probe.suspects if one.kind == "tensor"}
    for tensor in probe.tensors:
        gains[tensor.layer][0] = by_group[tensor.group]
    ranked = sorted(gains.items(), key=lambda one: -max(one[1]))
    return {name: (tensor, weights) for name, (tensor, weights) in ranked}


def _totals(found: Debugging) -> dict[str, Any]:
    totals = found.probed.probe.totals
    return {
        "values": totals.values,
        "psnr_to_float": totals.psnr,
        "psnr_ceiling": totals.psnr_ceiling,
        "psnr_to_origin": found.psnr_to_origin,
        "squared_error": totals.squared_error,
        "max_error": totals.max_error,
        "colour_bias": list(totals.colour_bias),
        "banding": {
            "smooth": totals.banding.smooth,
            "float": totals.banding.float_,
            "int8": totals.banding.int8,
            "excess": totals.banding.excess,
        },
    }


def _suspect(suspect: Suspect) -> dict[str, Any]:
    return {**asdict(suspect), "remedy": asdict(remedy(suspect))}


def _layers(probe: Probe) -> list[dict[str, Any]]:
    weighted = {one.name: one for one in probe.layers}
    result = []
    for rank, (name, (tensor, weights)) in enumerate(layer_gains(probe).items(), start=1):
        figures = weighted.get(name)
        result.append(
            {
                "rank": rank,
                "name": name,
                "gain_tensor_db": tensor,
                "gain_weights_db": weights if figures else None,
                "weights": None if figures is None else asdict(figures),
            }
        )
    return result


def _finite(value: Any) -> Any:
    """Replace what is not finite by None, through lists and dicts."""
    match value:
        case dict():
            return {key: _finite(one) for key, one in value.items()}
        case list() | tuple():
            return [_finite(one) for one in value]
        case float() if not math.isfinite(value):
            return None
        case _:
            return value
