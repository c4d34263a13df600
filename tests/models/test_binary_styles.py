"""Denoisers of one bit in every published style: whole blocks, folded timesteps, files."""

from pathlib import Path

import pytest
import torch

from edgesr.binary.conv import BinaryConv2d
from edgesr.binary.style import OWN, STYLES, StyleChoice
from edgesr.errors import CheckpointError, ConfigError
from edgesr.models.denoiser import Denoiser
from edgesr.models.denoiser_files import Schedule, load_denoiser, save_denoiser
from edgesr.models.denoisers import DENOISERS, build_denoiser
from edgesr.models.fold_timestep import fold_timestep
from edgesr.models.resshift_px_binary import BinaryBlock

NAME = "resshift_px_s_1bit"
CHOICE = StyleChoice(name="bnn")


def styled(choice: StyleChoice) -> Denoiser:
    torch.manual_seed(0)
    network = build_denoiser(NAME, 2, choice)
    with torch.no_grad():
        for name, value in network.named_parameters():
            if name.endswith(("shift", "before", "after", "project.weight", "head.weight")):
                value.normal_(0.0, 0.05)
    return network.eval()


@pytest.mark.parametrize("name", STYLES)
def test_every_style_knows_its_timestep_and_folds_it_away(name: str) -> None:
    network = styled(StyleChoice(name=name))
    x, lr = torch.rand(1, 3, 16, 16), torch.rand(1, 3, 8, 8)
    with torch.no_grad():
        one, two = (network(x, torch.tensor([t]), lr) for t in (1, 4))
        assert (one - two).abs().max() > 1e-5
        torch.testing.assert_close(fold_timestep(network, 4)(x, lr), two)


@pytest.mark.parametrize("name", STYLES)
def test_a_block_has_one_way_round_for_its_input(name: str) -> None:
    """With convolutions that make nothing a block returns its input once, whatever the style."""
    block = next(
        part for part in styled(StyleChoice(name=name)).modules() if isinstance(part, BinaryBlock)
    )
    for conv in block.children():
        if isinstance(conv, BinaryConv2d):
            conv.convolve = lambda bits: 0 * bits  # type: ignore[method-assign]
            if conv.style.gain == "learned":
                torch.nn.init.ones_(conv.shortcut)
    for key, value in block.named_parameters():
        if key.endswith(("before", "after", "project.weight", "project.bias")):
            torch.nn.init.zeros_(value)
    told = torch.zeros(1, 65 if block.film is not None else 1)
    features = torch.randn(1, 32, 4, 4)
    torch.testing.assert_close(block(features, told), features)


def test_a_file_says_its_style(tmp_path: Path) -> None:
    choice = StyleChoice(name="irnet", groups=0)
    network = styled(choice)
    path = tmp_path / "one.safetensors"

    def save(style: StyleChoice, **metadata: str) -> None:
        save_denoiser(
            path,
            network.state_dict(),
            model=NAME,
            scale=2,
            schedule=Schedule(name="resshift", parameters={"num_steps": 4}),
            prediction="residual",
            style=style,
            metadata=metadata,
        )

    save(choice)
    loaded = load_denoiser(path)
    assert loaded.style == choice
    layers = [part for part in loaded.module.modules() if isinstance(part, BinaryConv2d)]
    assert {part.style.weights for part in layers} == {"irnet"}
    x, lr = torch.rand(1, 3, 16, 16), torch.rand(1, 3, 8, 8)
    with torch.no_grad():
        want = network(x, torch.tensor([2]), lr)
        assert torch.equal(loaded.module(x, torch.tensor([2]), lr), want)
    save(OWN)
    with pytest.raises(CheckpointError, match="does not fit resshift_px_s_1bit"):
        load_denoiser(path)
    save(OWN, binary_style="ternary")
    with pytest.raises(CheckpointError, match="'ternary' is unknown"):
        load_denoiser(path)
    save(OWN, binary_groups="many")
    with pytest.raises(CheckpointError, match="says binary_groups 'many'"):
        load_denoiser(path)


def test_a_float_denoiser_has_no_style() -> None:
    with pytest.raises(ConfigError, match="resshift_px_s has no convolution of one bit"):
        build_denoiser("resshift_px_s", 2, StyleChoice(name="xnor"))
    named = [name for name, one in DENOISERS.items() if one.styled is not None]
    assert named == ["resshift_px_s_1bit", "bidiffsr", "bidiffsr_edge"]
    with torch.device("meta"):
        for name in named:
            own = build_denoiser(name, 2)
            assert len(own.state_dict()) > len(build_denoiser(name, 2, CHOICE).state_dict())


def test_twins_have_features_of_the_same_shapes() -> None:
    for about in DENOISERS.values():
        if about.twin is not None:
            shapes = []
            for name in (about.name, about.twin):
                found: list[torch.Size] = []
                network = build_denoiser(name, 2)
                for block in network.core.blocks():  # type: ignore[operator]
                    block.register_forward_hook(lambda *made, at=found: at.append(made[2].shape))
                network(torch.rand(1, 3, 16, 16), torch.tensor([1]), torch.rand(1, 3, 8, 8))
                shapes.append(found)
            assert shapes[0] == shapes[1]
            assert len(shapes[0]) == 4
