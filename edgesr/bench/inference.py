"""Inference time, memory and profile of models on the host."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgesr.bench.memory import Memory, measure_memory
from edgesr.bench.profile import OperatorTime, profile_operators
from edgesr.bench.results import bench_document
from edgesr.bench.runtime import Contender, Runtime, check_output, contenders, open_work
from edgesr.bench.timing import Failure, Session, Work, one_line, run_session
from edgesr.errors import DataError, EdgesrError
from edgesr.upscalers.load import is_sampled
from edgesr.upscalers.step_schedule import read_schedule

DEFAULT_SHAPE = (360, 640)
_LITERT = ("xnnpack", "builtin", "reference")


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to measure.

    Attributes:
        models: name to file, or to the content of a .tflite.
        shape: height and width of the input; None takes the suite's or ``DEFAULT_SHAPE``.
        threads: numbers of CPU threads.
        runtimes: what runs the models; empty takes the first that fits each.
        repeats: counted repetitions.
        steps: of the diffusion denoisers among the models; None takes those that they name.
        memory: try every contender in a process of its own first and measure its memory.
        profile: time the operators of .tflite files as well.
    """

    models: Mapping[str, Path | bytes]
    shape: tuple[int, int] | None = None
    threads: tuple[int, ...] = (1,)
    runtimes: tuple[Runtime, ...] = ()
    repeats: int = 15
    steps: int | None = None
    memory: bool = True
    profile: bool = False


def measure(request: Request) -> dict[str, Any]:
    """Return a ``bench`` document; contenders that fail are listed in it.

    Raises:
        DataError: there is none that does not fail.
    """
    shape = request.shape or DEFAULT_SHAPE
    listed, failures = _contenders(request)
    memory: dict[str, Memory] = {}
    works: dict[str, Work] = {}
    for contender in listed:
        try:
            if request.memory:
                memory[contender.name] = _memory(contender, shape)
            work = open_work(contender, shape)
            check_output(work(), contender.name)
            works[contender.name] = work
        except Exception as error:  # noqa: BLE001 - one contender's failure is not the others'
            failures.append(Failure(name=contender.name, reason=one_line(error)))
    session = run_session(works, repeats=request.repeats)
    failures += session.failures
    profiles = _profiles(listed, request, shape, failures) if request.profile else {}
    if not session.timings:
        reasons = "; ".join(f"{failure.name}: {failure.reason}" for failure in failures)
        raise DataError(f"nothing could be measured: {reasons or 'no model was named'}")
    document = bench_document(
        Session(timings=session.timings, failures=tuple(failures), overhead=session.overhead),
        what="inference",
        shape=f"{shape[0]}x{shape[1]}",
        threads=request.threads,
        contenders=listed,
        memory=memory,
        profiles=profiles,
    )
    timed = {timing.name for timing in session.timings}
    costs = {one.name: _cost(one, shape) for one in listed if one.name in timed}
    for entry in document["timings"]:
        entry["cost"] = costs[entry["name"]]
    return document


def inference_contenders(
    models: Mapping[str, Path | bytes], *, shape: tuple[int, int], threads: int
) -> dict[str, Work]:
    """Return one LiteRT run each of ``models`` on the same random image.

    Args:
        models: name to file or file content.
        shape: ``(h, w)`` of the low-resolution image; a file of one fixed size must have it.
        threads: LiteRT's threads.

    Raises:
        CheckpointError: a file is missing or damaged.
        DataError: a file has another fixed size.
    """
    works = {}
    for contender in contenders(models, threads=(threads,)):
        works[contender.name] = open_work(contender, shape)
    return works


def _cost(contender: Contender, shape: tuple[int, int]) -> dict[str, Any] | None:
    """Return what the network costs; None of what the counters do not read."""
    from edgesr.bench.cost import complexity

    if isinstance(contender.source, bytes) or contender.runtime == "onnxruntime":
        return None
    if is_sampled(contender.source):
        return _sampling_cost(contender, shape)
    try:
        found = complexity(contender.source, shape=shape).to_json()
    except EdgesrError:
        return None
    return {key: found[key] for key in ("params", "macs", "activations", "peak_memory_mib")}


def _sampling_cost(contender: Contender, shape: tuple[int, int]) -> dict[str, Any]:
    """Return what one step of a denoiser costs, how many there are, and the MACs of them all.

    Of a file of steps only their number is known. Of packed bits the products of bits are counted
    as MACs like the float ones; activations and memory would be those of the float simulation.
    """
    kept = ("params", "macs", "activations", "peak_memory_mib", "num_steps", "total_macs")
    path = Path(str(contender.source))
    if contender.runtime in _LITERT:
        schedule = read_schedule(path)
        steps = 1 if schedule is None else len(schedule.steps)
        return {"num_steps": steps}
    from edgesr.bench.cost_denoiser import denoiser_cost, packed_cost

    if contender.runtime != "packed":
        found = denoiser_cost(str(path), shape=shape, steps=contender.steps).to_json()
        return {key: found[key] for key in kept}
    from edgesr.upscalers.packed import load_packed

    found = packed_cost(load_packed(path), shape=shape, steps=contender.steps).to_json()
    return {key: found[key] for key in ("params", "macs", "num_steps", "total_macs")}


def _contenders(request: Request) -> tuple[list[Contender], list[Failure]]:
    listed: list[Contender] = []
    failures: list[Failure] = []
    for name, source in request.models.items():
        try:
            found = contenders({name: source}, runtimes=request.runtimes, threads=request.threads)
            sampled = isinstance(source, Path) and is_sampled(source)
            steps = request.steps if sampled else None
            listed += [replace(contender, steps=steps) for contender in found]
        except EdgesrError as error:
            failures.append(Failure(name=name, reason=one_line(error)))
    return listed, failures


def _memory(contender: Contender, shape: tuple[int, int]) -> Memory:
    if isinstance(contender.source, Path):
        return measure_memory(contender, shape)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(contender.source)
        return measure_memory(replace(contender, source=path), shape)


def _profiles(
    listed: list[Contender],
    request: Request,
    shape: tuple[int, int],
    failures: list[Failure],
) -> dict[str, tuple[OperatorTime, ...]]:
    profiles = {}
    failed = {failure.name for failure in failures}
    for contender in listed:
        if contender.name in failed or contender.runtime not in _LITERT:
            continue
        kernels: Any = contender.runtime
        try:
            profiles[contender.name] = profile_operators(
                contender.source,
                shape=shape,
                kernels=kernels,
                threads=contender.threads,
                repeats=request.repeats,
            )
        except EdgesrError as error:
            failures.append(Failure(name=f"{contender.name} (profile)", reason=one_line(error)))
    return profiles
