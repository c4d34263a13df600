"""Counts against published ones, torch's own counter, fvcore and arithmetic by hand."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from edgesr.bench.cost import complexity
from edgesr.bench.cost_memory import Step, peak_size
from edgesr.errors import CheckpointError, ConfigError, GraphError
from edgesr.models import MODELS, build_model
from edgesr.models.checkpoint import save_weights
from edgesr.models.reference import REFERENCE_NETS, build_reference


@dataclass(frozen=True)
class Golden:
    """Parameters, GFLOPs of two counters, millions of activations, convolutions."""

    params: int
    ntire22: float
    fvcore: float
    activations: float
    convs: int


GOLDEN = {
    "imdn": Golden(893_936, 58.5315, 58.4308, 154.1407, 43),
    "rfdn": Golden(433_448, 27.1026, 27.0462, 112.0342, 64),
    "rlfn": Golden(317_218, 19.6953, 19.6749, 80.0452, 39),
    "fmen": Golden(341_066, 22.2800, 22.2800, 72.0896, 34),
    "efdn": Golden(276_192, 16.7288, 16.7035, 111.1167, 65),
    "span": Golden(150_688, 9.8338, 9.8338, 41.6809, 22),
    "bsrn": Golden(156_288, 2.0224, 9.4458, 65.7577, 43),
}
EVERY: dict[str, Callable[[], nn.Module]] = {
    **{name: partial(build_reference, name) for name in REFERENCE_NETS},
    **{name: partial(build_model, name, 3) for name in MODELS},
}


class Wrapped(nn.Module):
    """A module whose forward is a function of itself and the image."""

    def __init__(self, forward: Callable[..., Tensor], **parts: nn.Module) -> None:
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)
        self._forward = forward

    def forward(self, image: Tensor) -> Tensor:
        return self._forward(self, image)


def conv(before: int, after: int, size: int = 3) -> nn.Conv2d:
    return nn.Conv2d(before, after, size, padding=size // 2)


@pytest.mark.parametrize("name", GOLDEN)
def test_challenge_networks_cost_what_was_published(name: str) -> None:
    found, wanted = complexity(name, shape=(256, 256)), GOLDEN[name]
    assert found.params == wanted.params
    assert found.scale == 4
    assert round(found.ntire22_flops / 1e9, 4) == wanted.ntire22
    assert round(found.fvcore_flops / 1e9, 4) == wanted.fvcore
    assert round(found.activations / 1e6, 4) == wanted.activations
    assert found.convs == wanted.convs


def test_mobile_networks_cost_what_was_published() -> None:
    ncnet = complexity("ncnet", shape=(360, 640))
    assert round(ncnet.macs / 1e9, 3) == 12.014
    assert round((ncnet.macs - 81 * 360 * 640) / 1e9, 3) == 11.996
    assert (ncnet.trainable_params, ncnet.frozen_params, ncnet.params) == (52_279, 81, 52_360)
    abpn = complexity("abpn", shape=(360, 640))
    assert round(abpn.macs / 1e9, 3) == 9.756
    assert (abpn.params, abpn.frozen_params) == (42_539, 0)


def test_a_transposed_convolution_makes_the_counters_disagree_and_it_is_said() -> None:
    found = complexity("fsrcnn", shape=(360, 640))
    assert found.params == 24_683
    assert round(found.fvcore_flops / 1e9, 2) == round(found.macs / 1e9, 2) == 5.61
    assert round(found.ntire22_flops / 1e9, 2) == 30.73
    (warning,) = found.warnings
    assert warning.startswith("ntire22 counts 30.729 G where the network does 5.607 G MACs")
    assert "transposed convolutions taken at output pixels (+25.082 G)" in warning


def test_linear_layers_on_channels_last_images_are_named_as_the_cause() -> None:
    found = complexity("bsrn", shape=(256, 256))
    assert any("linear layers by axis 1" in warning for warning in found.warnings)


@pytest.mark.parametrize("name", EVERY)
def test_macs_are_half_of_what_torch_counts(name: str) -> None:
    network = EVERY[name]().eval()
    found = complexity(network, shape=(48, 52))
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network.to("meta")(torch.empty(1, 3, 48, 52, device="meta"))
    assert found.macs * 2 == found.flops == counter.get_total_flops()


def test_macs_of_attention_and_products_are_what_torch_counts() -> None:
    def forward(self: Wrapped, image: Tensor) -> Tensor:
        tokens = self.get_submodule("embed")(image).flatten(2).transpose(1, 2)
        mixed = self.get_submodule("attend")(tokens, tokens, tokens, need_weights=False)[0]
        made: Tensor = torch.einsum("bnc,bmc->bnm", mixed, tokens).softmax(-1) @ tokens
        return made.transpose(1, 2).reshape(1, 8, 6, 6)

    network = Wrapped(
        forward, embed=conv(3, 8), attend=nn.MultiheadAttention(8, 2, batch_first=True)
    )
    found = complexity(network, shape=(6, 6))
    # torch counts neither the fused attention without gradients nor that of CPUs
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        network.eval()(torch.zeros(1, 3, 6, 6))
    products = 36 * 36 * 8  # queries and keys, their weights and values, and both lines above
    assert found.macs == 36 * (3 * 8 * 9 + 4 * 8 * 8) + 4 * products
    assert found.flops == counter.get_total_flops()
    assert found.receptive_field is None


@pytest.mark.parametrize("name", EVERY)
def test_fvcore_is_what_fvcore_counts(name: str) -> None:
    analysis = pytest.importorskip("fvcore.nn", reason="fvcore is not installed").FlopCountAnalysis
    network = EVERY[name]().eval()
    wanted = analysis(network, torch.zeros(1, 3, 48, 52)).unsupported_ops_warnings(enabled=False)
    assert complexity(network, shape=(48, 52)).fvcore_flops == int(wanted.total())


PIXELS = 20 * 24
QUIRKS: dict[str, tuple[nn.Module, int, int]] = {
    # module after conv(3, 4), FLOPs that ntire22 adds to MACs, FLOPs that fvcore adds
    "relu": (nn.ReLU(), 4 * PIXELS, 0),
    "prelu": (nn.PReLU(4), 4 * PIXELS, 0),
    "elu": (nn.ELU(), 4 * PIXELS, 0),
    "leaky relu": (nn.LeakyReLU(), 4 * PIXELS, 0),
    "relu6": (nn.ReLU6(), 4 * PIXELS, 0),
    "gelu": (nn.GELU(), 0, 0),
    "sigmoid": (nn.Sigmoid(), 0, 0),
    "hardtanh": (nn.Hardtanh(), 0, 0),
    "batch norm": (nn.BatchNorm2d(4), 8 * PIXELS, 8 * PIXELS),
    "batch norm without gain": (nn.BatchNorm2d(4, affine=False), 4 * PIXELS, 4 * PIXELS),
    "transposed": (nn.ConvTranspose2d(4, 3, 2, stride=2), 3 * 4 * 4 * 3 * PIXELS, 0),
    "pixel shuffle": (nn.PixelShuffle(2), 0, 0),
    "nearest": (nn.Upsample(scale_factor=2), 0, 16 * PIXELS),
    "bilinear": (nn.Upsample(scale_factor=2, mode="bilinear"), 0, 64 * PIXELS),
    "max pool": (nn.MaxPool2d(2), 0, 0),
}


@pytest.mark.parametrize("name", QUIRKS)
def test_counters_follow_their_rules(name: str) -> None:
    module, ntire22, fvcore = QUIRKS[name]
    found = complexity(nn.Sequential(conv(3, 4), module), shape=(20, 24))
    transposed = 3 * 4 * 4 * PIXELS if name == "transposed" else 0
    assert found.macs == 3 * 4 * 9 * PIXELS + transposed
    assert found.ntire22_flops - found.macs == ntire22
    assert found.fvcore_flops - found.macs == fvcore


def test_functional_convolutions_are_counted_and_reported() -> None:
    def forward(self: Wrapped, image: Tensor) -> Tensor:
        hidden = self.get_submodule("first")(image).relu()
        return functional.conv2d(hidden, self.get_parameter("second.weight"), padding=1)

    found = complexity(Wrapped(forward, first=conv(3, 8), second=conv(8, 3)), shape=(8, 8))
    assert found.macs == 2 * 3 * 8 * 9 * 64
    assert (found.convs, found.all_convs) == (1, 2)
    assert (found.activations, found.all_activations) == (8 * 64, 11 * 64)
    assert found.ntire22_flops == 3 * 8 * 9 * 64
    assert any("1 of 2 convolutions run as functions" in text for text in found.warnings)
    assert any("which hooks do not see" in text for text in found.warnings)


def in_a_row() -> nn.Module:
    return nn.Sequential(conv(3, 4), nn.ReLU(), conv(4, 64), conv(64, 4, 1))


def side_by_side() -> nn.Module:
    def forward(self: Wrapped, image: Tensor) -> Tensor:
        hidden = self.get_submodule("first")(image).relu()
        three, one = self.get_submodule("three"), self.get_submodule("one")
        result: Tensor = three(hidden) + one(hidden) + hidden
        return result

    return Wrapped(forward, first=conv(3, 4), three=conv(4, 4), one=conv(4, 4, 1))


@pytest.mark.parametrize("build", [in_a_row, side_by_side])
def test_an_uncollapsed_block_is_found(build: Callable[[], nn.Module]) -> None:
    found = complexity(build(), shape=(8, 8))
    assert any(text.startswith("2 convolutions stand in a row or side") for text in found.warnings)


@pytest.mark.parametrize("name", [name for name in EVERY if name != "fsrcnn"])
def test_deployed_networks_are_not_called_uncollapsed(name: str) -> None:
    found = complexity(name, shape=(32, 32))
    assert not any("collapse" in text for text in found.warnings)
    assert found.unused_params == 0


def test_parameters_that_are_never_read_are_counted_and_reported() -> None:
    network = Wrapped(
        lambda self, x: self.get_submodule("used")(x), used=conv(3, 3), left=conv(3, 3)
    )
    found = complexity(network, shape=(8, 8))
    assert (found.params, found.unused_params) == (168, 84)
    assert any("84 parameters are never read" in text for text in found.warnings)


def test_weights_made_in_every_evaluation_are_reported() -> None:
    def forward(self: Wrapped, image: Tensor) -> Tensor:
        one, three = self.get_parameter("one.weight"), self.get_parameter("three.weight")
        return functional.conv2d(image, functional.conv2d(three, one.transpose(0, 1)), padding=1)

    network = Wrapped(forward, one=conv(3, 16, 1), three=conv(16, 3))
    found = complexity(network, shape=(8, 8))
    assert any("M MACs go into weights in every evaluation" in text for text in found.warnings)
    assert (found.all_convs, found.all_activations) == (1, 3 * 64)


def test_work_in_the_constructor_is_reported() -> None:
    def build() -> nn.Module:
        network = conv(3, 16)
        with torch.no_grad():
            network(torch.zeros(1, 3, 256, 256))
        return network

    found = complexity(build, shape=(8, 8))
    assert any("the constructor runs 28.312 M MACs" in text for text in found.warnings)
    assert complexity(build(), shape=(8, 8)).warnings == ()


def test_a_cache_between_calls_is_reported_and_the_larger_count_is_used() -> None:
    class Cached(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution = conv(3, 3)
            self.kept: list[Tensor] = []

        def forward(self, image: Tensor) -> Tensor:
            if not self.kept:
                self.kept.append(self.convolution(image))
            return self.kept[0] + image

    found = complexity(Cached(), shape=(8, 8))
    assert found.macs == 81 * 64
    assert any("the second evaluation is another one" in text for text in found.warnings)


def test_a_custom_operation_is_reported() -> None:
    @torch.library.custom_op("edgesr_test::twice", mutates_args=())
    def twice(image: Tensor) -> Tensor:
        return image * 2

    @twice.register_fake
    def _(image: Tensor) -> Tensor:
        return torch.empty_like(image)

    found = complexity(Wrapped(lambda _, image: twice(image)), shape=(8, 8))
    assert found.macs == 0
    assert any("counted as 0 by every counter: edgesr_test.twice" in t for t in found.warnings)


def test_a_forward_that_reads_values_is_run_for_real() -> None:
    def forward(self: Wrapped, image: Tensor) -> Tensor:
        made: Tensor = self.get_submodule("convolution")(image)
        return made if float(image.sum()) >= 0 else image

    found = complexity(Wrapped(forward, convolution=conv(3, 3)), shape=(8, 8))
    assert found.macs == 81 * 64


def test_modules_of_other_channels_types_and_call_styles_are_counted() -> None:
    def forward(self: Wrapped, image: Tensor) -> Tensor:
        made: Tensor = self.get_submodule("convolution")(input=image)
        return made

    network = Wrapped(forward, convolution=conv(1, 4)).to(torch.bfloat16)
    found = complexity(network, shape=(8, 8), channels=1)
    assert (found.macs, found.convs, found.stored_bytes) == (36 * 64, 1, 80)
    assert complexity(torch.compile(conv(3, 3), backend="eager"), shape=(8, 8)).macs == 81 * 64


def test_whatever_a_forward_raises_is_one_error() -> None:
    def forward(_: Wrapped, image: Tensor) -> Tensor:
        raise KeyError(str(image.ndim))

    with pytest.raises(GraphError, match="Wrapped: does not run on an image of 3 channels"):
        complexity(Wrapped(forward), shape=(8, 8))


def test_the_module_stays_as_it_was() -> None:
    network = build_model("ncnet", 3).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    complexity(network, shape=(24, 24))
    assert network.training
    assert all(not module._forward_hooks for module in network.modules())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def observed_field(network: nn.Module, side: int) -> int:
    """Widest reach of any of some output pixels, measured by gradients with positive weights."""
    for parameter in network.parameters():
        parameter.data.abs_().add_(0.1)
    image = torch.rand(1, 3, side, side, dtype=torch.float64, requires_grad=True)
    sr = network.double()(image)
    widest, middle = 0, sr.shape[3] // 2
    for column in range(middle - 6, middle + 6):
        (grad,) = torch.autograd.grad(sr[0, :, middle, column].sum(), image, retain_graph=True)
        seen = grad[0].abs().sum(0).sum(0).nonzero()
        widest = max(widest, int(seen.max() - seen.min()) + 1)
    return widest


FIELDS: dict[str, Callable[[], nn.Module]] = {
    "dilated": lambda: nn.Conv2d(3, 3, 3, padding=3, dilation=3),
    "shuffled": lambda: nn.Sequential(conv(3, 12, 5), nn.PixelShuffle(2), conv(3, 3)),
    "unshuffled": lambda: nn.Sequential(nn.PixelUnshuffle(2), conv(12, 12), nn.PixelShuffle(2)),
    "transposed": lambda: nn.Sequential(
        conv(3, 4), nn.ConvTranspose2d(4, 3, 9, stride=3, padding=4, output_padding=2)
    ),
    "strided and transposed": lambda: nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.ConvTranspose2d(4, 3, 4, stride=2, padding=1)
    ),
    "pooled": lambda: nn.Sequential(nn.AvgPool2d(3, 2, 1), conv(3, 3), nn.Upsample(scale_factor=2)),
    "bilinear": lambda: nn.Sequential(conv(3, 3), nn.Upsample(scale_factor=2, mode="bilinear")),
    "coarse and bilinear": lambda: nn.Sequential(
        nn.AvgPool2d(2), conv(3, 3), nn.Upsample(scale_factor=2, mode="bilinear")
    ),
    "padded": lambda: nn.Sequential(nn.ZeroPad2d((2, 1, 0, 3)), nn.Conv2d(3, 3, 4)),
    "fsrcnn": lambda: build_reference("fsrcnn"),
    "span": lambda: build_reference("span"),
}


@pytest.mark.parametrize("name", FIELDS)
def test_the_receptive_field_is_what_gradients_see(name: str) -> None:
    torch.manual_seed(0)
    network = FIELDS[name]().eval()
    assert complexity(network, shape=(48, 48)).receptive_field == observed_field(network, 48)


@pytest.mark.parametrize(
    ("name", "field"), [("imdn", 71), ("fmen", 69), ("ncnet", 15), ("abpn", 15)]
)
def test_the_receptive_field_of_plain_stacks_is_that_of_their_layers(name: str, field: int) -> None:
    assert complexity(name, shape=(96, 96)).receptive_field == field


@pytest.mark.parametrize("name", ["rfdn", "rlfn", "bsrn"])
def test_a_receptive_field_larger_than_the_image_is_found_on_a_larger_one(name: str) -> None:
    small, large = complexity(name, shape=(32, 32)), complexity(name, shape=(1024, 1024))
    assert small.receptive_field is not None
    assert large.receptive_field is not None
    assert 150 < large.receptive_field < 450
    # bilinear resizing to the image's size moves the coarse grid by up to a cell in every block
    assert abs(small.receptive_field - large.receptive_field) < 60


def test_a_network_with_global_pooling_has_no_receptive_field() -> None:
    network = nn.Sequential(conv(3, 3), nn.AdaptiveAvgPool2d(1))
    found = complexity(network, shape=(8, 8))
    assert found.receptive_field is None
    assert found.scale is None
    assert any("adaptive_avg_pool2d sees the whole image" in text for text in found.warnings)


def test_peak_size_is_that_of_the_worst_moment() -> None:
    steps = [
        Step(reads=frozenset({0}), writes=frozenset({1})),
        Step(reads=frozenset({1}), writes=frozenset({2})),
        Step(reads=frozenset({0, 2}), writes=frozenset({3})),
    ]
    sizes = {0: 1, 1: 10, 2: 5, 3: 2}
    assert peak_size(steps, sizes, inputs=[0], outputs=[3]) == 1 + 10 + 5
    assert peak_size([], sizes, inputs=[0], outputs=[0]) == 1


def test_peak_memory_of_ncnet_is_at_its_addition() -> None:
    found = complexity("ncnet", shape=(360, 640))
    elements = 3 * 27 * 360 * 640  # detail, anchor and their sum
    assert found.peak_memory_int8_mib == elements / 2**20
    assert found.peak_memory_float32_mib == found.peak_memory_mib == 4 * elements / 2**20


def test_elementwise_operations_need_no_memory_of_their_own() -> None:
    plain = complexity(nn.Sequential(conv(3, 8), conv(8, 8)), shape=(8, 8))
    busy = complexity(
        nn.Sequential(conv(3, 8), nn.ReLU(), nn.BatchNorm2d(8), conv(8, 8), nn.Sigmoid()),
        shape=(8, 8),
    )
    assert busy.peak_memory_mib == plain.peak_memory_mib == 4 * 16 * 64 / 2**20


def test_a_million_parameters_are_counted_in_a_second() -> None:
    layers = [nn.Sequential(conv(64, 64), nn.ReLU()) for _ in range(28)]
    network = nn.Sequential(conv(3, 64), *layers, conv(64, 3))
    assert sum(p.numel() for p in network.parameters()) > 1_000_000
    complexity(nn.Conv2d(3, 3, 1), shape=(8, 8))
    start = time.process_time()
    complexity(network, shape=(256, 256))
    assert time.process_time() - start < 1.0


def test_weights_files_and_run_folders_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "best.safetensors"
    save_weights(path, build_model("ncnet", 2).state_dict(), model="ncnet", scale=2)
    by_file, by_folder = complexity(path, shape=(24, 24)), complexity(tmp_path, shape=(24, 24))
    assert by_file.scale == 2
    assert by_file.stored_bytes == by_folder.stored_bytes == path.stat().st_size
    assert by_file.macs == by_folder.macs == complexity("ncnet", shape=(24, 24), scale=2).macs


def test_the_result_is_json() -> None:
    document = json.loads(json.dumps(complexity("abpn", shape=(24, 32)).to_json()))
    assert document["shape"] == [24, 32]
    assert document["flops"] == 2 * document["macs"]
    assert document["operators"]["conv2d"]["calls"] == 7


def test_bad_sources_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file or network; name a file or one of"):
        complexity("unet")
    (tmp_path / "model.onnx").touch()
    with pytest.raises(CheckpointError, match="is no model file, want"):
        complexity(tmp_path / "model.onnx")
    with pytest.raises(ConfigError, match="has no scale 7"):
        complexity("ncnet", scale=7)
    with pytest.raises(GraphError, match="does not run on an image of 3 channels, 8 high"):
        complexity("rfdn", shape=(8, 8))
    with pytest.raises(GraphError, match="returns tuple, want one tensor"):
        complexity(nn.MaxPool2d(2, return_indices=True), shape=(8, 8))
