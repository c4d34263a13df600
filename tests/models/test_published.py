"""Parameter counts that papers and their authors' code state."""

from pathlib import Path

import pytest
from torch import nn

from edgesr.bench.cost_torch import torch_complexity
from edgesr.models import MODELS, build_model
from edgesr.models.ecbsr import ECBSR
from edgesr.models.quicksrnet import QuickSRNet
from edgesr.models.sesr import SESR
from edgesr.models.span import SPAN
from edgesr.models.training_convs import collapsible, sandwich

FULL_HD = (360, 640)
DEPLOYED = [
    ("ncnet", 3, 52_279),
    ("abpn", 3, 42_539),
    ("xlsr", 3, 21_947),
    ("xlsr", 4, 28_016),
    ("sesr_m3", 3, 19_003),
    ("sesr_m5", 3, 23_643),
    ("sesr_m7", 3, 28_283),
    ("sesr_m11", 3, 37_563),
    ("sesr_xl", 3, 125_787),
    ("quicksrnet_s", 3, 27_195),
    ("quicksrnet_m", 3, 54_939),
    ("quicksrnet_l", 3, 423_687),
    ("etds_t", 3, 16_920),
    ("etds_s", 3, 46_792),
    ("etds_m", 3, 65_288),
    ("etds_l", 3, 159_768),
    ("espcn", 3, 31_131),
]
GIGA_MACS = {
    "xlsr": 4.98,
    "sesr_m3": 4.38,
    "sesr_m5": 5.44,
    "sesr_m11": 8.62,
    "quicksrnet_s": 6.24,
    "quicksrnet_m": 12.61,
    "etds_t": 3.86,
    "etds_s": 10.73,
    "etds_m": 14.98,
    "espcn": 7.14,
}


def params(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(("name", "scale", "count"), DEPLOYED)
def test_deployed_parameters_are_as_published(name: str, scale: int, count: int) -> None:
    assert params(build_model(name, scale)) == MODELS[name].params[scale] == count


@pytest.mark.parametrize(
    ("width", "depth", "count"), [(8, 4, 4_571), (16, 4, 13_723), (32, 4, 45_851), (40, 6, 97_787)]
)
def test_ecbsr_is_as_published_with_prelu_and_5_slopes_a_channel_smaller_with_relu(
    width: int, depth: int, count: int
) -> None:
    assert params(ECBSR(3, width=width, depth=depth, activation="prelu")) == count
    relu = MODELS[f"ecbsr_m{depth}c{width}"].params[3]
    assert relu == count - (depth + 1) * width


@pytest.mark.parametrize("name", GIGA_MACS)
def test_multiply_accumulates_at_full_hd_are_as_published(name: str) -> None:
    macs = torch_complexity(build_model(name, 3), shape=FULL_HD).macs / 1e9
    assert macs == pytest.approx(GIGA_MACS[name], abs=0.006)


@pytest.mark.parametrize("name", MODELS)
def test_multiply_accumulates_are_as_described(name: str) -> None:
    for scale in MODELS[name].scales:
        found = torch_complexity(build_model(name, scale), shape=(8, 8))
        assert found.macs == MODELS[name].macs_per_pixel[scale] * 64


def test_pureconv_has_the_published_multiply_accumulates_less_those_of_its_clip() -> None:
    macs = torch_complexity(build_model("pureconv_m3c32", 3), shape=FULL_HD).macs
    clip = 27 * 27 * FULL_HD[0] * FULL_HD[1]
    assert round((macs + clip) / 1e9, 2) == 8.53


def test_the_uncollapsed_sesr_m5_has_the_parameters_of_the_one_that_is_shipped_so() -> None:
    """343,120 with a trainable anchor of a 1x1 kernel and a bias, which is fixed here."""
    assert params(SESR(4, depth=5, conv=collapsible)) + 48 * 3 + 48 == 343_120


def test_the_uncollapsed_span_of_48_channels_has_2_24_million_parameters() -> None:
    """The published object holds the collapsed kernels of its 20 blocks beside the branches."""
    uncollapsed = params(SPAN(4, width=48, conv=sandwich))
    kernels = 19 * (48 * 48 * 9 + 48) + 3 * 48 * 9 + 48
    assert round((uncollapsed + kernels) / 1e6, 2) == 2.24


def test_the_anchor_of_the_large_quicksrnet_is_the_difference_to_a_plain_stack() -> None:
    with_anchor = QuickSRNet(3, width=64, depth=11, anchor=True)
    assert params(with_anchor) - params(QuickSRNet(3, width=64, depth=11)) == 108


def test_the_page_of_networks_states_every_count() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "models.md").read_text()
    for name, about in MODELS.items():
        counts = " / ".join(f"{about.params[scale]:,}" for scale in about.scales)
        macs = about.macs_per_pixel[3] * FULL_HD[0] * FULL_HD[1] / 1e9
        assert f"| `{name}` | {counts} | {macs:.2f} | {about.receptive_field} |" in page
