"""Post-training quantization of a network, or of a denoiser's steps, to assigned widths.

The ranges of every width are found once; an assignment then takes those of its widths. Up to 8 bits
take the range with the least error in the output; 16 bits take the whole range with 0 in the
middle, which is the only zero point of int16 kernels. Weights are rounded and biases corrected on
what the layers before really give, as ``layerwise`` does.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from edgesr.errors import DataError
from edgesr.graph.graph import Graph
from edgesr.quant.affine import choose_qparams
from edgesr.quant.calibrate import Calibration, CalibrationBatch, calibrate, some_of
from edgesr.quant.grids import assign_qparams
from edgesr.quant.int16_ptq import symmetric_grid
from edgesr.quant.layerwise import fit_together, trained_layers
from edgesr.quant.mixed import (
    Assignment,
    assigned_layer_bits,
    assigned_tensor_bits,
    width_groups,
)
from edgesr.quant.output_search import search_ranges
from edgesr.quant.output_step import share_output_step
from edgesr.quant.range_search import least_error_range
from edgesr.quant.scheme import BITS, INT8, MIXED, QParams, QuantizedGraph, Scheme
from edgesr.quant.step_dead import refuse_dead
from edgesr.quant.step_weights import share_weights
from edgesr.quant.weights import quantize_weights
from edgesr.quant.widths import tensor_bits

_PIXELS = 2**14
"""Of all networks together, that weights are fitted and single errors are measured on."""
_SEARCH_PIXELS = 2**13
"""The same, that ranges are searched on."""

Grids = Mapping[str, QParams]


@dataclass(frozen=True, kw_only=True, eq=False)
class Prepared:
    """Networks of one structure with the grids of every width.

    Attributes:
        graphs: lowered float networks, one of a plain network, one a step of a denoiser.
        samples: images for each.
        grids: of every tensor, by width of the tensors that can be chosen, for each.
        timesteps: of the graphs; a plain network has 0.
    """

    graphs: tuple[Graph, ...]
    samples: tuple[CalibrationBatch, ...]
    grids: tuple[Mapping[int, Grids], ...]
    timesteps: tuple[int, ...]


def prepare(
    graphs: Mapping[int, Graph],
    batches: Sequence[CalibrationBatch],
    *,
    widths: Iterable[int],
    ends: Grids,
    observer: str,
) -> Prepared:
    """Calibrate networks and find the grids of every width.

    Args:
        graphs: lowered float network by timestep; a plain one as ``{0: graph}``.
        batches: images, with their timesteps where there are several networks.
        widths: of activations.
        ends: fixed grids of inputs and outputs, by tensor.
        observer: estimator of ranges, a key of ``OBSERVERS``; what it finds for 8 bits is one of
            the ranges that are tried.

    Raises:
        DataError: a network has no images.
        GraphError: an operation has no integer form, or values are not finite.
    """
    found: list[Mapping[int, Grids]] = []
    samples: list[CalibrationBatch] = []
    for timestep, graph in graphs.items():
        fed = [one for one in batches if len(graphs) == 1 or one.timestep == timestep]
        if not fed:
            raise DataError(
                f"timestep {timestep} has no calibration image; take a set that holds every step"
            )
        sample = some_of(fed, _PIXELS // len(graphs))
        searched = some_of(fed, _SEARCH_PIXELS // len(graphs))
        calibration = calibrate(graph, fed, observer=observer)
        eight = _grids(graph, calibration, BITS, searched, ends)
        by_width = {
            width: {**eight, **_wide(graph, calibration)}
            if width > BITS
            else _grids(graph, calibration, width, searched, ends)
            for width in sorted({*widths} - {BITS})
        }
        found.append({BITS: eight, **by_width})
        samples.append(sample)
    if len(graphs) > 1:
        grids = {step: by[BITS] for step, by in zip(graphs, found, strict=True)}
        refuse_dead(next(iter(graphs.values())), grids)
    return Prepared(
        graphs=tuple(graphs.values()),
        samples=tuple(samples),
        grids=tuple(found),
        timesteps=tuple(graphs),
    )


def quantize_assigned(
    prepared: Prepared, assignment: Assignment, *, corrected: bool = True
) -> list[QuantizedGraph]:
    """Quantize to an assignment; the integer weights are shared by all networks.

    Args:
        prepared: networks and grids.
        assignment: precision by layer, in widths that were prepared.
        corrected: whether biases take out the mean error of every channel.

    Raises:
        GraphError: the assignment gives one grid two widths.
        DataError: it has a width that was not prepared.
    """
    first = prepared.graphs[0]
    bits = assigned_tensor_bits(first, assignment)
    layers = assigned_layer_bits(first, assignment)
    missing = sorted(set(bits.values()) - set(prepared.grids[0]))
    if missing:
        raise DataError(f"activations of {missing[0]} bits have no grids; prepare that width too")
    grids = [{name: by[width][name] for name, width in bits.items()} for by in prepared.grids]
    plain = {*bits.values(), *layers.values()} == {BITS}
    shared = quantize_weights(first, grids[0], layers)
    quantized = [
        QuantizedGraph(
            graph=graph,
            qparams=grid,
            weights=share_weights(shared, first, graph, grid, timestep=timestep),
            scheme=INT8.name if plain else MIXED,
        )
        for graph, grid, timestep in zip(prepared.graphs, grids, prepared.timesteps, strict=True)
    ]
    names = trained_layers(first)
    fitted, _ = fit_together(
        quantized, prepared.samples, rounded=names, corrected=names if corrected else ()
    )
    return fitted


def _grids(
    graph: Graph, calibration: Calibration, width: int, sample: CalibrationBatch, ends: Grids
) -> Grids:
    observers = calibration.observers
    observed = dict(calibration.qparams)
    if width < BITS:
        bits = tensor_bits(graph, Scheme(weight_bits=BITS, activation_bits=width))
        observed = {
            name: choose_qparams(*least_error_range(one.histogram, bits[name]), bits=bits[name])
            for name, one in observers.items()
        }
    grids = assign_qparams(graph, observed, ends=ends)
    return share_output_step(graph, search_ranges([graph], grids, observers, [sample]), observers)


def _wide(graph: Graph, calibration: Calibration) -> Grids:
    groups = width_groups(graph)
    members: dict[str, list[str]] = {}
    for name, group in groups.items():
        members.setdefault(group, []).append(name)
    return {
        name: grid
        for names in members.values()
        for grid in [symmetric_grid(names, calibration)]
        for name in names
    }
