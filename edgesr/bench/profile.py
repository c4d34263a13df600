"""Time by operator of a .tflite file.

LiteRT's Python interpreter has no profiler, and neither has its package's ``litert-benchmark``.
So the file is cut behind each operator and all cuts run interleaved: an operator's time is the
median of what its cut takes longer than the one before. Where a runtime fuses operators across a
cut, the fused time is the later operator's; the last cut is the whole file, so the sum is right.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgesr.bench.timing import Timing, Work, interleave
from edgesr.bench.verdict import median_interval
from edgesr.errors import CheckpointError, DataError, MissingDependencyError
from edgesr.litert import RESOLVERS, Kernels, open_model

_ADVICE = "install ai-edge-litert and flatbuffers"


@dataclass(frozen=True, kw_only=True)
class OperatorTime:
    """What one operator adds, in milliseconds.

    Attributes:
        index: place in execution order.
        operator: name such as ``CONV_2D``.
        output: name of its output tensor.
        median_ms: median of the paired differences.
        low_ms: lower end of its 99 % confidence interval.
        high_ms: upper end.
    """

    index: int
    operator: str
    output: str
    median_ms: float
    low_ms: float
    high_ms: float


def profile_operators(
    source: Path | bytes,
    *,
    shape: tuple[int, int],
    kernels: Kernels = "xnnpack",
    threads: int = 1,
    repeats: int = 15,
) -> tuple[OperatorTime, ...]:
    """Return the time that each operator of a file adds at input size ``shape``.

    Raises:
        CheckpointError: the file is missing or damaged.
        DataError: the file has another fixed size.
        MissingDependencyError: the schema to cut files with is not installed.
    """
    content = source if isinstance(source, bytes) else Path(source).read_bytes()
    whole = open_model(source, kernels=kernels, threads=threads)
    if whole.fixed_shape not in {None, shape}:
        raise DataError(f"{whole.name}: accepts {whole.fixed_shape} only, came {shape}")
    cuts = cut_behind_operators(content)
    works = {
        str(number): _work(cut, shape, kernels=kernels, threads=threads)
        for number, (_, _, cut) in enumerate(cuts)
    }
    timings = interleave(works, repeats=repeats)
    before: Timing | None = None
    result = []
    for number, ((operator, output, _), timing) in enumerate(zip(cuts, timings, strict=True)):
        base = before.wall_ms if before is not None else (0.0,) * repeats
        added = median_interval([a - b for a, b in zip(timing.wall_ms, base, strict=True)])
        result.append(
            OperatorTime(
                index=number,
                operator=operator,
                output=output,
                median_ms=added.median,
                low_ms=added.low,
                high_ms=added.high,
            )
        )
        before = timing
    return tuple(result)


def cut_behind_operators(content: bytes) -> list[tuple[str, str, bytes]]:
    """Return operator, output tensor and file for each beginning of a file's operators.

    A cut's outputs are all tensors that the rest would read, so that nothing before it is idle.
    """
    try:
        import flatbuffers
        from ai_edge_litert import schema_py_generated as schema
    except ImportError as error:
        raise MissingDependencyError(f"profiling needs {error.name}; {_ADVICE}") from error
    names = {code: name for name, code in vars(schema.BuiltinOperator).items() if name.isupper()}
    count = schema.Model.GetRootAs(content, 0).Subgraphs(0).OperatorsLength()
    cuts = []
    for end in range(1, count + 1):
        model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
        graph = model.subgraphs[0]
        last = graph.operators[end - 1]
        code = model.operatorCodes[last.opcodeIndex]
        if end < count:
            graph.outputs = np.array(_live(graph, end), dtype=np.int32)
            graph.operators = graph.operators[:end]
            model.signatureDefs = None
        builder = flatbuffers.Builder(len(content) + 1024)
        builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
        operator = names[max(code.builtinCode, code.deprecatedBuiltinCode)]
        label = graph.tensors[int(last.outputs[0])].name
        output = label.decode() if isinstance(label, bytes) else str(label)
        cuts.append((operator, output, bytes(builder.Output())))
    return cuts


def _live(graph: Any, end: int) -> list[int]:
    made = [int(index) for op in graph.operators[:end] for index in op.outputs]
    read = {int(index) for op in graph.operators[end:] for index in op.inputs}
    read |= {int(index) for index in graph.outputs}
    return [index for index in made if index in read] or made[-1:]


def _work(cut: bytes, shape: tuple[int, int], *, kernels: Kernels, threads: int) -> Work:
    from ai_edge_litert import interpreter as runtime

    resolver = getattr(runtime.OpResolverType, RESOLVERS[kernels])
    try:
        model = runtime.Interpreter(
            model_content=cut, num_threads=threads, experimental_op_resolver_type=resolver
        )
        source = model.get_input_details()[0]
        wanted = (1, *shape, int(source["shape"][-1]))
        model.resize_tensor_input(source["index"], wanted, strict=True)
        model.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        text = " ".join(str(error).split())[:200]
        raise CheckpointError(f"cannot cut this file for a profile ({text})") from error
    batch = np.random.default_rng(0).integers(0, 127, wanted).astype(source["dtype"])
    model.set_tensor(source["index"], batch)
    invoke: Work = model.invoke
    return invoke
