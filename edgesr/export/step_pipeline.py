"""From a denoiser to a .tflite file with a signature a step, verified by running it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType

from edgesr.diffusion.integer_steps import sampled_timesteps
from edgesr.errors import DataError, GateError
from edgesr.export.calibration import (
    CalibrationSet,
    ImageChoice,
    calibration_set,
    choose_images,
)
from edgesr.export.pipeline import MAX_DROP, Clock
from edgesr.export.read import read_signatures
from edgesr.export.report import file_metadata
from edgesr.export.step_centre import CentreExport, centre_export
from edgesr.export.step_cost import StepCost, measure_cost
from edgesr.export.step_networks import calibrated, check_steps, step_networks
from edgesr.export.step_parity import StepsParity, compare_steps, simulation
from edgesr.export.step_report import step_report
from edgesr.export.step_schedule import step_schedule
from edgesr.export.step_walk import Walker, float_walk, held_out_images
from edgesr.export.verify import Fidelity, compare
from edgesr.files import write_bytes, write_json, write_text
from edgesr.litert import open_signatures
from edgesr.models.denoiser_files import LoadedDenoiser
from edgesr.quant.scheme import SCHEMES
from edgesr.quant.stepwise import StepwiseModel
from edgesr.upscalers.diffusion import path_of, sampling_path
from edgesr.upscalers.step_schedule import METADATA_KEY, SUFFIX, StepSchedule, to_text
from edgesr.upscalers.tflite import usable_cpus

STEP_PRECISIONS = ("int8", "float32")
"""What a denoiser's steps can be written in."""
CALIBRATION_IMAGES = 8
"""Each gives two crops, and every crop is fed at every step."""


@dataclass(frozen=True, kw_only=True)
class StepRequest:
    """What to export and how.

    Attributes:
        output: the .tflite file to write.
        precision: one of ``STEP_PRECISIONS``.
        steps: how many of the path's steps get a signature; None takes those that the checkpoint
            is sampled in.
        shape: height and width of the only low-resolution image, or None for every size.
        calibration: folder with training images; None takes those of the run, else the demo's.
        held_out: folder with images to verify with; None takes those that the run held out.
        max_drop: largest accepted loss of PSNR in dB.
        seed: of the calibration crops and of all noise.
    """

    output: Path
    precision: str = "int8"
    steps: int | None = None
    shape: tuple[int, int] | None = None
    calibration: Path | None = None
    held_out: Path | None = None
    max_drop: float = MAX_DROP
    seed: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class StepExport:
    """An exported file of steps and everything that is known about it.

    Attributes:
        request: what was asked for.
        loaded: the denoiser.
        choice: the images.
        calibration: the crops; None for a float32 file, or integers that were there.
        quantized: the integers; None for a float32 file.
        schedule: what the file's host runs by.
        content: the file's bytes.
        single_bytes: size of the file with the first step alone, its centre, and no text.
        fidelity: whole trajectories against the float denoiser at the same noise.
        parity: every signature, and trajectories, against the simulation; None for float32.
        cost: time beside float32, and memory, by signature.
        centre: the network that makes the centre; None where that is bicubic.
        problems: why the file is refused; empty when it is accepted.
        seconds: wall time by stage.
    """

    request: StepRequest
    loaded: LoadedDenoiser
    choice: ImageChoice
    calibration: CalibrationSet | None
    quantized: StepwiseModel | None
    schedule: StepSchedule
    content: bytes
    single_bytes: int
    fidelity: Fidelity
    parity: StepsParity | None
    cost: StepCost
    centre: CentreExport | None
    problems: tuple[str, ...]
    seconds: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))


def export_steps(
    loaded: LoadedDenoiser, request: StepRequest, trained: StepwiseModel | None = None
) -> StepExport:
    """Quantize, write, verify, and put the file, its schedule and its report into place.

    The file is ``request.output``; beside it are the report, suffix ``.json``, and the schedule,
    suffix ``.schedule.json``. A file that fails is kept as ``<name>.rejected`` with
    ``<name>.rejected.json``, and ``request.output`` stays as it was.

    Args:
        loaded: float denoiser, the measure of the file.
        request: what to write.
        trained: its integers, where they are there already; None quantizes it.

    Raises:
        CheckpointError: the path that the checkpoint names cannot be made.
        DataError: images are missing or damaged, or steps cannot be written in the precision.
        DiffusionError: more steps than the path has or than the denoiser was distilled to.
        GateError: operators, exactness or the drop limit are violated.
        GraphError: too many steps for a signature each, a layer of the steps or of the centre has
            no integer form, or a timestep scales a channel by a number that is not positive.
        OutputError: the file cannot be written.
    """
    clock = Clock()
    export = _verified(loaded, request, trained, clock)
    output = request.output
    if export.problems:
        rejected = output.with_name(f"{output.name}.rejected")
        write_bytes(rejected, export.content)
        write_json(rejected.with_name(f"{rejected.name}.json"), step_report(export))
        raise GateError(
            f"{output}: refused: {'; '.join(export.problems)}; kept as {rejected.name} with its "
            "report, train longer or raise --max-drop if the loss is acceptable"
        )
    with clock("save"):
        write_text(output.with_suffix(SUFFIX), to_text(export.schedule) + "\n")
        write_bytes(output, export.content)
    export = replace(export, seconds=dict(clock.seconds))
    write_json(output.with_suffix(".json"), step_report(export))
    return export


