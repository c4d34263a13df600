"""A small denoiser, quantized for two steps once, that several test files look at."""

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import torch

from edgesr.diffusion.centre import quantize_centre, regression_of, with_integer_centre
from edgesr.diffusion.integer_steps import quantize_denoiser
from edgesr.diffusion.path import Path as DiffusionPath
from edgesr.diffusion.ranges import from_grey_levels, to_grey_levels
from edgesr.diffusion.trajectories import all_steps
from edgesr.export.step_centre import CentrePart, centre_part
from edgesr.export.step_schedule import step_schedule
from edgesr.export.stepwise import with_images, write_steps, write_steps_float32
from edgesr.graph.capture import capture
from edgesr.graph.graph import Graph
from edgesr.graph.image_inputs import with_image_inputs
from edgesr.graph.passes import lower
from edgesr.models import build_model
from edgesr.models.centre import CentreNetwork, load_centre
from edgesr.models.checkpoint import save_weights
from edgesr.models.denoiser_files import LoadedDenoiser, Schedule, load_denoiser, save_denoiser
from edgesr.models.denoisers import build_denoiser
from edgesr.models.fold_timestep import fold_timestep
from edgesr.quant.calibrate import CalibrationBatch
from edgesr.quant.recipe import PtqRecipe
from edgesr.quant.scheme import QuantizedGraph
from edgesr.quant.stepwise import StepwiseModel
from edgesr.upscalers.diffusion import path_of, sampling_path
from edgesr.upscalers.step_schedule import METADATA_KEY, StepSchedule, to_text

SCALE = 2
QUICK = PtqRecipe(rounding="nearest", bias_correction="none", equalize=False, output_step=False)


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """A denoiser that nobody trained, in float and in integers."""

    loaded: LoadedDenoiser
    whole: DiffusionPath
    path: DiffusionPath
    graphs: tuple[Graph, ...]
    floats: tuple[Graph, ...]
    steps: tuple[QuantizedGraph, ...]
    schedule: StepSchedule
    float_schedule: StepSchedule
    centre: CentrePart | None
    model: StepwiseModel

    @property
    def content(self) -> bytes:
        """The int8 file."""
        return self.written(self.schedule)

    @property
    def float_content(self) -> bytes:
        """The float32 file."""
        text = to_text(self.float_schedule)
        centre = None if self.centre is None else self.centre.graph
        return write_steps_float32(self.floats, centre=centre, metadata={METADATA_KEY: text})

    def written(self, schedule: StepSchedule, *, shape: tuple[int, int] | None = None) -> bytes:
        """Return the int8 file with another schedule in it."""
        centre = None if self.centre is None else self.centre.quantized
        text = {METADATA_KEY: to_text(schedule)}
        return write_steps(self.steps, centre=centre, shape=shape, metadata=text)


def save_restless(path: Path, *, num_steps: int = 2, centre: CentreNetwork | None = None) -> Path:
    """Write a denoiser whose prediction and scales depend on what it sees and when."""
    torch.manual_seed(0)
    network = build_denoiser("resshift_px_s", SCALE)
    with torch.no_grad():
        network.get_parameter("core.head.weight").normal_(0.0, 0.02)
        for name, parameter in network.named_parameters():
            if "film.project.weight" in name:
                parameter.normal_(0.0, 0.05)
    save_denoiser(
        path,
        network.state_dict(),
        model="resshift_px_s",
        scale=SCALE,
        schedule=Schedule(name="resshift", parameters={"num_steps": num_steps}),
        prediction="residual",
        centre=centre,
    )
    return path


def made_centre(folder: Path, *, scale: int = SCALE) -> CentreNetwork:
    """Return a small regression network with weights that differ from those it starts with."""
    torch.manual_seed(3)
    network = build_model("espcn", scale)
    with torch.no_grad():
        network.get_parameter(next(name for name, _ in network.named_parameters())).mul_(1.5)
    path = folder / "espcn.safetensors"
    save_weights(path, network.state_dict(), model="espcn", scale=scale)
    return load_centre(path)


@lru_cache(maxsize=2)
def restless_case(folder: str, *, has_centre: bool = False) -> Case:
    """Return the case, with a network for its centre where asked; it is made once a session."""
    known = made_centre(Path(folder)) if has_centre else None
    loaded = load_denoiser(save_restless(Path(folder) / "restless.safetensors", centre=known))
    whole, path = path_of(loaded.schedule, loaded.path), sampling_path(loaded, None)
    lr = from_grey_levels(torch.randint(0, 256, (2, 3, 16, 16), generator=_generator()))
    levels = CalibrationBatch(inputs=to_grey_levels(lr).permute(0, 2, 3, 1).contiguous())
    centre = None if known is None else quantize_centre(known, [levels])
    regression = regression_of(with_integer_centre(loaded, centre).centre)
    batches = all_steps(loaded.module, whole, path, [lr], regression=regression)
    denoiser = quantize_denoiser(loaded, path, batches, QUICK, groups=2)
    steps = tuple(with_images(one.quantized, SCALE) for one in denoiser.model.steps)
    folded = [fold_timestep(loaded.module, int(path.timesteps[state])) for state in (2, 1)]
    graphs = tuple(
        lower(capture(one.core, name="px", channels=one.conditioning.channels)) for one in folded
    )
    grids = [one.qparams[one.graph.outputs[0]] for one in steps]
    return Case(
        loaded=loaded,
        whole=whole,
        path=path,
        graphs=graphs,
        floats=tuple(with_image_inputs(one, SCALE) for one in graphs),
        steps=steps,
        schedule=step_schedule(loaded, whole, path, grids),
        float_schedule=step_schedule(loaded, whole, path, None),
        centre=centre_part(loaded.centre, centre),
        model=replace(denoiser.model, centre=centre),
    )


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)
