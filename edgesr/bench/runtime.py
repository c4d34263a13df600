"""One inference on the host: LiteRT's kernel families, ONNX Runtime, PyTorch, packed bits."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgesr.bench.timing import Work
from edgesr.errors import CheckpointError, DataError, MissingDependencyError, UsageError
from edgesr.litert import open_model
from edgesr.upscalers.load import is_sampled
from edgesr.upscalers.step_schedule import read_schedule
from edgesr.upscalers.stepwise import StepwiseUpscaler

Runtime = Literal["xnnpack", "builtin", "reference", "onnxruntime", "torch", "torch-cuda", "packed"]

_SEED = 0
_LITERT: tuple[Runtime, ...] = ("xnnpack", "builtin", "reference")
_FLOAT_TYPES: Mapping[str, type[np.generic]] = MappingProxyType(
    {"tensor(float)": np.float32, "tensor(uint8)": np.uint8, "tensor(int8)": np.int8}
)


@dataclass(frozen=True, kw_only=True)
class Contender:
    """A model on a runtime.

    Attributes:
        name: what results call it.
        source: file, or content of a .tflite.
        runtime: what runs it.
        threads: CPU threads.
        steps: of a diffusion denoiser; None takes those that its file names, or all of its path.
            All of them are one inference.
    """

    name: str
    source: Path | bytes
    runtime: Runtime
    threads: int = 1
    steps: int | None = None


def contenders(
    models: Mapping[str, Path | bytes],
    *,
    runtimes: Sequence[Runtime] = (),
    threads: Sequence[int] = (1,),
) -> tuple[Contender, ...]:
    """Return every model on every runtime that can run it, with every number of threads.

    Args:
        models: name to file or file content.
        runtimes: which to use; none names the first that fits each file.
        threads: numbers of threads.

    Raises:
        UsageError: no runtime of those named runs one of the files.
    """
    listed = []
    for name, source in models.items():
        able = _able(source)
        chosen = [runtime for runtime in runtimes if runtime in able] if runtimes else able[:1]
        if not chosen:
            raise UsageError(
                f"{name}: runs on {' or '.join(able)}, not on {' or '.join(runtimes)}; add "
                f"--runtime {able[0]}"
            )
        listed += [(name, source, runtime, count) for runtime in chosen for count in threads]
    several_runtimes, several_threads = bool(runtimes), len(threads) > 1
    return tuple(
        Contender(
            name=" ".join(
                [
                    name,
                    *([runtime] if several_runtimes else []),
                    *([f"{count} thread{'s' if count > 1 else ''}"] if several_threads else []),
                ]
            ),
            source=source,
            runtime=runtime,
            threads=count,
        )
        for name, source, runtime, count in listed
    )


def open_work(contender: Contender, shape: tuple[int, int]) -> Work:
    """Load a contender and return one inference on a fixed random image of ``shape``.

    Raises:
        CheckpointError: the file is missing or damaged.
        DataError: the file has another fixed size, or the runtime samples no denoisers.
        DiffusionError: more steps than a denoiser's path has.
        MissingDependencyError: the runtime is not installed.
    """
    image = random_image(shape)
    if contender.runtime in _LITERT:
        return _litert(contender, image)
    return _OPENERS[contender.runtime](contender, image)


def random_image(shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the ``(h, w, 3)`` noise that every contender gets."""
    return np.random.default_rng(_SEED).integers(0, 256, (*shape, 3), dtype=np.uint8)


def check_output(output: object, name: str) -> None:
    """Refuse an output that holds NaN or infinity.

    Raises:
        DataError: it does.
    """
    if not isinstance(output, np.ndarray):
        output = np.asarray(output.float().cpu() if hasattr(output, "cpu") else 0)  # type: ignore[attr-defined]
    if output.dtype.kind == "f" and not np.isfinite(output).all():
        count = int(output.size - np.count_nonzero(np.isfinite(output)))
        raise DataError(
            f"{name}: {count} of {output.size} output values are NaN or infinite; check the "
            "weights, its time means nothing"
        )


def _able(source: Path | bytes) -> tuple[Runtime, ...]:
    if isinstance(source, bytes) or source.suffix == ".tflite":
        return _LITERT
    if source.suffix == ".onnx":
        return ("onnxruntime",)
    if source.suffix == ".esb":
        return ("packed",)
    if source.suffix in {".safetensors", ".pth"} or source.is_dir():
        return ("torch", "torch-cuda")
    if not source.exists():
        raise CheckpointError(f"{source}: no such file; check the path")
    raise CheckpointError(
        f"{source}: is no model file, want .tflite, .esb, .onnx, .safetensors, .pth or a run folder"
    )


