"""What is written beside an exported file of steps."""

import hashlib
import platform
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from edgesr import __version__
from edgesr.export.inspect import read_content
from edgesr.export.report import calibration_facts, fidelity_facts
from edgesr.files import sha256_file
from edgesr.litert import version as litert_version

if TYPE_CHECKING:
    from edgesr.export.step_pipeline import StepExport

SCHEMA = "edgesr/step_export/1"


def step_report(export: "StepExport") -> dict[str, Any]:
    """Return everything that is known about an exported file of steps as JSON values.

    Lengths are in pixels, PSNR in dB, colour in grey levels, time in seconds or milliseconds,
    memory in MiB.
    """
    request, loaded = export.request, export.loaded
    schedule = export.schedule
    operators = {
        step.signature: list(read_content(export.content, subgraph=number).operators)
        for number, step in enumerate(schedule.steps)
    }
    first = next(iter(operators.values()))
    return {
        "schema": SCHEMA,
        "edgesr": __version__,
        "litert": litert_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "accepted": not export.problems,
        "problems": list(export.problems),
        "file": request.output.name,
        "bytes": len(export.content),
        "bytes_of_one_step": export.single_bytes,
        "sha256": hashlib.sha256(export.content).hexdigest(),
        "model": loaded.descriptor.name,
        "scale": loaded.scale,
        "checkpoint": {
            "file": str(loaded.path),
            "sha256": sha256_file(loaded.path),
            "metadata": dict(loaded.metadata),
        },
        "precision": request.precision,
        "io": schedule.io,
        "shape": None if request.shape is None else list(request.shape),
        "signatures": [
            {
                "name": step.signature,
                "timestep": step.timestep,
                "group": group,
                "output": asdict(step.output),
            }
            for step, group in zip(schedule.steps, _groups(export), strict=True)
        ],
        "centre": None if export.centre is None else export.centre.to_json(),
        "same_operators": all(one == first for one in operators.values()),
        "operators": dict(Counter(first)),
        "operator_list": first,
        "calibration": _calibration(export),
        "verification": _verification(export),
        "cost": asdict(export.cost),
        "seconds": {stage: round(value, 3) for stage, value in export.seconds.items()},
    }


def _groups(export: "StepExport") -> list[int | None]:
    if export.quantized is None:
        return [None] * len(export.schedule.steps)
    return [step.group for step in export.quantized.steps]


def _calibration(export: "StepExport") -> dict[str, Any] | None:
    if export.calibration is None:
        return None
    return {
        **calibration_facts(export.calibration, source=export.choice.source),
        "samples": export.calibration.count * len(export.schedule.steps),
        "kind": "all",
    }


def _verification(export: "StepExport") -> dict[str, Any]:
    fidelity, parity = export.fidelity, export.parity
    return {
        "source": export.choice.held_out_source,
        "images": fidelity.images,
        "kernels": "xnnpack",
        "sampler": "ddim",
        "noise_seed": export.request.seed,
        **fidelity_facts(fidelity, max_drop=export.request.max_drop),
        "signatures": None if parity is None else [asdict(one) for one in parity.signatures],
        "trajectories": None if parity is None else [asdict(one) for one in parity.trajectories],
    }