def _verified(
    loaded: LoadedDenoiser, request: StepRequest, trained: StepwiseModel | None, clock: Clock
) -> StepExport:
    if request.precision not in STEP_PRECISIONS:
        raise DataError(
            f"{loaded.path}: a denoiser's steps cannot be written as {request.precision}; choose "
            f"one of {', '.join(STEP_PRECISIONS)}"
        )
    whole = path_of(loaded.schedule, loaded.path)
    path = sampling_path(loaded, request.steps)
    check_steps(loaded, path)
    timesteps = sampled_timesteps(path)
    choice = choose_images(
        loaded.path, loaded.scale, calibration=request.calibration, held_out=request.held_out
    )
    crops: CalibrationSet | None = None
    quantized: StepwiseModel | None = None
    if trained is not None:
        quantized = _fitting(loaded, request, trained, timesteps)
    elif request.precision == "int8":
        with clock("read images"):
            crops = calibration_set(
                choice.calibration[:CALIBRATION_IMAGES], loaded.scale, seed=request.seed, large=0
            )
            centre_crops = None
            if loaded.centre is not None:
                centre_crops = calibration_set(choice.calibration, loaded.scale, seed=request.seed)
        quantized = calibrated(
            loaded,
            whole,
            path,
            crops,
            centre_crops=centre_crops,
            seed=request.seed,
            clock=clock,
        )
    with clock("capture"):
        networks = step_networks(loaded, timesteps, quantized)
    corrections = {} if quantized is None else quantized.corrections
    schedule = step_schedule(loaded, whole, path, networks.outputs, corrections=corrections)
    metadata = {
        **file_metadata(loaded, crops, precision=request.precision),
        METADATA_KEY: to_text(schedule),
    }
    with clock("write"):
        content = networks.write(shape=request.shape, metadata=metadata)
        single = networks.single_bytes
    with clock("read images"):
        images = held_out_images(choice, loaded.scale)
    with clock("verify"):
        free = content if request.shape is None else networks.write(metadata=metadata)
        run = open_signatures(free, threads=usable_cpus()).run
        simulated = parity = None
        if quantized is not None:
            simulated = simulation(read_signatures(free), kernels="xnnpack")
            parity = compare_steps(
                content, read_signatures(content), schedule, families=("xnnpack",)
            )
        walk = partial(Walker, schedule=schedule, seed=request.seed)
        fidelity = compare(
            walk(evaluate=run),
            images,
            reference=float_walk(loaded, whole, path, seed=request.seed),
            simulation=None if simulated is None else walk(evaluate=simulated).upscale,
        )
        centre = None
        if networks.centre is not None:
            without = replace(networks, centre=None)
            added = len(content) - len(without.write(shape=request.shape, metadata=metadata))
            centre = centre_export(
                networks.centre, schedule, images, added=added, run=run, simulated=simulated
            )
        problems = networks.problems(content)
    with clock("measure cost"):
        cost = measure_cost(free, networks.write_float32(), schedule)
    return StepExport(
        request=request,
        loaded=loaded,
        choice=choice,
        calibration=crops,
        quantized=quantized,
        schedule=schedule,
        content=content,
        single_bytes=single,
        fidelity=fidelity,
        parity=parity,
        cost=cost,
        centre=centre,
        problems=(*problems, *_fidelity_problems(fidelity, parity, centre, request)),
        seconds=clock.seconds,
    )


def _fitting(
    loaded: LoadedDenoiser,
    request: StepRequest,
    trained: StepwiseModel,
    timesteps: Sequence[int],
) -> StepwiseModel:
    """Return integers that were there; refuse those that are not what is asked for."""
    scheme = SCHEMES[trained.steps[0].quantized.scheme]
    if scheme.simulated:
        raise DataError(
            f"{loaded.path}: holds {scheme.label}, which no kernel computes; quantize to wi8_ai8"
        )
    if request.precision != "int8":
        raise DataError(
            f"{loaded.path}: holds integers, which are written as int8, not {request.precision}; "
            "name the float denoiser"
        )
    if trained.timesteps != tuple(timesteps):
        raise DataError(
            f"{loaded.path}: holds integers for timesteps {list(trained.timesteps)}, want "
            f"{list(timesteps)}; drop --steps, or quantize for these"
        )
    if (loaded.centre is None) != (trained.centre is None):
        has = "has no integers" if trained.centre is None else "has integers, but no weights"
        raise DataError(f"{loaded.path}: its centre {has}; quantize the denoiser again")
    return trained


def _fidelity_problems(
    fidelity: Fidelity,
    parity: StepsParity | None,
    centre: CentreExport | None,
    request: StepRequest,
) -> list[str]:
    problems: list[str] = []
    differing = (fidelity.mismatches or 0) + (0 if parity is None else parity.mismatches)
    differing += 0 if centre is None else centre.fidelity.mismatches or 0
    if differing:
        problems.append(f"file and integer simulation differ in {differing} values, want 0")
    if fidelity.drop > request.max_drop:
        problems.append(
            f"PSNR drops by {fidelity.drop:.3f} dB against float, want {request.max_drop} at most"
        )
    return problems
