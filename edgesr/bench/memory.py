"""Memory of one inference, measured in a process of its own.

The process is also the trial run: a file that kills it (a crash inside native code, a refused
allocation) is reported, and the process that measures time never meets it.
"""

import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgesr.bench.runtime import Contender, check_output, open_work
from edgesr.bench.timing import one_line
from edgesr.errors import DataError
from edgesr.litert import open_model

_MIB = 2**20
_RUNS = 3
_TIMEOUT_S = 600
_NEIGHBOURS = 4096
"""Bytes between two tensors that still belong to one arena."""

_ANSWER = "{"


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Memory of one model at one input size.

    Attributes:
        peak_rss_mib: largest resident memory of the process.
        model_rss_mib: what of it came with the model: peak less what the runtime itself took.
        arena_mib: LiteRT's arena for activations and scratch tensors; None for other runtimes and
            for XNNPACK, which keeps its own workspace and tells nobody its size.
        cuda_peak_mib: largest memory of PyTorch's allocator on the GPU, reset after loading.
    """

    peak_rss_mib: float
    model_rss_mib: float
    arena_mib: float | None = None
    cuda_peak_mib: float | None = None


def measure_memory(contender: Contender, shape: tuple[int, int]) -> Memory:
    """Run ``contender`` in a process of its own and return the memory that it took.

    Raises:
        DataError: it fails there, gives NaN, or ends its process.
    """
    request = {
        "name": contender.name,
        "source": str(contender.source),
        "runtime": contender.runtime,
        "threads": contender.threads,
        "steps": contender.steps,
        "shape": list(shape),
    }
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-m", "edgesr.bench.memory", json.dumps(request)],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise DataError(f"{contender.name}: no result after {_TIMEOUT_S} s; left out") from error
    lines = [line for line in done.stdout.splitlines() if line.startswith(_ANSWER)]
    if not lines:
        tail = " ".join(done.stderr.split()[-30:])
        cause = f"signal {-done.returncode}" if done.returncode < 0 else f"exit {done.returncode}"
        raise DataError(f"{contender.name}: its process died ({cause}): {tail or 'no message'}")
    answer: dict[str, Any] = json.loads(lines[-1])
    if "error" in answer:
        raise DataError(str(answer["error"]))
    return Memory(**answer)


def arena_bytes(source: Path | bytes, shape: tuple[int, int]) -> int:
    """Return the size of LiteRT's arena with its builtin kernels, from the tensors' addresses.

    The interpreter does not tell the size. It does tell where each tensor lies, scratch tensors of
    the kernels included; their union without the constants, which lie in the file, is the arena.
    """
    model = open_model(source, kernels="builtin")
    model.run(np.zeros((1, *shape, model.channels), dtype=model.io))
    interpreter = model._interpreter  # noqa: SLF001 - the only access to tensor addresses
    spans = []
    for tensor in interpreter.get_tensor_details():
        try:
            values = interpreter.tensor(tensor["index"])()
        except ValueError:
            continue  # a tensor that no operator uses has no memory
        if not (tensor["name"] and _is_constant(source, tensor["index"])):
            spans.append((values.__array_interface__["data"][0], values.nbytes))
    return _union(spans)


def _union(spans: list[tuple[int, int]]) -> int:
    total, end = 0, -1
    for start, size in sorted(spans):
        begin = start if end < 0 or start > end + _NEIGHBOURS else end
        if start + size > begin:
            total += start + size - begin
            end = start + size
    return total


def _is_constant(source: Path | bytes, index: int) -> bool:
    from ai_edge_litert import schema_py_generated as schema

    content = source if isinstance(source, bytes) else Path(source).read_bytes()
    model = schema.Model.GetRootAs(content, 0)
    graph = model.Subgraphs(0)
    if index >= graph.TensorsLength():
        return False
    return bool(model.Buffers(graph.Tensors(index).Buffer()).DataLength())


def _measure(request: dict[str, Any]) -> Memory:
    contender = Contender(
        name=request["name"],
        source=Path(request["source"]),
        runtime=request["runtime"],
        threads=request["threads"],
        steps=request["steps"],
    )
    height, width = request["shape"]
    _import(contender.runtime)
    _reset_peak()
    before = _status("VmRSS")
    work = open_work(contender, (height, width))
    check_output(work(), contender.name)
    cuda_peak = _cuda_peak(work) if contender.runtime == "torch-cuda" else None
    for _ in range(_RUNS):
        work()
    peak = _status("VmHWM")
    arena = None
    if contender.runtime == "builtin":
        arena = arena_bytes(Path(request["source"]), (height, width)) / _MIB
    return Memory(
        peak_rss_mib=round(peak, 2),
        model_rss_mib=round(max(peak - before, 0.0), 2),
        arena_mib=None if arena is None else round(arena, 3),
        cuda_peak_mib=cuda_peak,
    )


def _import(runtime: str) -> None:
    """Load the runtime, so that its own memory is not counted as the model's."""
    if runtime.startswith("torch") or runtime == "packed":
        import torch

        torch.zeros(1)
    elif runtime == "onnxruntime":
        __import__("onnxruntime")
    else:
        __import__("ai_edge_litert.interpreter")


def _cuda_peak(work: Any) -> float:
    import torch

    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    work()
    torch.cuda.synchronize()
    return float(torch.cuda.max_memory_allocated() / _MIB)


def _reset_peak() -> None:
    try:
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far: proc(5)
    except OSError:
        return  # elsewhere the peak includes the loading of Python; the difference is then 0


def _status(key: str) -> float:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{key}:"))
    except (OSError, StopIteration):
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / (_MIB if sys.platform == "darwin" else 1024)


def _main() -> None:
    try:
        answer = asdict(_measure(json.loads(sys.argv[1])))
    except Exception as error:  # noqa: BLE001 - reported to the parent, which raises
        answer = {"error": one_line(error)}
    print(json.dumps(answer))


if __name__ == "__main__":
    _main()
