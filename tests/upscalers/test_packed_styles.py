"""A packed file runs every published style as the denoiser that it was exported from."""

from pathlib import Path

import pytest
import torch

from edgesr.binary.style import STYLES, StyleChoice
from edgesr.export.binary import export_binary
from edgesr.models.denoiser_files import Schedule, load_denoiser, save_denoiser
from edgesr.models.denoisers import build_denoiser
from edgesr.upscalers.packed import load_packed

NAME = "resshift_px_s_1bit"


@pytest.mark.parametrize("name", STYLES)
def test_every_style_is_packed_exactly_and_the_file_says_it(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    choice = StyleChoice(name=name)
    network = build_denoiser(NAME, 2, choice)
    with torch.no_grad():
        for key, value in network.named_parameters():
            if key.endswith(("shift", "before", "after", "project.weight", "head.weight")):
                value.normal_(0.0, 0.05)
            value.copy_(value.half().float())  # what a file of half precision holds
    path = tmp_path / "one.safetensors"
    save_denoiser(
        path,
        network.state_dict(),
        model=NAME,
        scale=2,
        schedule=Schedule(name="resshift", parameters={"num_steps": 4}),
        prediction="residual",
        style=choice,
    )
    loaded = load_denoiser(path)
    assert export_binary(loaded, tmp_path / "x.esb").mismatches == 0
    packed = load_packed(tmp_path / "x.esb")
    assert packed.style == loaded.style == choice
    lr, x_t = torch.rand(2, 3, 8, 8), torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        want, found = (one.module(x_t, torch.tensor([1, 4]), lr) for one in (loaded, packed))
    # a bit near its threshold may fall to the other side where float sums are ordered otherwise
    assert float((found - want).abs().mean()) < 1e-3 * float(want.abs().mean())
