"""A denoiser whose centre a network makes: counted with it and named in its card."""

import json
from pathlib import Path
from typing import Any

import pytest
import tomli_w
import torch

from edgesr.bench.cost_denoiser import denoiser_cost
from edgesr.bench.denoiser_card import build_denoiser_card, denoiser_card_markdown
from edgesr.cli import run
from edgesr.export.card import public_config
from edgesr.models import build_model
from edgesr.models.centre import load_centre
from edgesr.models.checkpoint import save_weights
from edgesr.models.denoiser_files import Schedule, load_denoiser, save_denoiser
from edgesr.models.denoisers import build_denoiser
from edgesr.zoo import ZooEntry


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    network = tmp_path / "ncnet.safetensors"
    save_weights(network, build_model("ncnet", 2).state_dict(), model="ncnet", scale=2)
    torch.manual_seed(0)
    save_denoiser(
        tmp_path / "best.safetensors",
        build_denoiser("resshift_px_s", 2).state_dict(),
        model="resshift_px_s",
        scale=2,
        schedule=Schedule(name="resshift", parameters={"num_steps": 4}),
        prediction="residual",
        centre=load_centre(network),
    )
    return tmp_path / "best.safetensors"


def card_of(weights: Path) -> dict[str, Any]:
    keys = ("protocol", "sampler", "seed", "seeds", "limit", "environments")
    return build_denoiser_card(
        "net_x2",
        loaded=load_denoiser(weights),
        config={},
        curve=[{"step": 1, "psnr": 20.0}],
        results={**dict.fromkeys(keys, "-"), "sets": {}, "rows": []},
        run_sha256="",
        photographs="two",
        hardware="one core",
        notes="",
        teacher=None,
        one_step=None,
    )


def test_the_centre_is_counted_once_for_an_image(weights: Path) -> None:
    cost = denoiser_cost(str(weights), shape=(24, 32))
    convolutions = 9 * (3 * 32 + 4 * 32 * 32 + 32 * 12 + 12 * 12)
    anchor = 3 * 12
    assert cost.centre_macs == (convolutions + anchor) * 24 * 32
    assert cost.total_macs == 4 * cost.step.macs + cost.centre_macs
    assert (cost.centre, cost.centre_params) == ("ncnet", load_denoiser(weights).centre.params)  # type: ignore[union-attr]
    bicubic = denoiser_cost("resshift_px_s", shape=(24, 32), scale=2)
    assert bicubic.step.params == cost.step.params
    assert (bicubic.centre, bicubic.centre_params) == ("bicubic", 0)
    assert bicubic.centre_macs == 25 * 3 * 4 * 24 * 32


def test_the_card_names_the_network_and_no_folder(weights: Path) -> None:
    centre = load_denoiser(weights).centre
    assert centre is not None
    card = card_of(weights)
    known = {"model": "ncnet", "params": centre.params, "sha256": centre.sha256}
    assert card["sampling"]["centre"] == known
    text = denoiser_card_markdown({**card, "files": {}})
    assert f"a `ncnet` of {centre.params:,} parameters, which lies in the same file" in text
    folder = weights.parent
    (folder / "config.toml").write_text(tomli_w.dumps({"centre": str(folder), "scale": 2}))
    assert public_config(folder) == {"scale": 2}


def test_the_list_of_shipped_models_names_it(
    weights: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cards: list[dict[str, Any]] = [card_of(weights), {"sampling": {"steps": 4}}, {}]
    for card, name in zip(cards, ("ncnet", "bicubic", None), strict=True):
        monkeypatch.setattr(
            ZooEntry, "read_card", lambda _, found=card: {"evaluations": {}, **found}
        )
        assert run(["models", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["shipped"][0]["centre"] == name
