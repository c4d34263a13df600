"""What is written beside an exported file and into it."""

import hashlib
import json
import math
import platform
from collections import Counter
from typing import TYPE_CHECKING, Any

from edgesr import __version__
from edgesr.export.inspect import read_content
from edgesr.export.precisions import PRECISIONS
from edgesr.files import sha256_file
from edgesr.litert import version as litert_version

if TYPE_CHECKING:
    from edgesr.export.calibration import CalibrationSet
    from edgesr.export.pipeline import Export
    from edgesr.export.precisions import Network
    from edgesr.export.verify import Fidelity
    from edgesr.models.checkpoint import LoadedModel
    from edgesr.models.denoiser_files import LoadedDenoiser

SCHEMA = "edgesr/export/1"
METADATA_KEY = "edgesr"


def file_metadata(
    loaded: "LoadedModel | LoadedDenoiser",
    calibration: "CalibrationSet | None",
    *,
    precision: str,
) -> dict[str, str]:
    """Return the metadata of the file: one entry of JSON text."""
    facts = {
        "edgesr": __version__,
        "model": loaded.descriptor.name,
        "scale": loaded.scale,
        "precision": precision,
        "calibration": None if calibration is None else calibration.digest,
    }
    return {METADATA_KEY: json.dumps(facts, sort_keys=True)}


def report(export: "Export") -> dict[str, Any]:
    """Return everything that is known about an exported file as JSON values.

    Lengths are in pixels, PSNR in dB, colour in grey levels, time in seconds.
    """
    request, loaded = export.request, export.loaded
    content = read_content(export.content)
    return {
        "schema": SCHEMA,
        "edgesr": __version__,
        "litert": litert_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "accepted": not export.problems,
        "problems": list(export.problems),
        "warnings": list(export.warnings),
        "file": request.output.name,
        "bytes": len(export.content),
        "sha256": hashlib.sha256(export.content).hexdigest(),
        "model": loaded.descriptor.name,
        "scale": loaded.scale,
        "checkpoint": {
            "file": str(loaded.path),
            "sha256": sha256_file(loaded.path),
            "metadata": dict(loaded.metadata),
        },
        "precision": request.precision,
        "io": export.io,
        "shape": None if request.shape is None else list(request.shape),
        "operators": dict(Counter(content.operators)),
        "operator_list": list(content.operators),
        "quantization": _quantization(export.network, request.precision),
        "calibration": _calibration(export),
        "verification": _verification(export),
        "seconds": {stage: round(value, 3) for stage, value in export.seconds.items()},
    }


def _quantization(network: "Network", precision: str) -> dict[str, Any] | None:
    scheme = PRECISIONS[precision].scheme
    quantized, ptq = network.quantized, network.ptq
    if quantized is None:
        return _weights_only(network, scheme) if network.fitted else None
    return {
        "scheme": quantized.scheme,
        "trained": ptq is None,
        "observer": None if ptq is None else ptq.calibration.observer,
        "bias_corrections": None if ptq is None else dict(ptq.bias_corrections),
        "tensors": {
            name: {
                "scale": float(grid.scale),
                "zero_point": grid.zero_point,
                "low": grid.low,
                "high": grid.high,
                "saturation": None if ptq is None else ptq.saturation[name],
            }
            for name, grid in quantized.qparams.items()
        },
    }


def _weights_only(network: "Network", scheme: str) -> dict[str, Any]:
    return {
        "scheme": scheme,
        "trained": False,
        "bias_corrections": {name: one.correction for name, one in network.fitted.items()},
        "weight_bits": {name: one.bits for name, one in network.fitted.items()},
    }


def _calibration(export: "Export") -> dict[str, Any] | None:
    if export.calibration is None:
        return None
    return calibration_facts(export.calibration, source=export.choice.source)


def calibration_facts(calibration: "CalibrationSet", *, source: str) -> dict[str, Any]:
    """Return what a report says of the crops that a file was calibrated on."""
    return {
        "source": source,
        "crops": calibration.count,
        "seed": calibration.seed,
        "digest": calibration.digest,
        "images": calibration.images,
    }


def fidelity_facts(fidelity: "Fidelity", *, max_drop: float) -> dict[str, Any]:
    """Return what a report says of a file beside its float network; ``max_drop`` is in dB."""
    return {
        "values": fidelity.values,
        "mismatches": fidelity.mismatches,
        "psnr_to_float": finite(fidelity.psnr_to_float),
        "worst_to_float": finite(fidelity.worst_to_float),
        "max_error": fidelity.max_error,
        "colour_bias": list(fidelity.colour_bias),
        "protocol": "mai",
        "psnr": fidelity.psnr_file,
        "psnr_float": fidelity.psnr_reference,
        "drop": fidelity.drop,
        "max_drop": max_drop,
    }


def _verification(export: "Export") -> dict[str, Any]:
    fidelity, constants = export.fidelity, export.constants
    return {
        "source": export.choice.held_out_source,
        "images": fidelity.images,
        "names": [pair.name for pair in export.choice.held_out],
        "kernels": "xnnpack",
        **fidelity_facts(fidelity, max_drop=export.request.max_drop),
        "constant_levels": {
            "exact": constants.exact,
            "exact_float": constants.exact_float,
            "max_error": constants.max_error,
            "max_error_float": constants.max_error_float,
        },
    }


def finite(psnr: float) -> float | None:
    """Return a PSNR for JSON, which has no infinity: None for equal images."""
    return round(psnr, 4) if math.isfinite(psnr) else None
