"""Every recipe that ships makes a run: its keys exist and go together, at every scale."""

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgesr.cli.config import RECIPES
from edgesr.train.config import TrainConfig
from edgesr.train.diffusion import check_diffusion
from edgesr.train.switches import check_switches

PATHS = sorted(RECIPES.glob("*.toml"))


def settings(path: Path) -> TrainConfig:
    read = tomllib.loads(path.read_text())
    found: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in read.items()}
    return TrainConfig(**found)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_recipe_can_be_run_and_is_named_in_the_help(path: Path) -> None:
    config = settings(path)
    check_switches(config)
    check_diffusion(config)
    assert config.warmup_steps + config.final_loss_steps < config.steps
    assert all(step < config.steps for step in (*config.milestones, *config.patch_milestones))
    words = (RECIPES.parents[1] / "cli" / "train.py").read_text()
    assert f"`{path.stem}`" in words


@pytest.mark.parametrize("recipe", ["zoo_x3", "edge_x3_cpu"])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_recipes_of_the_zoo_take_every_scale_and_edge_network(recipe: str, scale: int) -> None:
    config = settings(RECIPES / f"{recipe}.toml")
    for model in ("edge_s", "edge_m", "edge_l"):
        check_switches(replace(config, model=model, scale=scale))
