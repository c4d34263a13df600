"""The switches of one-pass training: which settings go together."""

from edgesr.errors import ConfigError
from edgesr.models import build_model
from edgesr.models.denoisers import DENOISERS
from edgesr.train.config import TrainConfig

_DEFAULTS = TrainConfig()
_FLOAT_ONLY = ("form", "teacher", "self_ensemble", "feature_weight", "final_frequency_weight")
_OF_TEACHER = ("self_ensemble", "feature_weight")


def check_switches(config: TrainConfig) -> None:
    """Refuse switches that contradict each other or change nothing.

    Raises:
        ConfigError: names the keys; or the network is unknown, has no such scale, or has no form
            with branches.
        GraphError: a branch of the network cannot be folded.
    """
    if config.model in DENOISERS:
        _refuse(config, _FLOAT_ONLY, f"model = {config.model} is a denoiser")
        return
    build_model(config.model, config.scale, config.form)
    if config.qat:
        keys = (*_FLOAT_ONLY, "frequency_weight")
        _refuse(config, keys, "qat = true trains integers, which start from a trained network")
        return
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
    if config.final_frequency_weight and not config.final_loss_steps:
        raise ConfigError(
            f"final_frequency_weight = {config.final_frequency_weight}: final_loss_steps = 0, so "
            "no step has it; give --final-loss-steps"
        )


def _refuse(config: TrainConfig, keys: tuple[str, ...], why: str, hint: str = "") -> None:
    for key in keys:
        value = getattr(config, key)
        if value != getattr(_DEFAULTS, key):
            shown = str(value).lower() if isinstance(value, bool) else value
            flag = key.replace("_", "-")
            raise ConfigError(f"{key} = {shown}: {why}; drop --{flag}{hint}")
