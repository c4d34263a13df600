"""Start or resume a run: configuration in, run folder out."""

from dataclasses import dataclass
from pathlib import Path

from edgesr import __version__
from edgesr.data.patches import PatchSampler
from edgesr.models.centre import CentreNetwork
from edgesr.models.denoisers import DENOISERS
from edgesr.provenance import commit
from edgesr.train.centre import check_centre, find_centre
from edgesr.train.config import TrainConfig
from edgesr.train.diffusion import Diffusion, check_diffusion
from edgesr.train.distill import OneStep, check_distill
from edgesr.train.float_twin import FloatTwin, load_twin
from edgesr.train.folder import check_resumable, new_folder
from edgesr.train.image_teacher import ImageTeacher, load_image_teacher
from edgesr.train.loop import Listener, TrainResult, train
from edgesr.train.processes import processes
from edgesr.train.qat import QatStart, QuantizationAware, check_qat, load_start
from edgesr.train.regression import Regression
from edgesr.train.shell import MakeObjective
from edgesr.train.sources import TrainingImages, data_digest, training_images, write_manifest
from edgesr.train.state import load_state
from edgesr.train.switches import check_switches
from edgesr.train.teacher import Teacher, load_teacher
from edgesr.train.warm_start import WarmStart, load_warm_start

__all__ = ["Run", "go", "open_run"]


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run that is ready to go.

    Attributes:
        config: resolved settings.
        folder: where everything is written.
        images: decoded images.
        resume: go on from the state in ``folder``.
        qat: where quantization-aware training starts; None in float training.
        teacher: where distillation starts; None without.
        warm_start: weights that a one-pass network starts with; None for a fresh one.
        image_teacher: larger network that a one-pass network learns from; None without.
        centre: network that makes a denoiser's centre; None for the bicubic one.
        twin: float denoiser that one of one bit learns from; None without.
        is_main: whether this process writes files and messages.
    """

    config: TrainConfig
    folder: Path
    images: TrainingImages
    resume: bool
    qat: QatStart | None = None
    teacher: Teacher | None = None
    warm_start: WarmStart | None = None
    image_teacher: ImageTeacher | None = None
    centre: CentreNetwork | None = None
    twin: FloatTwin | None = None
    is_main: bool = True


def open_run(config: TrainConfig, *, resume: Path | None = None, dry_run: bool = False) -> Run:
    """Check everything that can be wrong, then make or reopen the run folder.

    Args:
        config: resolved settings.
        resume: run folder to go on with.
        dry_run: check, but make no folder.

    Raises:
        CheckpointError: a teacher or centre is missing, damaged or of another kind.
        ConfigError: unknown network or scale, a run of that name exists, or a resumed run would
            become another one, or settings that do not go together.
        DataError: images are missing, damaged or too small, or there is nothing to resume.
    """
    check_switches(config)
    check_diffusion(config)
    check_qat(config)
    check_distill(config)
    check_centre(config)
    if resume is not None:
        check_resumable(config, resume)
        load_state(resume)
    teacher = load_teacher(config, resume=resume)
    warm_start = load_warm_start(config, resume=resume)
    image_teacher = load_image_teacher(config, resume=resume)
    centre = find_centre(config, resume=resume)
    twin = load_twin(config, centre, resume=resume)
    state = processes()
    with state.main_process_first():  # the others map the cache that it made
        images = training_images(config)
    PatchSampler(
        images=images.train,
        patch_size=config.patch_size,
        patch_milestones=config.patch_milestones,
        patch_sizes=config.patch_sizes,
        batch_size=1,
        seed=config.seed,
    )
    qat = load_start(config, images.train)
    if resume is not None:
        return Run(
            config=config,
            folder=resume,
            images=images,
            resume=True,
            qat=qat,
            teacher=teacher,
            warm_start=warm_start,
            image_teacher=image_teacher,
            centre=centre,
            twin=twin,
            is_main=state.is_main_process,
        )
    folder = Path()
    if state.is_main_process and not dry_run:
        folder = new_folder(config)
        write_manifest(folder, images)
    state.wait_for_everyone()
    return Run(
        config=config,
        folder=folder,
        images=images,
        resume=False,
        qat=qat,
        teacher=teacher,
        warm_start=warm_start,
        image_teacher=image_teacher,
        centre=centre,
        twin=twin,
        is_main=state.is_main_process,
    )


def go(run: Run, *, listen: Listener = lambda _event: None) -> TrainResult:
    """Train ``run`` to its last step or until it is interrupted."""
    metadata = {
        "steps": str(run.config.steps),
        "data": run.images.description,
        "data_sha256": data_digest(run.images.train),
        "edgesr_train": __version__,
    }
    if (found := commit()) is not None:
        metadata["commit"] = found
    return train(
        run.config,
        run.folder,
        images=run.images.train,
        held_out=run.images.held_out,
        metadata=metadata,
        state=load_state(run.folder) if run.resume else None,
        objective=_objective(run),
        listen=listen,
    )


def _objective(run: Run) -> MakeObjective:
    config, start, teacher = run.config, run.qat, run.teacher
    if start is not None:
        return lambda _: QuantizationAware(config=config, start=start)
    if teacher is not None:
        return lambda rank: OneStep(config=config, teacher=teacher, rank=rank)
    if config.model in DENOISERS:
        return lambda rank: Diffusion(config=config, centre=run.centre, twin=run.twin, rank=rank)
    return lambda _: Regression(config=config, teacher=run.image_teacher, start=run.warm_start)
