"""The networks of a file of steps, float and integer, before and while they are written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from edgesr.diffusion.centre import quantize_centre, regression_of, with_integer_centre
from edgesr.diffusion.integer_steps import quantize_denoiser
from edgesr.diffusion.path import Path as DiffusionPath
from edgesr.diffusion.ranges import from_grey_levels
from edgesr.diffusion.trajectories import all_steps
from edgesr.errors import GraphError
from edgesr.export.calibration import CalibrationSet
from edgesr.export.operators import FLOAT_TYPES, check_operators, float_operators, operator_problems
from edgesr.export.pipeline import Clock
from edgesr.export.step_centre import CentrePart, centre_part
from edgesr.export.stepwise import (
    MOST_SIGNATURES,
    signature_names,
    size_of,
    with_images,
    write_steps,
    write_steps_float32,
)
from edgesr.graph.capture import capture
from edgesr.graph.graph import Graph
from edgesr.graph.image_inputs import with_image_inputs
from edgesr.graph.passes import lower
from edgesr.models.denoiser_files import LoadedDenoiser
from edgesr.models.fold_timestep import fold_timestep
from edgesr.quant.scheme import QParams, QuantizedGraph
from edgesr.quant.stepwise import StepwiseModel


@dataclass(frozen=True, kw_only=True, eq=False)
class StepNetworks:
    """All that is written of a denoiser, in int8 or in float32.

    Attributes:
        graphs: float networks of the steps with images as inputs, the noisiest first.
        integers: the same in integers; empty for a float32 file.
        centre: the network that makes the centre; None where that is bicubic.
    """

    graphs: tuple[Graph, ...]
    integers: tuple[QuantizedGraph, ...]
    centre: CentrePart | None

    @property
    def outputs(self) -> list[QParams] | None:
        """Grid of every step's prediction; None for a float32 file."""
        return [one.qparams[one.graph.outputs[0]] for one in self.integers] or None

    @property
    def single_bytes(self) -> int:
        """Size of a file with the first step alone, its centre, and no text."""
        return len(replace(self, graphs=self.graphs[:1], integers=self.integers[:1]).write())

    def write(
        self,
        *,
        shape: tuple[int, int] | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> bytes:
        """Return the content of the file; see ``write_steps``."""
        if not self.integers:
            return self.write_float32(shape=shape, metadata=metadata)
        quantized = None if self.centre is None else self.centre.quantized
        return write_steps(self.integers, centre=quantized, shape=shape, metadata=metadata)

    def write_float32(
        self,
        *,
        shape: tuple[int, int] | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> bytes:
        """Return the content of a float32 file of the same networks."""
        graph = None if self.centre is None else self.centre.graph
        return write_steps_float32(self.graphs, centre=graph, shape=shape, metadata=metadata)

    def problems(self, content: bytes) -> list[str]:
        """Return what is wrong with the operators of a file's signatures."""
        count = len(self.graphs)
        problems: list[str] = []
        names = signature_names(count, has_centre=self.centre is not None)
        for number, (name, graph) in enumerate(zip(names, self.graphs, strict=True)):
            if self.integers:
                integers = self.integers[number].graph
                found = check_operators(content, integers, "int8", subgraph=number)
            else:
                wanted = float_operators(graph, lambda _: False)
                found = operator_problems(
                    content, wanted, types=FLOAT_TYPES, kind="float", subgraph=number
                )
            problems += [f"signature {name}: {one}" for one in found]
        if self.centre is not None:
            problems += self.centre.problems(content, subgraph=count)
        return problems


def step_networks(
    loaded: LoadedDenoiser, timesteps: Sequence[int], quantized: StepwiseModel | None
) -> StepNetworks:
    """Return the networks of a file.

    Args:
        loaded: float denoiser.
        timesteps: of the steps, the noisiest first.
        quantized: the integers of steps and centre; None for a float32 file.

    Raises:
        GraphError: a timestep scales a channel by a number that is not positive, or a layer cannot
            be written.
    """
    integers: list[QuantizedGraph] = []
    if quantized is not None:
        integers = [with_images(one.quantized, loaded.scale) for one in quantized.steps]
    centre = None if quantized is None else quantized.centre
    graphs = (with_image_inputs(_folded(loaded, one), loaded.scale) for one in timesteps)
    return StepNetworks(
        graphs=tuple(graphs),
        integers=tuple(integers),
        centre=centre_part(loaded.centre, centre),
    )


def calibrated(  # noqa: PLR0913 - what quantization depends on
    loaded: LoadedDenoiser,
    whole: DiffusionPath,
    path: DiffusionPath,
    crops: CalibrationSet,
    *,
    centre_crops: CalibrationSet | None,
    seed: int,
    clock: Clock,
) -> StepwiseModel:
    """Quantize a denoiser: first its centre, then its steps on trajectories round that centre.

    Args:
        loaded: float denoiser.
        whole: path that it was trained on.
        path: that is sampled.
        crops: low-resolution images.
        centre_crops: those for the network of its centre; None where that is bicubic.
        seed: of the noise.
        clock: takes the time.

    Raises:
        GraphError: a layer of the steps or of the centre has no integer form.
    """
    images = [from_grey_levels(one.inputs.permute(0, 3, 1, 2)) for one in crops.batches]
    with clock("quantize"):
        centre = None
        if loaded.centre is not None and centre_crops is not None:
            centre = quantize_centre(loaded.centre, centre_crops.batches)
    with clock("sample trajectories"):
        # the float network walks, round the centre that the file will have
        regression = regression_of(with_integer_centre(loaded, centre).centre)
        batches = all_steps(loaded.module, whole, path, images, seed=seed, regression=regression)
    with clock("quantize"):
        return replace(quantize_denoiser(loaded, path, batches).model, centre=centre)


def check_steps(loaded: LoadedDenoiser, path: DiffusionPath) -> None:
    """Refuse what cannot be a file of steps.

    Raises:
        GraphError: the network has no integer form, or the path has too many steps; says the size
            that the file would have.
    """
    if not loaded.descriptor.int8:
        raise GraphError(
            f"{loaded.path}: {loaded.descriptor.name} has layers without an INT8 form, so it is "
            "not exported; train resshift_px_s, resshift_px_m or resshift_px_l"
        )
    if path.num_steps <= MOST_SIGNATURES:
        return
    first, second = (_folded(loaded, int(path.timesteps[state])) for state in (-1, -2))
    part = centre_part(loaded.centre, None)
    centre = None if part is None else part.graph
    size, one = (
        size_of(first, second, scale=loaded.scale, count=count, centre=centre)
        for count in (path.num_steps, 1)
    )
    raise GraphError(
        f"{loaded.path}: {path.num_steps} steps would be {path.num_steps} signatures and "
        f"{size:,} bytes ({one:,} with one), want at most {MOST_SIGNATURES} steps; sample fewer, "
        "such as --steps 4"
    )


def _folded(loaded: LoadedDenoiser, timestep: int) -> Graph:
    folded = fold_timestep(loaded.module, timestep)
    channels = folded.conditioning.channels
    return lower(capture(folded.core, name=loaded.descriptor.name, channels=channels))
