"""How tests of distillation make its objective and train."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgesr.data.cache import DecodedImages
from edgesr.train.config import TrainConfig
from edgesr.train.diffusion import check_diffusion
from edgesr.train.distill import OneStep, check_distill
from edgesr.train.loop import TrainResult
from edgesr.train.qat import check_qat
from edgesr.train.teacher import load_teacher
from tests.train.running import train_in


def objective_of(config: TrainConfig, rank: int = 0) -> OneStep:
    check_diffusion(config)
    check_qat(config)
    check_distill(config)
    teacher = load_teacher(config)
    assert teacher is not None
    return OneStep(config=config, teacher=teacher, rank=rank)


def go(
    folder: Path,
    config: TrainConfig,
    images: DecodedImages,
    listen: Callable[[dict[str, Any]], None] = lambda _event: None,
) -> TrainResult:
    return train_in(folder, config, images, lambda rank: objective_of(config, rank), listen)
