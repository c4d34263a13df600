"""The network that makes a denoiser's centre, as one more signature of its file."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesr.export.operators import FLOAT_TYPES, check_operators, float_operators, operator_problems
from edgesr.export.pipeline import float_reference
from edgesr.export.report import fidelity_facts
from edgesr.export.verify import Fidelity, compare
from edgesr.graph.graph import Graph
from edgesr.models.centre import CentreNetwork
from edgesr.models.quantized import float_graph
from edgesr.quant.scheme import QuantizedGraph
from edgesr.upscalers.step_loop import centre_of
from edgesr.upscalers.step_schedule import CENTRE, StepSchedule
from edgesr.upscalers.stepwise import Evaluate, tiles_of, windowed


@dataclass(frozen=True, kw_only=True, eq=False)
class CentrePart:
    """What is written of a centre.

    Attributes:
        network: in float.
        graph: the same, lowered; grey levels in and out.
        quantized: its integers; None for a float32 file.
    """

    network: CentreNetwork
    graph: Graph
    quantized: QuantizedGraph | None

    def problems(self, content: bytes, *, subgraph: int) -> list[str]:
        """Return what is wrong with the operators of its signature in a file."""
        if self.quantized is not None:
            found = check_operators(content, self.quantized.graph, "int8", subgraph=subgraph)
        else:
            wanted = float_operators(self.graph, lambda _: False)
            found = operator_problems(
                content, wanted, types=FLOAT_TYPES, kind="float", subgraph=subgraph
            )
        return [f"signature {CENTRE}: {one}" for one in found]


@dataclass(frozen=True, kw_only=True, eq=False)
class CentreExport:
    """A centre in an exported file.

    Attributes:
        network: in float.
        bytes: that it adds to the file.
        fidelity: the signature alone against the float network.
    """

    network: CentreNetwork
    bytes: int
    fidelity: Fidelity

    def to_json(self) -> dict[str, Any]:
        """Return the part of a report, lengths and errors as there."""
        facts = fidelity_facts(self.fidelity, max_drop=0.0)
        del facts["max_drop"]  # the picture at the end of the steps has a limit, the centre none
        return {
            "signature": CENTRE,
            "model": self.network.descriptor.name,
            "params": self.network.params,
            "sha256": self.network.sha256,
            "bytes": self.bytes,
            "verification": facts,
        }


def centre_part(
    centre: CentreNetwork | None, quantized: QuantizedGraph | None
) -> CentrePart | None:
    """Return what is to be written; None where the centre is bicubic.

    Args:
        centre: of the denoiser.
        quantized: its integers; None for a float32 file.
    """
    if centre is None:
        return None
    graph = float_graph(centre.module, centre.descriptor.name)
    return CentrePart(network=centre, graph=graph, quantized=quantized)


def centre_export(  # noqa: PLR0913 - what it is compared with
    part: CentrePart,
    schedule: StepSchedule,
    images: Sequence[tuple[NDArray[np.uint8], NDArray[np.uint8]]],
    *,
    added: int,
    run: Evaluate,
    simulated: Evaluate | None,
) -> CentreExport:
    """Compare the signature alone with the float network, and with its simulation.

    Args:
        part: what was written.
        schedule: of the file.
        images: LR and HR.
        added: bytes that it adds to the file.
        run: the file.
        simulated: what it must equal; None for a float32 file.
    """
    twin = None if simulated is None else _Enlarged(schedule=schedule, evaluate=simulated).upscale
    fidelity = compare(
        _Enlarged(schedule=schedule, evaluate=run),
        images,
        reference=float_reference(part.network.module),
        simulation=twin,
    )
    return CentreExport(network=part.network, bytes=added, fidelity=fidelity)


@dataclass(frozen=True, kw_only=True)
class _Enlarged:
    """The centre's signature as what upscales one image."""

    schedule: StepSchedule
    evaluate: Evaluate

    @property
    def scale(self) -> int:
        return self.schedule.scale

    def upscale(self, lr: NDArray[np.uint8]) -> NDArray[np.uint8]:
        tiles = tiles_of((lr.shape[0], lr.shape[1]), self.schedule, tile=0)
        centre = centre_of(lr, self.schedule, windowed(self.evaluate, self.schedule, tiles))
        levels: NDArray[np.uint8] = np.rint((centre + 1) * np.float32(127.5)).astype(np.uint8)
        return levels
