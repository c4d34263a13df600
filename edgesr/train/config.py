"""Everything that decides a training run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from edgesr.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Settings of one training run; the same keys stand in recipes and in ``config.toml``.

    Attributes:
        model: network, a name that ``edgesr models`` lists.
        scale: upscaling factor.
        form: of a network of one pass: ``training`` trains its branches, which are folded into the
            deployed form for validation and in every weights file.
        data: folder with high-resolution images, or with pairs; none takes the demo photographs.
        lr_data: folder with the low-resolution images when it lies elsewhere.
        val_data: folder with validation images; none holds out ``val_images`` of ``data``.
        val_images: training images held out for validation, spread evenly over the sorted list.
        degradation: how low-resolution images are made: ``bicubic``, or ``real_esrgan``, a random
            chain of blur, resize, noise and JPEG that is drawn anew for every patch.
        halved: train on the images of 640 pixels a side or more at half their size as well: what
            is soft at full size is sharp there.
        steps: optimizer steps.
        batch_size: patches a step, over all processes together.
        patch_size: side of a low-resolution patch in pixels.
        patch_milestones: steps at which patches take the next size of ``patch_sizes``.
        patch_sizes: sides that follow on ``patch_size``, one for each of ``patch_milestones``.
        loss: pixel loss.
        final_loss: loss of the last ``final_loss_steps`` steps.
        final_loss_steps: how many steps ``final_loss`` takes at the end.
        optimizer: ``adam``, or ``muon``, which makes the step of every weight orthogonal; a peak
            rate two to three times Adam's is right for it.
        centred: of a network of one pass: let weights and biases learn as if the inputs of every
            convolution had mean 0.
        whitened: of a network of one pass: centred, and weights learn as if those inputs were
            white; every step changes the outputs of a layer by ``learning_rate`` times what they
            vary, whatever the optimizer, for which 2e-2 is a good peak.
        revive_every: of a row of convolutions: so often, in steps, let channels begin anew whose
            ReLU has let nothing pass since the last time; 0 leaves them dead.
        chroma_gain: of a network of one pass: at the first step the pixel loss counts differences
            of colour this many times; falls to 1 along a line. Photographs have little colour
            beside brightness, which is learned first.
        learning_rate: peak rate of the optimizer.
        min_learning_rate: rate at the end of the cosine schedule.
        schedule: ``cosine``, or ``step`` with ``milestones`` and ``rates``.
        milestones: steps at which the ``step`` schedule takes the next of ``rates``.
        rates: learning rates of the ``step`` schedule, one more than ``milestones``.
        warmup_steps: steps of linear warm-up.
        bias_rate_factor: biases learn this many times faster. With images in [0, 255] the factor
            255 makes Adam behave as if they were in [0, 1].
        ema_decay: decay of the averaged weights that are validated and saved; 0 averages nothing.
        grad_clip: largest norm of the gradient; 0 clips nothing.
        precision: ``auto`` takes bf16 where the processor or GPU has units for it.
        compile: compile the network (needs a C++ compiler); slower start, faster steps.
        sampling: ``image`` draws every image equally often, ``area`` every pixel.
        resident: ``auto`` keeps the training images in the memory of a GPU, if they fit, and cuts
            patches there; ``on`` does so wherever the network is trained, ``off`` nowhere.
        seed: of the weights, the patches and their flips.
        num_workers: processes that cut patches; 0 cuts them in the training process.
        val_every: steps between validations.
        save_every: steps between checkpoints that can be resumed.
        log_every: steps between log lines.
        qat: train integers and scales of a quantized network, starting from ``start_from``.
        scheme: widths of ``qat``: ``wi8_ai8``, or a narrower one that is simulated only.
        start_from: run folder, weights file or, of a network of one pass, shipped name: the
            trained network that this one starts with, of the same kind at any scale, or a smaller
            row of convolutions that it grows from; the float one of ``qat``; the teacher of
            ``distill``.
        teacher: run folder, weights file or shipped name of a trained network that is learned from
            as well: of a network of one pass a larger one, by its images; of a denoiser of one bit
            its float twin, by its features, see ``spd_weight``.
        teacher_weight: weight of the difference to the teacher's images beside the pixel loss; the
            teacher of ``qat`` is the float network.
        self_ensemble: take for the teacher's image the mean over the eight flips and rotations.
        feature_weight: weight of the distance between the teacher's and the network's attention in
            hidden layers.
        gap_weight: of a network of one pass: weight of the difference to the images of a teacher
            that grows out of it and is trained beside it; 0 grows none.
        gap_width: how many times as wide as the network that teacher is.
        weight_scales: ``lsq`` learns the scales of weights; ``max`` derives them at every step.
        scale_rate_factor: relative change of scales per step, in units of the learning rate.
        centre: of a denoiser: the image that its path ends at: ``bicubic``, or the output of a
            trained regression network: a run folder, weights file or shipped model. A student
            takes its teacher's.
        diffusion_path: of a denoiser: how images become noise; the networks of one pass ignore it
            and what follows.
        diffusion_steps: number of steps of the path.
        kappa: noise at the end of a ``resshift`` path, where images are in [-1, 1].
        min_noise: noise after its first step, as a share of the last where ``kappa`` is below 1.
        shift_power: of its steps: at 1 the noise grows by one factor a step, below 1 most of the
            growth is in the first.
        sampling_steps: of validation and, unless others are asked for, of the trained network; 0
            takes all of the path. In distillation of the teacher, and 0 takes what its file says.
        dream: train on the noisy images that the network's own errors lead to.
        distill: how the denoiser ``start_from`` is taught to sample in one step: ``sinsr`` to reach
            the images of its own steps, ``rsd`` to make images that look to it like photographs.
        distill_weight: weight of the distance to the image that the teacher reaches in its steps;
            in ``rsd`` of the teacher's loss on the student's images over that of a fake.
        inverse_weight: of ``sinsr``: the distance to the start when that image is led back.
        truth_weight: weight of the distance to the photograph; in ``sinsr`` after it was led back
            and enlarged again.
        score_weight: of ``sinsr``: the difference that the teacher sees between its image and the
            student's under a little noise; an approximation of TAD-SR.
        fake_updates: of ``rsd``: steps of the fake before each one of the student.
        student_states: of ``rsd``: how many states of the path the student learns to start from.
        frequency_weight: weight of the distance between the Fourier amplitudes of the network's
            image, of a denoiser the clean one, and of the photograph.
        final_frequency_weight: of a network of one pass: the same in the last ``final_loss_steps``
            steps.
        binary_style: of a denoiser of one bit: how its layers binarize: ``own``, or that of another
            publication, a name in ``edgesr.binary.style.STYLES``.
        binary_groups: of a denoiser of one bit: parts of the timesteps that have shifts and
            activations of their own; 0 takes what the network has, 1 turns that off.
        spd_weight: of a denoiser of one bit: weight of the difference between the features of its
            blocks and those of the float twin that ``teacher`` names.
        samples: held-out crops that are shown at each validation, in pictures and in
            ``samples.html``; 0 shows none.
        tensorboard: write TensorBoard event files as well (extra ``log``).
        runs: folder that holds the run folders.
        name: name of the run folder; none makes one from model, scale and time.
    """

    model: str = "ncnet"
    scale: int = 3
    form: Literal["deploy", "training"] = "deploy"
    data: Path | None = None
    lr_data: Path | None = None
    val_data: Path | None = None
    val_images: int = 8
    degradation: Literal["bicubic", "real_esrgan"] = "bicubic"
    halved: bool = False
    steps: int = 500_000
    batch_size: int = 64
    patch_size: int = 64
    patch_milestones: tuple[int, ...] = ()
    patch_sizes: tuple[int, ...] = ()
    loss: Literal["l1", "charbonnier", "l2"] = "l1"
    final_loss: Literal["l1", "charbonnier", "l2"] = "l2"
    final_loss_steps: int = 0
    optimizer: Literal["adam", "muon"] = "adam"
    centred: bool = False
    whitened: bool = False
    revive_every: int = 0
    chroma_gain: float = 1.0
    learning_rate: float = 1e-3
    min_learning_rate: float = 1e-6
    schedule: Literal["cosine", "step"] = "cosine"
    milestones: tuple[int, ...] = ()
    rates: tuple[float, ...] = ()
    warmup_steps: int = 0
    bias_rate_factor: float = 1.0
    ema_decay: float = 0.999
    grad_clip: float = 0.0
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    compile: bool = False
    sampling: Literal["image", "area"] = "image"
    resident: Literal["auto", "on", "off"] = "auto"
    seed: int = 0
    num_workers: int = 0
    val_every: int = 1000
    save_every: int = 1000
    log_every: int = 50
    qat: bool = False
    scheme: Literal["wi8_ai8", "wi4_ai8", "wi6_ai6", "wi4_ai4"] = "wi8_ai8"
    start_from: Annotated[Path | None, Parameter(name=["--from", "--start-from"])] = None
    teacher: str | None = None
    teacher_weight: float = 1.0
    self_ensemble: bool = False
    feature_weight: float = 0.0
    gap_weight: float = 0.0
    gap_width: int = 2
    weight_scales: Literal["lsq", "max"] = "lsq"
    scale_rate_factor: float = 1.0
    centre: str = "bicubic"
    diffusion_path: Literal["resshift", "ddpm_linear", "cosine", "irsde", "rddm"] = "resshift"
    diffusion_steps: int = 4
    kappa: float = 0.5
    min_noise: float = 0.2
    shift_power: float = 0.3
    sampling_steps: int = 0
    dream: bool = False
    distill: Literal["none", "sinsr", "rsd"] = "none"
    distill_weight: float = 1.0
    inverse_weight: float = 1.0
    truth_weight: float = 1.0
    score_weight: float = 0.0
    fake_updates: int = 5
    student_states: int = 1
    frequency_weight: float = 0.0
    final_frequency_weight: float = 0.0
    binary_style: str = "own"
    binary_groups: int = 0
    spd_weight: float = 0.0
    samples: int = 4
    tensorboard: bool = False
    runs: Path = Path("runs")
    name: str | None = None

    def __post_init__(self) -> None:
        """Check every value that needs no file.

        Raises:
            ConfigError: names the key, what came and what is wanted.
        """
        for key in _COUNTS:
            _at_least(key, getattr(self, key), 1)
        for key in (
            "warmup_steps",
            "final_loss_steps",
            "num_workers",
            "sampling_steps",
            "samples",
            "seed",
            "grad_clip",
            "binary_groups",
            "revive_every",
            *_SHARES,
        ):
            _at_least(key, getattr(self, key), 0)
        _at_least("patch_size", self.patch_size, _LEAST_PATCH)
        self._check_patches()
        if not self.learning_rate > 0:
            raise ConfigError(f"learning_rate = {self.learning_rate}: want more than 0")
        if not 0 <= self.ema_decay < 1:
            raise ConfigError(f"ema_decay = {self.ema_decay}: want 0 to below 1")
        if self.schedule == "step" and len(self.rates) != len(self.milestones) + 1:
            raise ConfigError(
                f"rates has {len(self.rates)} values for {len(self.milestones)} milestones: "
                "want one more rate than milestones"
            )

    def _check_patches(self) -> None:
        for side in self.patch_sizes:
            _at_least("patch_sizes", side, _LEAST_PATCH)
        if len(self.patch_sizes) != len(self.patch_milestones):
            raise ConfigError(
                f"patch_sizes has {len(self.patch_sizes)} values for {len(self.patch_milestones)} "
                "patch_milestones: want one size for each, patch_size stands before the first"
            )
        if list(self.patch_milestones) != sorted({*self.patch_milestones} - {0}):
            raise ConfigError(
                f"patch_milestones = {list(self.patch_milestones)}: want steps that rise, from 1"
            )


_LEAST_PATCH = 8
_SHARES = (
    "teacher_weight",
    "feature_weight",
    "gap_weight",
    "scale_rate_factor",
    "distill_weight",
    "inverse_weight",
    "truth_weight",
    "score_weight",
    "frequency_weight",
    "final_frequency_weight",
    "spd_weight",
    "chroma_gain",
)
_COUNTS = (
    "scale",
    "steps",
    "batch_size",
    "val_images",
    "gap_width",
    "fake_updates",
    "student_states",
    "val_every",
    "save_every",
    "log_every",
)


def _at_least(key: str, value: float, least: int) -> None:
    if value < least:
        raise ConfigError(f"{key} = {value}: want at least {least}")
