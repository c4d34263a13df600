"""Run a .tflite file with LiteRT: the one module that creates interpreters.

LiteRT has three int8 kernel families whose roundings differ, so every model is opened for a named
one. ``tflite_runtime``, LiteRT's predecessor, is used where ``ai_edge_litert`` is missing.
"""

import importlib
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from edgesr.errors import CheckpointError, DataError, MissingDependencyError

Kernels = Literal["xnnpack", "builtin", "reference"]

RESOLVERS: Mapping[str, str] = MappingProxyType(
    {
        "xnnpack": "AUTO",
        "builtin": "BUILTIN_WITHOUT_DEFAULT_DELEGATES",
        "reference": "BUILTIN_REF",
    }
)
"""Kernel family -> name of LiteRT's ``OpResolverType``."""

_PROBE_SIZE = (16, 16)
_IMAGE_RANK = 4
_MIN_BYTES = 8


@dataclass(frozen=True, kw_only=True)
class IoGrid:
    """What the numbers of a model's input or output mean: ``real = scale * (q - zero_point)``.

    Attributes:
        dtype: uint8, int8 or float32; a float32 tensor has scale 1 and zero point 0.
        scale: quantization step in grey levels.
        zero_point: the code of grey level 0.
    """

    dtype: np.dtype[Any]
    scale: float
    zero_point: int

    def encode(self, levels: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
        """Turn grey levels [0, 255] into the tensor's numbers; exact where scale is 1."""
        if self.dtype == np.float32:
            return levels.astype(np.float32)
        if self.dtype == np.uint8 and self.scale == 1.0 and self.zero_point == 0:
            return levels
        codes = np.rint(levels.astype(np.float64) / self.scale) + self.zero_point
        limits = np.iinfo(self.dtype)
        return codes.clip(limits.min, limits.max).astype(self.dtype)

    def decode(self, numbers: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        """Turn the tensor's numbers into grey levels, rounded half to even and clipped."""
        if self.dtype == np.uint8 and self.scale == 1.0 and self.zero_point == 0:
            return numbers
        levels = numbers.astype(np.float64)
        if self.dtype != np.float32:
            levels = (levels - self.zero_point) * self.scale
        return np.rint(levels).clip(0, 255).astype(np.uint8)


class LiteModel:
    """One opened .tflite file with one image input and one image output, both NHWC.

    Attributes:
        name: file name, or ``<bytes>``, for messages.
        kernels: kernel family that it runs on.
        metadata: text entries that edgesr wrote into the file (empty for files from elsewhere).
        io: dtype of the input.
        input_grid: meaning of the input's numbers.
        output_grid: meaning of the output's numbers.
        fixed_shape: ``(h, w)`` of the only accepted input, or None when any size is accepted.
        scale: upscaling factor, found from the shapes.
    """

    def __init__(
        self, interpreter: Any, *, name: str, kernels: Kernels, metadata: Mapping[str, str]
    ) -> None:
        self.name = name
        self.kernels = kernels
        self.metadata = metadata
        self._interpreter = interpreter
        _refuse_steps(interpreter, name)
        source = _only(interpreter.get_input_details(), name, "input")
        self._input: int = source["index"]
        self.io: np.dtype[Any] = np.dtype(source["dtype"])
        self.input_grid = _grid(source)
        self.channels = int(source["shape"][-1])
        signature = source.get("shape_signature", source["shape"])
        fixed = bool(np.all(np.asarray(signature)[1:3] > 0))
        self.fixed_shape = (int(signature[1]), int(signature[2])) if fixed else None
        self._shape: tuple[int, ...] = ()
        self._resize((1, *(self.fixed_shape or _PROBE_SIZE), self.channels))
        target = _only(interpreter.get_output_details(), name, "output")
        self._output: int = target["index"]
        self.output_grid = _grid(target)
        self.scale = self._find_scale(tuple(int(n) for n in target["shape"]))

    def run(self, batch: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Run a batch ``(n, h, w, 3)`` of the model's input dtype, one image at a time.

        Returns:
            ``(n, h * scale, w * scale, 3)`` in the output's dtype and grid, not converted.

        Raises:
            DataError: another dtype, rank, channel count, or a size that a static file refuses.
        """
        self._check(batch)
        results = []
        for image in batch:
            self._resize((1, *image.shape))
            self._interpreter.set_tensor(self._input, image[None])
            self._interpreter.invoke()
            results.append(self._interpreter.get_tensor(self._output))
        return np.concatenate(results)

    def upscale(self, lr: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Upscale one uint8 RGB image ``(h, w, 3)`` whatever the dtype of the file's I/O.

        Raises:
            DataError: the file refuses the image's size, or its output is not finite.
        """
        numbers = self.run(self.input_grid.encode(lr)[None])[0]
        if numbers.dtype == np.float32 and not np.isfinite(numbers).all():
            raise DataError(
                f"{self.name}: its output holds NaN or infinity; the weights or the file are "
                "damaged, export it again"
            )
        return self.output_grid.decode(numbers)

    def tensor_shapes(self, shape: tuple[int, int]) -> dict[int, tuple[int, ...]]:
        """Return the shape of every tensor, by its number in the file, for ``(h, w)`` images.

        Kernels other than ``xnnpack`` give them all; a delegate hides those that it fuses.

        Raises:
            DataError: the file is of another fixed size.
        """
        self._check(np.zeros((1, *shape, self.channels), self.io))
        self._resize((1, *shape, self.channels))
        details = self._interpreter.get_tensor_details()
        return {int(one["index"]): tuple(int(n) for n in one["shape"]) for one in details}

    def _check(self, batch: npt.NDArray[Any]) -> None:
        if batch.ndim != _IMAGE_RANK or batch.shape[3] != self.channels or 0 in batch.shape:
            raise DataError(
                f"{self.name}: input has shape {batch.shape}, want (n, h, w, {self.channels}); "
                "pass images as NHWC"
            )
        if batch.dtype != self.io:
            raise DataError(
                f"{self.name}: input is {batch.dtype}, want {self.io}; convert it or use upscale"
            )
        if self.fixed_shape is not None and batch.shape[1:3] != self.fixed_shape:
            found, wanted = (f"{h}x{w}" for h, w in (batch.shape[1:3], self.fixed_shape))
            raise DataError(
                f"{self.name}: image is {found}, want {wanted}; this file accepts one size only, "
                "export without --shape for every size"
            )

    def _resize(self, shape: tuple[int, ...]) -> None:
        if shape == self._shape:
            return
        try:
            self._interpreter.resize_tensor_input(self._input, shape, strict=True)
            self._interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise CheckpointError(
                f"{self.name}: does not run on {self.kernels} kernels for input {shape} "
                f"({_one_line(error)}); want a file that edgesr exported"
            ) from error
        self._shape = shape

    def _find_scale(self, shape: tuple[int, ...]) -> int:
        scale, rest = divmod(shape[1], self._shape[1]) if len(shape) == _IMAGE_RANK else (0, 0)
        wanted = (1, self._shape[1] * scale, self._shape[2] * scale, self.channels)
        if rest or shape != wanted:
            raise CheckpointError(
                f"{self.name}: turns {self._shape} into {shape}, want an image enlarged by a whole "
                "factor; this is no super-resolution model"
            )
        return scale


class SignatureModel:
    """One opened .tflite file of several signatures, each with inputs by name and one output.

    Attributes:
        name: file name, or ``<bytes>``, for messages.
        kernels: kernel family that it runs on.
        signatures: names, in the file's order.
    """

    def __init__(self, interpreter: Any, *, name: str, kernels: Kernels) -> None:
        self.name, self.kernels = name, kernels
        self.signatures = tuple(interpreter.get_signature_list())
        self._interpreter = interpreter
        self._runners: dict[str, Any] = {}

    def input_grids(self, signature: str) -> dict[str, IoGrid]:
        """Return what the numbers of each input mean, by name.

        Raises:
            CheckpointError: the file has no such signature.
        """
        details = self._runner(signature).get_input_details()
        return {name: _grid(one) for name, one in details.items()}

    def output_grid(self, signature: str) -> IoGrid:
        """Return what the numbers of the output mean.

        Raises:
            CheckpointError: the file has no such signature, or it has not one output.
        """
        details = self._runner(signature).get_output_details()
        if len(details) != 1:
            raise CheckpointError(
                f"{self.name}: signature {signature} has {len(details)} outputs, want 1; "
                "want a file that edgesr exported"
            )
        return _grid(next(iter(details.values())))

    def fixed_shapes(self, signature: str) -> dict[str, tuple[int, int]]:
        """Return ``(h, w)`` of the inputs that accept one size only, by name."""
        found: dict[str, tuple[int, int]] = {}
        for name, one in self._runner(signature).get_input_details().items():
            sizes = [int(n) for n in one.get("shape_signature", one["shape"])]
            if min(sizes[1:3]) > 0:
                found[name] = sizes[1], sizes[2]
        return found

    def enlargement(self, signature: str) -> tuple[float, float]:
        """Return how much higher and wider the output is than the smallest input.

        Raises:
            CheckpointError: the file has no such signature, or it has inputs or outputs that are
                no images.
        """
        runner = self._runner(signature)
        made, given = (
            [tuple(int(n) for n in one["shape"]) for one in details.values()]
            for details in (runner.get_output_details(), runner.get_input_details())
        )
        if any(len(one) != _IMAGE_RANK or 0 in one for one in made + given) or not made:
            raise CheckpointError(
                f"{self.name}: signature {signature} turns {given} into {made}, want images "
                "(1, h, w, c); want a file that edgesr exported"
            )
        small = min(given, default=made[0])
        return made[0][1] / small[1], made[0][2] / small[2]

    def run(self, signature: str, inputs: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[Any]:
        """Run one signature; inputs may have another size at every call.

        Args:
            signature: its name.
            inputs: ``(1, h, w, c)`` of each input's dtype, by name.

        Returns:
            ``(1, h, w, c)`` in the output's dtype and grid, not converted.

        Raises:
            CheckpointError: the file has no such signature, or the kernels refuse it.
            DataError: other names or dtypes than the signature's, or sizes that do not fit.
        """
        runner = self._runner(signature)
        wanted = {name: one["dtype"] for name, one in runner.get_input_details().items()}
        given = {name: value.dtype.type for name, value in inputs.items()}
        if given != wanted:
            found, meant = (
                ", ".join(f"{name} {np.dtype(kind)}" for name, kind in sorted(kinds.items()))
                for kinds in (given, wanted)
            )
            raise DataError(
                f"{self.name}: signature {signature} is given {found}, want {meant}; "
                "pass each input by its name"
            )
        try:
            outputs = runner(**inputs)
        except (RuntimeError, ValueError) as error:
            sizes = ", ".join(f"{name} {value.shape}" for name, value in inputs.items())
            raise DataError(
                f"{self.name}: signature {signature} does not run on {self.kernels} kernels for "
                f"{sizes} ({_one_line(error)}); give sizes that fit each other, or calibrate "
                "again if they do: these kernels refuse grids of extreme scales"
            ) from error
        (output,) = outputs.values()
        result: npt.NDArray[Any] = output
        return result

    def _runner(self, signature: str) -> Any:
        if signature not in self.signatures:
            raise CheckpointError(
                f"{self.name}: has no signature {signature!r}, want one of "
                f"{', '.join(self.signatures) or 'none: it names no signature at all'}; "
                "export it again with this step"
            )
        if signature not in self._runners:
            self._runners[signature] = self._interpreter.get_signature_runner(signature)
        return self._runners[signature]


def open_signatures(
    model: Path | str | bytes, *, kernels: Kernels = "xnnpack", threads: int = 1
) -> SignatureModel:
    """Open a .tflite file of several signatures, or its bytes; see ``open_model``.

    Raises:
        CheckpointError: the file is missing or damaged.
        DataError: ``threads`` or ``kernels`` is not possible.
        MissingDependencyError: as for ``open_model``.
    """
    name, _, interpreter = _opened(model, kernels, threads)
    return SignatureModel(interpreter, name=name, kernels=kernels)


def read_metadata(model: Path | str | bytes) -> Mapping[str, str]:
    """Return the text entries that edgesr wrote into a file, without opening it.

    Empty where there are none, where the file is damaged, which opening it reports, and under
    tflite_runtime, which brings no schema to read them with.

    Raises:
        CheckpointError: the file cannot be read or is no .tflite.
        MissingDependencyError: neither ai_edge_litert nor tflite_runtime is installed.
    """
    package, _ = _runtime()
    try:
        return _metadata(package, _content(model)[1])
    except (struct.error, LookupError, ValueError, TypeError, AttributeError):
        return MappingProxyType({})


def open_model(
    model: Path | str | bytes, *, kernels: Kernels = "xnnpack", threads: int = 1
) -> LiteModel:
    """Open a .tflite file, or its bytes, for one kernel family.

    Args:
        model: path or content of the file.
        kernels: ``xnnpack`` is LiteRT's default, ``builtin`` its optimized kernels without a
            delegate, ``reference`` its slow reference kernels.
        threads: CPU threads, at least 1.

    Raises:
        CheckpointError: the file is missing, damaged or no super-resolution model.
        DataError: ``threads`` or ``kernels`` is not possible.
        MissingDependencyError: neither ai_edge_litert nor tflite_runtime is installed, or the
            installed one lacks the kernel family.
    """
    name, content, interpreter = _opened(model, kernels, threads)
    try:
        metadata = _metadata(_runtime()[0], content)
        return LiteModel(interpreter, name=name, kernels=kernels, metadata=metadata)
    except (RuntimeError, ValueError, SystemError) as error:
        raise _unopened(name, error) from error


def open_interpreter(content: bytes, *, kernels: Kernels) -> Any:
    """Return LiteRT's own interpreter for a file of any kind, on one thread.

    Raises:
        MissingDependencyError: the runtime has no such kernels.
        CheckpointError: it refuses the file.
    """
    package, runtime = _runtime()
    resolver = _resolver(package, runtime, kernels)
    try:
        return runtime.Interpreter(
            model_content=content, num_threads=1, experimental_op_resolver_type=resolver
        )
    except (RuntimeError, ValueError, SystemError) as error:
        raise CheckpointError(f"{kernels} kernels refuse the file: {_one_line(error)}") from error


def run_once(
    content: bytes, inputs: Sequence[npt.NDArray[Any]], *, kernels: Kernels
) -> npt.NDArray[Any]:
    """Run a file of any operation and return its only output; for tests of single operations.

    Raises:
        MissingDependencyError: the runtime has no such kernels.
        CheckpointError: the kernels refuse the file.
    """
    interpreter = open_interpreter(content, kernels=kernels)
    try:
        interpreter.allocate_tensors()
        for details, value in zip(interpreter.get_input_details(), inputs, strict=True):
            interpreter.set_tensor(details["index"], value)
        interpreter.invoke()
        index = interpreter.get_output_details()[0]["index"]
        output: npt.NDArray[Any] = interpreter.get_tensor(index)
    except (RuntimeError, ValueError, SystemError) as error:
        raise CheckpointError(f"{kernels} kernels refuse the file: {_one_line(error)}") from error
    return output


def version() -> str:
    """Return package name and version of the runtime in use, such as ``ai_edge_litert 2.3.0``."""
    from importlib.metadata import version as package_version

    package, _ = _runtime()
    return f"{package} {package_version(package)}"


def _opened(model: Path | str | bytes, kernels: Kernels, threads: int) -> tuple[str, bytes, Any]:
    """Return name, content and interpreter of a file."""
    if threads < 1:
        raise DataError(f"threads is {threads}, want 1 or more")
    if kernels not in RESOLVERS:
        raise DataError(f"kernels is {kernels!r}, want one of {', '.join(RESOLVERS)}")
    name, content = _content(model)
    package, runtime = _runtime()
    resolver = _resolver(package, runtime, kernels)
    try:
        interpreter = runtime.Interpreter(
            model_content=content, num_threads=threads, experimental_op_resolver_type=resolver
        )
    except (RuntimeError, ValueError, SystemError) as error:
        raise _unopened(name, error) from error
    return name, content, interpreter


def _unopened(name: str, error: Exception) -> CheckpointError:
    return CheckpointError(
        f"{name}: cannot be opened ({_one_line(error)}); want an undamaged .tflite file"
    )


def _resolver(package: str, runtime: ModuleType, kernels: str) -> Any:
    resolver = getattr(getattr(runtime, "OpResolverType", None), RESOLVERS[kernels], None)
    if resolver is None:
        raise MissingDependencyError(
            f"{package} has no {kernels} kernels; install ai-edge-litert 2.3 or newer"
        )
    return resolver


def _runtime() -> tuple[str, ModuleType]:
    for package in ("ai_edge_litert", "tflite_runtime"):
        try:
            return package, importlib.import_module(f"{package}.interpreter")
        except ImportError:
            continue
    raise MissingDependencyError(
        "running a .tflite file needs ai_edge_litert or tflite_runtime; "
        "install one: pip install ai-edge-litert"
    )


def _content(model: Path | str | bytes) -> tuple[str, bytes]:
    if isinstance(model, bytes):
        name, content = "<bytes>", model
    else:
        name = str(model)
        try:
            content = Path(model).read_bytes()
        except OSError as error:
            reason = error.strerror or str(error)
            raise CheckpointError(f"{name}: cannot be read ({reason}); check the path") from error
    if len(content) < _MIN_BYTES or content[4:8] != b"TFL3":
        raise CheckpointError(
            f"{name}: {len(content)} bytes without the TFL3 mark, want a .tflite file; "
            "the file is damaged or of another kind"
        )
    return name, content


def _metadata(package: str, content: bytes) -> Mapping[str, str]:
    """Return the file's text metadata; tflite_runtime brings no schema to read it with."""
    if package != "ai_edge_litert":
        return MappingProxyType({})
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(content, 0)
    entries: dict[str, str] = {}
    for index in range(model.MetadataLength()):
        entry = model.Metadata(index)
        key = entry.Name().decode()
        if key.startswith("edgesr"):
            entries[key] = model.Buffers(entry.Buffer()).DataAsNumpy().tobytes().decode()
    return MappingProxyType(entries)


def _refuse_steps(interpreter: Any, name: str) -> None:
    """Refuse a file whose signatures are the steps of a denoiser: a plain call is not enough."""
    listed = interpreter.get_signature_list()
    if len(listed) > 1 or any(len(one["inputs"]) > 1 for one in listed.values()):
        names = ", ".join(listed)
        raise CheckpointError(
            f"{name}: has signatures {names} with several inputs, want one image; if they are the "
            "steps of a diffusion model, put its .schedule.json beside it or export it again"
        )


def _only(details: list[dict[str, Any]], name: str, kind: str) -> dict[str, Any]:
    if len(details) != 1 or len(details[0]["shape"]) != _IMAGE_RANK:
        shapes = [tuple(int(n) for n in one["shape"]) for one in details]
        raise CheckpointError(
            f"{name}: {kind} shapes are {shapes}, want one image (1, h, w, c); "
            "this is no super-resolution model"
        )
    return details[0]


def _grid(details: dict[str, Any]) -> IoGrid:
    dtype = np.dtype(details["dtype"])
    if dtype == np.float32:
        return IoGrid(dtype=dtype, scale=1.0, zero_point=0)
    scale, zero_point = details["quantization"]
    return IoGrid(dtype=dtype, scale=float(scale) or 1.0, zero_point=int(zero_point))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
