"""From a checkpoint to a .tflite file that was verified by running it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edgesr.errors import CheckpointError, DataError, GateError
from edgesr.export.calibration import (
    CalibrationSet,
    ImageChoice,
    calibration_set,
    choose_images,
    held_out_pair,
)
from edgesr.export.calibration_warnings import calibration_warnings
from edgesr.export.challenge import CHALLENGE_FILES
from edgesr.export.precisions import PRECISIONS, Int8Network, Network
from edgesr.export.report import file_metadata, report
from edgesr.export.tflite import Io
from edgesr.export.verify import (
    ConstantLevels,
    Fidelity,
    compare,
    constant_levels,
    fixed_mismatches,
)
from edgesr.files import write_bytes, write_json
from edgesr.graph.capture import capture
from edgesr.graph.passes import lower
from edgesr.litert import open_model
from edgesr.models.checkpoint import LoadedModel
from edgesr.quant.ptq import PtqResult
from edgesr.quant.scheme import QuantizedGraph
from edgesr.upscalers.tflite import usable_cpus

MAX_DROP = 0.1
"""Largest loss of PSNR against the float network that is accepted, in dB."""

_WARNING_IMAGES = 4


@dataclass(frozen=True, kw_only=True)
class ExportRequest:
    """What to export and how.

    Attributes:
        output: the .tflite file to write.
        precision: a key of ``PRECISIONS``.
        io: dtype of input and output; None takes the precision's first.
        shape: height and width of the only input size, or None for every size.
        calibration: folder with training images; None takes those of the run, else the demo's.
        held_out: folder with images to verify with; None takes those that the run held out.
        max_drop: largest accepted loss of PSNR in dB.
        seed: of the calibration crops.
    """

    output: Path
    precision: str = "int8"
    io: Io | None = None
    shape: tuple[int, int] | None = None
    calibration: Path | None = None
    held_out: Path | None = None
    max_drop: float = MAX_DROP
    seed: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Export:
    """An exported file and everything that is known about it.

    Attributes:
        request: what was asked for.
        loaded: the network.
        choice: the images.
        calibration: the crops; None where none were needed or the scales were trained.
        network: the network at the precision that was asked for.
        io: dtype of input and output.
        content: the file's bytes.
        fidelity: comparison with the float network.
        constants: what happens to grey images.
        problems: why the file is refused; empty when it is accepted.
        warnings: what is wrong with the calibration of an int8 file.
        seconds: wall time by stage.
    """

    request: ExportRequest
    loaded: LoadedModel
    choice: ImageChoice
    calibration: CalibrationSet | None
    network: Network
    io: Io
    content: bytes
    fidelity: Fidelity
    constants: ConstantLevels
    problems: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)


def export_model(
    loaded: LoadedModel, request: ExportRequest, trained: QuantizedGraph | None = None
) -> Export:
    """Quantize, write, verify, and put the file with its report into place.

    The file is ``request.output``; the report is beside it with suffix ``.json``. A file that fails
    is kept as ``<name>.rejected`` with ``<name>.rejected.json``, and ``request.output`` stays as it
    was.

    Args:
        loaded: float network, the measure of the file.
        request: what to write.
        trained: its integers where quantization was trained; they are written as they are.

    Raises:
        CheckpointError: another precision or calibration is asked for of trained integers.
        GateError: operators, exactness or the drop limit are violated.
        GraphError: the network holds something that cannot be exported.
        DataError: images are missing or damaged, or there is no such precision or I/O.
        OutputError: the file cannot be written.
    """
    clock = Clock()
    export = _verified(loaded, request, clock, trained)
    output = request.output
    if export.problems:
        rejected = output.with_name(f"{output.name}.rejected")
        write_bytes(rejected, export.content)
        write_json(rejected.with_name(f"{rejected.name}.json"), report(export))
        raise GateError(
            f"{output}: refused: {'; '.join(export.problems)}; kept as {rejected.name} with its "
            "report, train longer or raise --max-drop if the loss is acceptable"
        )
    with clock("save"):
        write_bytes(output, export.content)
    export.seconds.update(clock.seconds)
    write_json(output.with_suffix(".json"), report(export))
    return export


def write_challenge_files(export: Export) -> list[Path]:
    """Write the triplet of the Mobile AI challenge beside an exported int8 file.

    Raises:
        GateError: one of the files is not clean or not exact; none is written then.
        OutputError: a file cannot be written.
    """
    network = export.network
    if not isinstance(network, Int8Network):
        return []
    lr, _ = held_out_pair(export.choice.held_out[0], export.loaded.scale)
    contents: dict[str, bytes] = {}
    for name, (io, shape) in CHALLENGE_FILES.items():
        metadata = file_metadata(export.loaded, export.calibration, precision="int8")
        content = network.write(io=io, shape=shape, metadata=metadata)
        problems = list(network.problems(content, io))
        if fixed_mismatches(open_model(content), network.simulation, lr):
            problems.append("file and simulation differ")
        if problems:
            raise GateError(f"{name}: refused: {'; '.join(problems)}")
        contents[name] = content
    paths = [export.request.output.with_name(name) for name in contents]
    for path, content in zip(paths, contents.values(), strict=True):
        write_bytes(path, content)
    return paths


class Clock:
    """Wall time by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Add the time of a ``with`` block to ``stage``."""
        start = time.perf_counter()
        yield
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start


def _verified(
    loaded: LoadedModel, request: ExportRequest, clock: Clock, trained: QuantizedGraph | None
) -> Export:
    io = _io(request)
    if trained is not None and (request.precision != "int8" or request.calibration is not None):
        raise CheckpointError(
            f"{loaded.path}: its scales were trained in int8; drop --float32, --precision and "
            "--calibration, or export the float run that it came from"
        )
    choice = choose_images(
        loaded.path, loaded.scale, calibration=request.calibration, held_out=request.held_out
    )
    precision = PRECISIONS[request.precision]
    with clock("capture"):
        graph = lower(capture(loaded.module, name=loaded.descriptor.name))
    crops: CalibrationSet | None = None
    network: Network
    if trained is not None:
        network = Int8Network(quantized=trained)
    else:
        if precision.calibrated:
            with clock("read images"):
                crops = calibration_set(choice.calibration, loaded.scale, seed=request.seed)
        with clock("quantize"):
            network = precision.make(graph, () if crops is None else crops.batches)
    with clock("write"):
        metadata = file_metadata(loaded, crops, precision=request.precision)
        content = network.write(io=io, shape=request.shape, metadata=metadata)
    with clock("read images"):
        images = [held_out_pair(pair, loaded.scale) for pair in choice.held_out]
    reference = float_reference(loaded.module)
    with clock("verify"):
        free = content
        if request.shape is not None:
            free = network.write(io=io, shape=None, metadata=metadata)
        file = open_model(free, threads=usable_cpus())
        fidelity = compare(file, images, reference=reference, simulation=network.simulation)
        constants = constant_levels(file, reference, reach=loaded.descriptor.receptive_field // 2)
        problems = _problems(content, network, request, fidelity, images[0][0])
    warnings: tuple[str, ...] = ()
    if crops is not None and isinstance(network.ptq, PtqResult):
        with clock("check calibration"):
            looked_at = [lr for lr, _ in images[:_WARNING_IMAGES]]
            warnings = calibration_warnings(crops, network.ptq, looked_at)
    return Export(
        request=request,
        loaded=loaded,
        choice=choice,
        calibration=crops,
        network=network,
        io=io,
        content=content,
        fidelity=fidelity,
        constants=constants,
        problems=problems,
        warnings=warnings,
        seconds=clock.seconds,
    )


def _io(request: ExportRequest) -> Io:
    precision = PRECISIONS.get(request.precision)
    if precision is None:
        raise DataError(
            f"precision {request.precision!r} is unknown; choose one of {', '.join(PRECISIONS)}"
        )
    io = request.io or precision.ios[0]
    if io not in precision.ios:
        raise DataError(
            f"a {request.precision} file has no {io} input; choose one of "
            f"{', '.join(precision.ios)}"
        )
    return io


def _problems(
    content: bytes,
    network: Network,
    request: ExportRequest,
    fidelity: Fidelity,
    lr: NDArray[np.uint8],
) -> tuple[str, ...]:
    problems = list(network.problems(content, _io(request)))
    differing = fidelity.mismatches or 0
    if network.simulation is not None and request.shape is not None:
        differing += fixed_mismatches(open_model(content), network.simulation, lr)
    if differing:
        problems.append(f"file and integer simulation differ in {differing} values, want 0")
    if fidelity.drop > request.max_drop:
        problems.append(
            f"PSNR drops by {fidelity.drop:.3f} dB against float, want {request.max_drop} at most"
        )
    return tuple(problems)


def float_reference(module: nn.Module) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    """Return the float network as a function of one image; its output is clipped, not rounded."""

    def run(lr: NDArray[np.uint8]) -> NDArray[np.float32]:
        image = torch.from_numpy(lr).permute(2, 0, 1)[None].float()
        with torch.no_grad():
            sr = module(image)[0].clamp(0.0, 255.0)
        result: NDArray[np.float32] = sr.permute(1, 2, 0).numpy()
        return result

    return run
