"""The three files that a comparison of float32, INT8 and one bit is made of, and their costs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgesr.bench.binary_comparison_page import FLOAT, INT8, ONE_BIT
from edgesr.bench.cost_binary import binary_cost
from edgesr.bench.cost_denoiser import denoiser_cost
from edgesr.errors import DataError
from edgesr.files import sha256_file
from edgesr.models.denoiser_files import LoadedDenoiser, load_denoiser
from edgesr.models.denoisers import build_denoiser
from edgesr.upscalers.diffusion import sampling_path
from edgesr.upscalers.packed import load_packed
from edgesr.upscalers.step_schedule import StepSchedule, read_schedule


@dataclass(frozen=True, kw_only=True, eq=False)
class Trio:
    """What is compared, opened.

    Attributes:
        twin: the float denoiser.
        int8: file of the twin's steps.
        schedule: of that file.
        one_bit: the packed denoiser.
        packed: its file.
    """

    twin: LoadedDenoiser
    int8: Path
    schedule: StepSchedule
    one_bit: LoadedDenoiser
    packed: Path

    @property
    def sources(self) -> dict[str, Path]:
        """Return the file of each by name."""
        return {FLOAT: self.twin.path, INT8: self.int8, ONE_BIT: self.packed}

    @property
    def num_steps(self) -> int:
        """Return the steps of each."""
        return len(self.schedule.steps)


def open_trio(twin: Path, int8: Path, one_bit: Path) -> Trio:
    """Open a float denoiser, the INT8 file of its steps, and a packed denoiser.

    Raises:
        CheckpointError: a file is missing or damaged.
        DataError: the INT8 file has no schedule, or scales or numbers of steps differ.
    """
    schedule = read_schedule(int8)
    if schedule is None:
        raise DataError(f"{int8}: is no denoiser's file of steps; write one with edgesr export")
    found = Trio(
        twin=load_denoiser(twin),
        int8=int8,
        schedule=schedule,
        one_bit=load_packed(one_bit),
        packed=one_bit,
    )
    facts = {
        twin: (found.twin.scale, sampling_path(found.twin, None).num_steps),
        int8: (schedule.scale, len(schedule.steps)),
        one_bit: (found.one_bit.scale, sampling_path(found.one_bit, None).num_steps),
    }
    if len(set(facts.values())) > 1:
        listed = ", ".join(f"{path} x{scale} in {n} steps" for path, (scale, n) in facts.items())
        raise DataError(f"scales or steps differ ({listed}); compare what does the same work")
    return found


def network_facts(trio: Trio, shape: tuple[int, int]) -> list[dict[str, Any]]:
    """Return bytes, training and costs of each; the rule of papers counts float and one bit.

    Args:
        trio: what is compared.
        shape: height and width of the low-resolution image.
    """
    scale = trio.twin.scale
    cost = denoiser_cost(str(trio.twin.path), shape=shape).step
    large = (scale * shape[0], scale * shape[1])
    network = build_denoiser(trio.one_bit.descriptor.name, scale, trio.one_bit.style)
    bits = binary_cost(network, shape=large)
    rules: dict[str, dict[str, float | None]] = {
        FLOAT: {"params": cost.params, "ops": cost.macs, "float_share": 1.0},
        INT8: {"params": None, "ops": None, "float_share": None},
        ONE_BIT: {
            "params": bits.paper_params,
            "ops": bits.paper_ops,
            "float_share": bits.float_share,
        },
    }
    about = {
        FLOAT: (trio.twin.descriptor.name, trio.twin.metadata),
        INT8: (f"{trio.twin.descriptor.name}, from the float one", {}),
        ONE_BIT: (trio.one_bit.descriptor.name, trio.one_bit.metadata),
    }
    return [
        {
            "name": name,
            "network": about[name][0],
            "bytes": path.stat().st_size,
            "sha256": sha256_file(path),
            "trained_steps": about[name][1].get("steps"),
            "best_step": about[name][1].get("step"),
            "data_sha256": about[name][1].get("data_sha256"),
            "rule": rules[name],
        }
        for name, path in trio.sources.items()
    ]