def _litert(contender: Contender, image: NDArray[np.uint8]) -> Work:
    if isinstance(contender.source, Path) and read_schedule(contender.source) is not None:
        return _stepwise(contender, contender.source, image)
    kernels: Any = contender.runtime
    model = open_model(contender.source, kernels=kernels, threads=contender.threads)
    batch = model.input_grid.encode(image)[None]
    return lambda: model.run(batch)


def _stepwise(contender: Contender, path: Path, image: NDArray[np.uint8]) -> Work:
    """Return all steps of one image by a file of signatures, with its enlargement and its noise."""
    if contender.runtime != "xnnpack":
        raise DataError(
            f"{contender.name}: a file of several steps runs on xnnpack; drop "
            f"--runtime {contender.runtime}"
        )
    upscaler = StepwiseUpscaler(path, threads=contender.threads, steps=contender.steps)
    return lambda: upscaler(image)


def _onnxruntime(contender: Contender, image: NDArray[np.uint8]) -> Work:
    path = _path(contender)
    runtime = _optional("onnxruntime", "pip install onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = contender.threads
    options.inter_op_num_threads = 1
    try:
        session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise CheckpointError(
            f"{path}: cannot be opened ({' '.join(str(error).split())[:200]}); want an "
            "undamaged .onnx file"
        ) from error
    inputs = session.get_inputs()
    source = inputs[0]
    if len(inputs) != 1 or source.type not in _FLOAT_TYPES or len(source.shape) != image.ndim + 1:
        raise CheckpointError(
            f"{path}: inputs are {[(i.shape, i.type) for i in inputs]}, want one image"
        )
    batch = image[None].astype(_FLOAT_TYPES[source.type])
    if source.shape[1] == image.shape[-1]:
        batch = np.ascontiguousarray(batch.transpose(0, 3, 1, 2))
    return lambda: session.run(None, {source.name: batch})[0]


def _torch(contender: Contender, image: NDArray[np.uint8]) -> Work:
    torch = _optional("torch", "install edgesr[train]")
    if is_sampled(_path(contender)):
        return _sampling(contender, image)
    module = _module(contender).to(memory_format=torch.channels_last)
    batch = torch.from_numpy(image).permute(2, 0, 1)[None].float()

    def work() -> object:
        if torch.get_num_threads() != contender.threads:
            torch.set_num_threads(contender.threads)
        with torch.inference_mode():
            return module(batch)

    return work


def _packed(contender: Contender, image: NDArray[np.uint8]) -> Work:
    _optional("torch", "install edgesr[train]")
    return _sampling(contender, image)


def _sampling(contender: Contender, image: NDArray[np.uint8]) -> Work:
    """Return all steps of one image, with its enlargement and its noise."""
    import torch

    from edgesr.upscalers.diffusion import DiffusionUpscaler

    upscaler = DiffusionUpscaler(_path(contender), steps=contender.steps)

    def work() -> object:
        if torch.get_num_threads() != contender.threads:
            torch.set_num_threads(contender.threads)
        return upscaler(image)

    return work


def _torch_cuda(contender: Contender, image: NDArray[np.uint8]) -> Work:
    torch = _optional("torch", "install edgesr[train]")
    if not torch.cuda.is_available():
        raise MissingDependencyError(f"{contender.name}: no CUDA device; use --runtime torch")
    if is_sampled(_path(contender)):
        raise DataError(f"{contender.name}: denoisers are sampled on the CPU; use --runtime torch")
    module = _module(contender).to("cuda")
    batch = torch.from_numpy(image).permute(2, 0, 1)[None].float().to("cuda")

    def work() -> object:
        with torch.inference_mode():
            result = module(batch)
        torch.cuda.synchronize()
        return result

    return work


def _module(contender: Contender) -> Any:
    from edgesr.models.checkpoint import load_model

    return load_model(_path(contender)).module


def _path(contender: Contender) -> Path:
    if isinstance(contender.source, bytes):
        raise DataError(f"{contender.name}: {contender.runtime} wants a file, not its content")
    return contender.source


def _optional(package: str, advice: str) -> Any:
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise MissingDependencyError(f"{package} is not installed; {advice}") from error


_OPENERS: Mapping[Runtime, Callable[[Contender, NDArray[np.uint8]], Work]] = MappingProxyType(
    {
        "onnxruntime": _onnxruntime,
        "torch": _torch,
        "torch-cuda": _torch_cuda,
        "packed": _packed,
    }
)
