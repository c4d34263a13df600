"""The networks that edgesr knows, each with the facts that its users need."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from edgesr.errors import ConfigError
from edgesr.models import builders
from edgesr.models.builders import Form
from edgesr.models.descriptor import Descriptor

if TYPE_CHECKING:
    from torch import nn


def build_model(name: str, scale: int, form: Form = "deploy") -> "nn.Module":
    """Build network ``name`` for upscaling factor ``scale`` with fresh weights.

    Args:
        name: key in ``MODELS``.
        scale: upscaling factor.
        form: ``training`` builds the form with branches; ``reparameterize.collapse`` folds it.

    Raises:
        ConfigError: no such network, or it is not made for that factor or in that form.
    """
    descriptor = MODELS.get(name)
    if descriptor is None:
        raise ConfigError(f"model {name!r} is unknown; choose one of {', '.join(MODELS)}")
    if scale not in descriptor.scales:
        wanted = ", ".join(map(str, descriptor.scales))
        raise ConfigError(f"model {name!r} has no scale {scale}; choose one of {wanted}")
    if form == "training" and not descriptor.has_training_form:
        raise ConfigError(
            f"model {name!r} has no training form with branches; train its one form, deploy"
        )
    return descriptor.build(scale, form)


MODELS: Mapping[str, Descriptor] = MappingProxyType(
    {
        "ncnet": Descriptor(
            name="ncnet",
            title="plain 3x3 convolutions with a nearest-convolution upsampler, 32 channels",
            build=builders.ncnet,
            receptive_field=15,
            params={2: 42_664, 3: 52_279, 4: 72_544},
            macs_per_pixel={2: 42_516, 3: 52_146, 4: 72_432},
            source="Luo et al. 2022, arXiv 2208.11609",
        ),
        "abpn": Descriptor(
            name="abpn",
            title="plain 3x3 convolutions with a concatenated anchor, 28 channels",
            build=builders.abpn,
            receptive_field=15,
            params={2: 33_464, 3: 42_539, 4: 62_048},
            macs_per_pixel={2: 33_300, 3: 42_345, 4: 61_812},
            source="Du et al. 2021, arXiv 2105.09750",
        ),
        "edge_s": Descriptor(
            name="edge_s",
            title="edgesr's own, small: 16 channels, 8 convolutions",
            build=builders.edge(width=16, depth=6),
            receptive_field=17,
            params={2: 16_108, 3: 18_283, 4: 21_328},
            macs_per_pixel={2: 16_020, 3: 18_225, 4: 21_312},
            source="edgesr, docs/decisions/0014-the-edge-family.md",
        ),
        "edge_m": Descriptor(
            name="edge_m",
            title="edgesr's own, medium: 32 channels, 5 convolutions",
            build=builders.edge(width=32, depth=3),
            receptive_field=11,
            params={2: 32_108, 3: 36_443, 4: 42_512},
            macs_per_pixel={2: 32_004, 3: 36_369, 4: 42_480},
            source="edgesr, docs/decisions/0014-the-edge-family.md",
        ),
        "edge_l": Descriptor(
            name="edge_l",
            title="edgesr's own, large: 32 channels, 8 convolutions",
            build=builders.edge(width=32, depth=6),
            receptive_field=17,
            params={2: 59_852, 3: 64_187, 4: 70_256},
            macs_per_pixel={2: 59_652, 3: 64_017, 4: 70_128},
            source="edgesr, docs/decisions/0014-the-edge-family.md",
        ),
        "xlsr": Descriptor(
            name="xlsr",
            title="grouped convolutions between 1x1 ones",
            build=builders.xlsr,
            receptive_field=11,
            params={2: 17_612, 3: 21_947, 4: 28_016},
            macs_per_pixel={2: 17_296, 3: 21_616, 4: 27_664},
            source="Ayazoglu 2021, arXiv 2105.10288",
            has_training_form=False,
        ),
        "sesr_m3": Descriptor(
            name="sesr_m3",
            title="collapsible linear blocks, 16 channels, 3 3x3 layers",
            build=builders.sesr(width=16, depth=3),
            receptive_field=15,
            params={2: 12_988, 3: 19_003, 4: 27_424},
            macs_per_pixel={2: 12_948, 3: 18_993, 4: 27_456},
            source="Bhardwaj et al. 2021, arXiv 2103.09404",
        ),
        "sesr_m5": Descriptor(
            name="sesr_m5",
            title="collapsible linear blocks, 16 channels, 5 3x3 layers",
            build=builders.sesr(width=16, depth=5),
            receptive_field=19,
            params={2: 17_628, 3: 23_643, 4: 32_064},
            macs_per_pixel={2: 17_556, 3: 23_601, 4: 32_064},
            source="Bhardwaj et al. 2021, arXiv 2103.09404",
        ),
        "sesr_m7": Descriptor(
            name="sesr_m7",
            title="collapsible linear blocks, 16 channels, 7 3x3 layers",
            build=builders.sesr(width=16, depth=7),
            receptive_field=23,
            params={2: 22_268, 3: 28_283, 4: 36_704},
            macs_per_pixel={2: 22_164, 3: 28_209, 4: 36_672},
            source="Bhardwaj et al. 2021, arXiv 2103.09404",
        ),
        "sesr_m11": Descriptor(
            name="sesr_m11",
            title="collapsible linear blocks, 16 channels, 11 3x3 layers",
            build=builders.sesr(width=16, depth=11),
            receptive_field=31,
            params={2: 31_548, 3: 37_563, 4: 45_984},
            macs_per_pixel={2: 31_380, 3: 37_425, 4: 45_888},
            source="Bhardwaj et al. 2021, arXiv 2103.09404",
        ),
        "sesr_xl": Descriptor(
            name="sesr_xl",
            title="collapsible linear blocks, 32 channels, 11 3x3 layers",
            build=builders.sesr(width=32, depth=11),
            receptive_field=31,
            params={2: 113_772, 3: 125_787, 4: 142_608},
            macs_per_pixel={2: 113_412, 3: 125_457, 4: 142_320},
            source="Bhardwaj et al. 2021, arXiv 2103.09404",
        ),
        "quicksrnet_s": Descriptor(
            name="quicksrnet_s",
            title="clipped 3x3 convolutions that start as the identity, 32 channels",
            build=builders.quicksrnet(width=32, depth=2),
            receptive_field=9,
            params={2: 22_860, 3: 27_195, 4: 33_264},
            macs_per_pixel={2: 22_752, 3: 27_072, 4: 33_120},
            source="Berger et al. 2023, arXiv 2303.04336",
        ),
        "quicksrnet_m": Descriptor(
            name="quicksrnet_m",
            title="clipped 3x3 convolutions that start as the identity, 32 channels",
            build=builders.quicksrnet(width=32, depth=5),
            receptive_field=15,
            params={2: 50_604, 3: 54_939, 4: 61_008},
            macs_per_pixel={2: 50_400, 3: 54_720, 4: 60_768},
            source="Berger et al. 2023, arXiv 2303.04336",
        ),
        "quicksrnet_l": Descriptor(
            name="quicksrnet_l",
            title="clipped 3x3 convolutions that start as the identity, 64 channels",
            build=builders.quicksrnet(width=64, depth=11, anchor=True),
            receptive_field=27,
            params={2: 414_972, 3: 423_687, 4: 435_888},
            macs_per_pixel={2: 414_180, 3: 422_865, 4: 435_024},
            source="Berger et al. 2023, arXiv 2303.04336",
        ),
        "ecbsr_m4c8": Descriptor(
            name="ecbsr_m4c8",
            title="edge-oriented blocks with ReLU, 8 channels",
            build=builders.ecbsr(width=8, depth=4),
            receptive_field=13,
            params={2: 3_436, 3: 4_531, 4: 6_064},
            macs_per_pixel={2: 3_420, 3: 4_545, 4: 6_120},
            source="Zhang et al. 2021, ACM Multimedia",
        ),
        "ecbsr_m4c16": Descriptor(
            name="ecbsr_m4c16",
            title="edge-oriented blocks with ReLU, 16 channels",
            build=builders.ecbsr(width=16, depth=4),
            receptive_field=13,
            params={2: 11_468, 3: 13_643, 4: 16_688},
            macs_per_pixel={2: 11_412, 3: 13_617, 4: 16_704},
            source="Zhang et al. 2021, ACM Multimedia",
        ),
        "ecbsr_m4c32": Descriptor(
            name="ecbsr_m4c32",
            title="edge-oriented blocks with ReLU, 32 channels",
            build=builders.ecbsr(width=32, depth=4),
            receptive_field=13,
            params={2: 41_356, 3: 45_691, 4: 51_760},
            macs_per_pixel={2: 41_220, 3: 45_585, 4: 51_696},
            source="Zhang et al. 2021, ACM Multimedia",
        ),
        "ecbsr_m6c40": Descriptor(
            name="ecbsr_m6c40",
            title="edge-oriented blocks with ReLU, 40 channels",
            build=builders.ecbsr(width=40, depth=6),
            receptive_field=17,
            params={2: 92_092, 3: 97_507, 4: 105_088},
            macs_per_pixel={2: 91_836, 3: 97_281, 4: 104_904},
            source="Zhang et al. 2021, ACM Multimedia",
        ),
        "etds_t": Descriptor(
            name="etds_t",
            title="dual stream as one row of convolutions, 16 channels",
            build=builders.etds(width=16, depth=5),
            receptive_field=15,
            params={2: 13_944, 3: 16_920, 4: 21_360},
            macs_per_pixel={2: 13_824, 3: 16_768, 4: 21_168},
            source="Chao et al. 2023, CVPR",
        ),
        "etds_s": Descriptor(
            name="etds_s",
            title="dual stream as one row of convolutions, 32 channels",
            build=builders.etds(width=32, depth=4),
            receptive_field=13,
            params={2: 41_512, 3: 46_792, 4: 54_112},
            macs_per_pixel={2: 41_328, 3: 46_576, 4: 53_856},
            source="Chao et al. 2023, CVPR",
        ),
        "etds_m": Descriptor(
            name="etds_m",
            title="dual stream as one row of convolutions, 32 channels",
            build=builders.etds(width=32, depth=6),
            receptive_field=17,
            params={2: 60_008, 3: 65_288, 4: 72_608},
            macs_per_pixel={2: 59_760, 3: 65_008, 4: 72_288},
            source="Chao et al. 2023, CVPR",
        ),
        "etds_l": Descriptor(
            name="etds_l",
            title="dual stream as one row of convolutions, 48 channels",
            build=builders.etds(width=48, depth=7),
            receptive_field=19,
            params={2: 152_184, 3: 159_768, 4: 169_968},
            macs_per_pixel={2: 151_776, 3: 159_328, 4: 169_488},
            source="Chao et al. 2023, CVPR",
        ),
        "espcn": Descriptor(
            name="espcn",
            title="5x5 and two 3x3 convolutions, 64 and 32 channels",
            build=builders.espcn,
            receptive_field=9,
            params={2: 26_796, 3: 31_131, 4: 37_200},
            macs_per_pixel={2: 26_688, 3: 31_008, 4: 37_056},
            source="Shi et al. 2016, arXiv 1609.05158",
        ),
        "pureconv_m3c32": Descriptor(
            name="pureconv_m3c32",
            title="convolutions alone, the image in three of 32 channels",
            build=builders.pureconv(width=32, depth=3),
            receptive_field=11,
            params={2: 32_108, 3: 36_443, 4: 42_512},
            macs_per_pixel={2: 31_968, 3: 36_288, 4: 42_336},
            source="Mobile AI 2022, arXiv 2211.05910",
        ),
        "pureconv_m4c48": Descriptor(
            name="pureconv_m4c48",
            title="convolutions alone, the image in three of 48 channels",
            build=builders.pureconv(width=48, depth=4),
            receptive_field=13,
            params={2: 89_676, 3: 96_171, 4: 105_264},
            macs_per_pixel={2: 89_424, 3: 95_904, 4: 104_976},
            source="Mobile AI 2022, arXiv 2211.05910",
        ),
    }
)
