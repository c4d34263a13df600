"""Files of steps against LiteRT, against their simulation, and as flatbuffers."""

from dataclasses import replace

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from edgesr.errors import CheckpointError, DataError, GraphError
from edgesr.export.inspect import read_content
from edgesr.export.operators import check_operators
from edgesr.export.read import read_model, read_signatures
from edgesr.export.step_parity import compare_steps, made_inputs, simulation
from edgesr.export.stepwise import size_of, write_steps
from edgesr.graph.capture import capture
from edgesr.graph.passes import lower
from edgesr.litert import Kernels, open_model, open_signatures
from edgesr.models.denoisers import build_denoiser
from edgesr.models.fold_timestep import fold_timestep
from edgesr.quant.stepwise import shift_input
from tests.export.stepwise_case import SCALE, Case

FAMILIES: tuple[Kernels, ...] = ("xnnpack", "builtin", "reference")


def test_every_signature_and_trajectory_equals_its_simulation(case: Case) -> None:
    content = case.content
    read = read_signatures(content)
    found = compare_steps(content, read, case.schedule, families=FAMILIES)
    assert found.mismatches == 0
    assert {(one.kernels, one.signature) for one in found.signatures} == {
        (kernels, name) for kernels in FAMILIES for name in ("step_00", "step_01")
    }
    assert {one.sampler for one in found.trajectories} == {"ddim", "ancestral"}
    assert all(one.values for one in found.signatures)
    assert all(one.values for one in found.trajectories)


def test_a_step_that_computes_otherwise_is_found_in_it_alone(case: Case) -> None:
    content = case.content
    read = read_signatures(content)
    second = read.signatures["step_01"]
    stem = second.weights["stem"]
    weights = {**second.weights, "stem": replace(stem, bias=stem.bias + 1000)}
    wrong = {**read.signatures, "step_01": replace(second, weights=weights)}
    found = compare_steps(
        content, replace(read, signatures=wrong), case.schedule, families=("xnnpack",)
    )
    differing = {one.signature: one.mismatches > 0 for one in found.signatures}
    assert differing == {"step_00": False, "step_01": True}
    assert all(one.code_mismatches for one in found.trajectories)


def test_steps_differ(case: Case) -> None:
    file = open_signatures(case.content)
    inputs = made_inputs(case.schedule, None)[0]
    assert not np.array_equal(file.run("step_00", inputs), file.run("step_01", inputs))


def test_weights_and_operators_are_stored_once(case: Case) -> None:
    content = case.content
    for weight in case.steps[0].weights.values():
        assert content.count(weight.values.tobytes()) == 1
    model = schema.Model.GetRootAs(content, 0)
    tables = [
        [graph.Operators(n)._tab.Pos for n in range(graph.OperatorsLength())]
        for graph in (model.Subgraphs(0), model.Subgraphs(1))
    ]
    assert tables[0] == tables[1]
    assert all(offset % 16 == 0 for offset in read_content(content).buffer_offsets)


def test_the_operators_of_every_signature_are_the_graph_and_nothing_else(case: Case) -> None:
    content = case.content
    for number, step in enumerate(case.steps):
        assert check_operators(content, step.graph, "int8", subgraph=number) == ()
    wanted = ("SPACE_TO_DEPTH", "SPACE_TO_DEPTH", "CONCATENATION", "CONV_2D")
    assert read_content(content, subgraph=1).operators[:4] == wanted


def test_one_step_is_a_plain_file_with_the_usual_signature(case: Case) -> None:
    content = write_steps(case.steps[:1])
    file = open_signatures(content)
    assert file.signatures == ("serving_default",)
    inputs = made_inputs(case.schedule, None)[0]
    wanted = open_signatures(case.content).run("step_00", inputs)
    assert np.array_equal(file.run("serving_default", inputs), wanted)


def test_four_steps_are_at_most_a_tenth_larger_than_one(case: Case) -> None:
    network = build_denoiser("resshift_px_s", 4)
    folded = [fold_timestep(network, timestep) for timestep in (4, 1)]
    first, second = (
        shift_input(lower(capture(one.core, name="px", channels=one.conditioning.channels)))
        for one in folded
    )
    assert size_of(first, second, scale=4, count=4) <= 1.10 * size_of(
        first, second, scale=4, count=1
    )
    made = size_of(*case.graphs, scale=SCALE, count=2)
    assert abs(made - len(write_steps(case.steps))) < 0.02 * made


def test_a_file_that_was_read_is_written_again_byte_for_byte(case: Case) -> None:
    content = case.content
    read = read_signatures(content)
    assert list(read.signatures) == ["step_00", "step_01"]
    assert read.shape is None
    again = write_steps(tuple(read.signatures.values()), metadata=read.metadata)
    assert again == content


def test_a_fixed_size_is_kept_and_exact(case: Case) -> None:
    content = write_steps(case.steps, shape=(10, 14))
    read = read_signatures(content)
    assert read.shape == (10, 14)
    found = compare_steps(content, read, case.schedule, families=("xnnpack",))
    assert found.mismatches == 0
    assert open_signatures(content).fixed_shapes("step_01")["x"] == (20, 28)


def test_no_steps_are_refused() -> None:
    with pytest.raises(GraphError, match="no step to write"):
        write_steps(())


def test_a_missing_signature_is_named(case: Case) -> None:
    with pytest.raises(CheckpointError, match="no signature 'step_02', want one of step_00"):
        open_signatures(case.content).run("step_02", {})


def test_inputs_of_another_kind_or_size_are_refused(case: Case) -> None:
    file = open_signatures(case.content)
    inputs = dict(made_inputs(case.schedule, None)[0])
    with pytest.raises(DataError, match="is given lr int8, want centre int8, lr int8, x int8"):
        file.run("step_00", {"lr": inputs["lr"]})
    with pytest.raises(DataError, match="does not run on xnnpack kernels for"):
        file.run("step_00", {**inputs, "lr": inputs["lr"][:, :-4]})


def test_a_plain_reader_says_what_the_file_is(case: Case) -> None:
    with pytest.raises(CheckpointError, match="step_00, step_01 with several inputs"):
        open_model(case.content)
    with pytest.raises(CheckpointError, match="2 subgraphs, want 1"):
        read_model(case.content)


def test_the_simulation_takes_inputs_by_name(case: Case) -> None:
    run = simulation(read_signatures(case.content), kernels="xnnpack")
    inputs = made_inputs(case.schedule, None)[1]
    turned = dict(reversed(list(inputs.items())))
    assert np.array_equal(run("step_00", inputs), run("step_00", turned))
