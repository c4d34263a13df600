"""The switches of training: which settings go together."""

from edgesr.binary.conv import annealed_layers
from edgesr.errors import ConfigError
from edgesr.models import build_model
from edgesr.models.denoisers import DENOISERS, build_denoiser
from edgesr.train.config import TrainConfig
from edgesr.train.denoiser_config import style_of
from edgesr.train.gap_teacher import check_gap
from edgesr.train.revival import check_revival
from edgesr.train.whitening import check_whitening

_DEFAULTS = TrainConfig()
_GAP = ("gap_weight", "gap_width")
_ONE_PASS_ONLY = (
    "form",
    "centred",
    "whitened",
    "revive_every",
    "chroma_gain",
    "self_ensemble",
    "feature_weight",
    "final_frequency_weight",
    *_GAP,
)
_BINARY_ONLY = ("binary_style", "binary_groups", "spd_weight")
_FLOAT_ONLY = ("teacher", *_ONE_PASS_ONLY)
_OF_TEACHER = ("self_ensemble", "feature_weight")


def check_switches(config: TrainConfig) -> None:
    """Refuse switches that contradict each other or change nothing.

    Raises:
        ConfigError: names the keys; or the network is unknown, has no such scale, no form with
            branches, or no such style of one bit.
        GraphError: a branch of the network cannot be folded.
    """
    if config.resident == "on" and config.degradation != "bicubic":
        raise ConfigError(
            f"resident = on: {config.degradation} draws every patch anew on the CPU; drop "
            "--resident"
        )
    if config.model in DENOISERS:
        _refuse(config, _ONE_PASS_ONLY, f"model = {config.model} is a denoiser")
        _check_binary(config)
        return
    _refuse(config, _BINARY_ONLY, f"model = {config.model} has no convolution of one bit")
    build_model(config.model, config.scale, config.form)
    if config.qat:
        keys = (*_FLOAT_ONLY, "frequency_weight", "optimizer")
        _refuse(config, keys, "qat = true trains integers, which start from a trained network")
        return
    _check_one_pass(config)
    _check_teacher(config)


def _check_one_pass(config: TrainConfig) -> None:
    check_gap(config)
    check_revival(config)
    check_whitening(config)
    if not config.gap_weight:
        _refuse(config, _GAP, "there is no teacher that grows", " or give --gap-weight")
    switch = "whitened = true" if config.whitened else "centred = true"
    if (config.centred or config.whitened) and config.form == "training":
        raise ConfigError(
            f"{switch}: branches are folded at every step, so that none of them sees an "
            f"input; drop --form training, or give --no-{switch.split(maxsplit=1)[0]}"
        )
    if config.revive_every:
        switch = f"revive_every = {config.revive_every}"
    if config.compile and (config.centred or config.whitened or config.revive_every):
        raise ConfigError(
            f"{switch}: reads inputs of layers, which compile = true does not show; drop one"
        )
    if config.final_frequency_weight and not config.final_loss_steps:
        raise ConfigError(
            f"final_frequency_weight = {config.final_frequency_weight}: final_loss_steps = 0, so "
            "no step has it; give --final-loss-steps"
        )


def _check_teacher(config: TrainConfig) -> None:
    if config.teacher is None:
        hint = " or name one with --teacher"
        _refuse(config, _OF_TEACHER, "there is no teacher to learn from", hint)
    elif not (config.teacher_weight or config.feature_weight):
        raise ConfigError(
            f"teacher = {config.teacher}: teacher_weight and feature_weight are 0, so it teaches "
            "nothing; raise one or drop --teacher"
        )
    elif config.self_ensemble and not config.teacher_weight:
        raise ConfigError(
            "self_ensemble = true: changes the teacher's images, but teacher_weight = 0; raise it "
            "or drop --self-ensemble"
        )
    if config.feature_weight and config.compile:
        raise ConfigError(
            f"feature_weight = {config.feature_weight}: reads hidden layers, which compile = true "
            "does not show; drop one"
        )


def _check_binary(config: TrainConfig) -> None:
    about = DENOISERS[config.model]
    if about.styled is None:
        _refuse(config, _BINARY_ONLY, f"model = {config.model} has no convolution of one bit")
    network = build_denoiser(config.model, config.scale, style_of(config))
    if config.compile and annealed_layers(network):
        raise ConfigError(
            f"binary_style = {config.binary_style}: its gradients change from step to step, which "
            "compile = true does not know; drop one"
        )
    if about.twin is None:
        why = f"model = {config.model} has no float twin to learn from"
        _refuse(config, ("teacher", "spd_weight"), why)
    elif config.teacher is None:
        hint = f" or name a trained {about.twin} with --teacher"
        _refuse(config, ("spd_weight",), "there is no float twin to learn from", hint)
    elif not config.spd_weight:
        raise ConfigError(
            f"teacher = {config.teacher}: spd_weight = 0, so it teaches nothing; raise it or drop "
            "--teacher"
        )
    if config.spd_weight and config.compile:
        raise ConfigError(
            f"spd_weight = {config.spd_weight}: reads hidden layers, which compile = true does not "
            "show; drop one"
        )


def _refuse(config: TrainConfig, keys: tuple[str, ...], why: str, hint: str = "") -> None:
    for key in keys:
        value = getattr(config, key)
        if value != getattr(_DEFAULTS, key):
            shown = str(value).lower() if isinstance(value, bool) else value
            flag = key.replace("_", "-")
            raise ConfigError(f"{key} = {shown}: {why}; drop --{flag}{hint}")
