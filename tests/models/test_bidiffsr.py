"""BI-DiffSR's network and the way from its authors' file.

Run by hand against the authors' code with the same weights, at four timesteps: at most 1.1e-6
apart in float32, 2.2e-15 in float64 (published size, 32x32).
"""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from edgesr.binary.conv import BinaryConv2d
from edgesr.errors import CheckpointError, DataError
from edgesr.models.bidiffsr import PUBLISHED_STYLE, bidiffsr
from edgesr.models.bidiffsr_names import from_published, load_published
from edgesr.models.denoiser import Denoiser
from edgesr.models.fold_timestep import fold_timestep


def small(**settings: object) -> Denoiser:
    torch.manual_seed(0)
    wanted = {"width": 8, "multipliers": (1, 2), "blocks": 1, "norm_groups": 4, **settings}
    network = bidiffsr(2, **wanted).eval()  # type: ignore[arg-type]
    for name, parameter in network.named_parameters():
        if name.endswith(("shift", "before", "after")):
            torch.nn.init.normal_(parameter, std=0.3)
    return network


@pytest.mark.parametrize("levels", [(), (0,), (0, 1)])
def test_it_maps_images_of_any_size(levels: tuple[int, ...]) -> None:
    network = small(float_levels=levels)
    found = network(torch.rand(2, 3, 14, 18), torch.tensor([3, 1999]), torch.rand(2, 3, 7, 9))
    assert found.shape == (2, 3, 14, 18)


def test_every_image_of_a_batch_has_its_own_timestep() -> None:
    network = small(float_levels=())
    x, lr = torch.rand(1, 3, 16, 16), torch.rand(1, 3, 8, 8)
    both = network(x.expand(2, -1, -1, -1), torch.tensor([0, 1600]), lr.expand(2, -1, -1, -1))
    alone = network(x, torch.tensor([1600]), lr)
    assert torch.allclose(both[1:], alone, atol=1e-5)
    assert (both[0] - both[1]).abs().max() > 1e-3


def test_a_folded_timestep_gives_the_same_picture() -> None:
    network = small()
    x, lr = torch.rand(1, 3, 16, 16), torch.rand(1, 3, 8, 8)
    with torch.no_grad():
        want = network(x, torch.tensor([700]), lr)
        assert torch.allclose(fold_timestep(network, 700)(x, lr), want, atol=1e-6)


def test_a_timestep_outside_is_refused() -> None:
    with pytest.raises(DataError, match="timestep 2001 is outside 0 to 2000"):
        small()(torch.rand(1, 3, 16, 16), torch.tensor([2001]), torch.rand(1, 3, 8, 8))


def published(network: Denoiser) -> dict[str, Tensor]:
    """Rename a network's tensors as the authors' file has them, by a list made by hand."""
    state = network.state_dict()
    names = {
        "timestep_level_mlp.1": "time.first",
        "timestep_level_mlp.3": "time.second",
        "downs.0": "core.stem",
        "final_conv.block.0": "core.norm",
        "final_conv.block.3": "core.head",
    }
    for theirs, ours in (
        ("downs.1", "core.encoder.0"),
        ("downs.3", "core.encoder.2"),
        *((f"mid.{at}", f"core.middle.{at}") for at in (0, 1)),
        *((f"ups.{at}", f"core.decoder.{at}") for at in (1, 3, 6, 8)),
    ):
        names[f"{theirs}.res_block.timestep_func.1"] = f"{ours}.project"
        for at in (0, 1):
            names[f"{theirs}.res_block.block{at + 1}.block.0"] = f"{ours}.norms.{at}"
            names[f"{theirs}.res_block.block{at + 1}.conv"] = f"{ours}.convs.{at}"
    for theirs, ours in (("norm", "norm"), ("qkv", "triple"), ("out", "join")):
        names[f"mid.0.attn.{theirs}"] = f"core.middle.0.attention.{ours}"
    for theirs, ours in (
        ("downs.2.biconv", "core.encoder.1"),
        ("ups.4.biconv", "core.decoder.4"),
        *((f"ups.{at}.biconv_", f"core.decoder.{at}") for at in (0, 2, 5, 7)),
    ):
        names[f"{theirs}1"], names[f"{theirs}2"] = f"{ours}.first", f"{ours}.second"
    made = {}
    modules = dict(network.named_modules())
    for theirs, ours in names.items():
        if not isinstance(modules[ours], BinaryConv2d):
            for kind in ("weight", "bias"):
                if f"{ours}.{kind}" in state:
                    made[f"{theirs}.{kind}"] = state[f"{ours}.{kind}"]
            continue
        made[f"{theirs}.binary_conv.weight"] = state[f"{ours}.weight"]
        for group in range(5):
            column = (1, -1, 1, 1)
            activation = f"{theirs}.TaA.dynamic_relu_{group}"
            made[f"{theirs}.TaR.dynamic_move_{group}.bias"] = state[f"{ours}.shift"][group].reshape(
                column
            )
            made[f"{activation}.pr_bias0.bias"] = state[f"{ours}.before"][group].reshape(column)
            made[f"{activation}.pr_prelu.weight"] = state[f"{ours}.bend"][group]
            made[f"{activation}.pr_bias1.bias"] = state[f"{ours}.after"][group].reshape(column)
    return made


def test_the_authors_names_lead_to_every_tensor() -> None:
    trained = small(float_levels=(0,))
    fresh = bidiffsr(2, width=8, multipliers=(1, 2), blocks=1, norm_groups=4, float_levels=(0,))
    load_published(fresh, published(trained))
    for name, value in trained.state_dict().items():
        assert torch.equal(fresh.state_dict()[name], value), name


def test_a_file_that_does_not_fit_is_refused() -> None:
    state = published(small(float_levels=(0,)))
    with pytest.raises(CheckpointError, match=r"decoder\.0\.weight: is not a tensor of BI-DiffSR"):
        from_published({"decoder.0.weight": torch.zeros(1)})
    damaged = dict(state)
    del damaged["downs.1.res_block.block1.conv.TaR.dynamic_move_2.bias"]
    with pytest.raises(CheckpointError, match=r"groups \[0, 1, 3, 4\], want 0 to 3"):
        from_published(damaged)
    other = small(float_levels=(0,), style=replace(PUBLISHED_STYLE, groups=2))
    with pytest.raises(CheckpointError, match="do not fit this network"):
        load_published(other, state)
