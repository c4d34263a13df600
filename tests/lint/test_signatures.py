"""Files of several subgraphs: all of them are read, and rewrites keep to theirs."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools.flatbuffer_utils import convert_object_to_bytearray

from edgesr.lint.check import lint
from edgesr.lint.fix import fix
from edgesr.lint.report import to_json
from edgesr.lint.targets import load_target

Make = Callable[..., Any]


@pytest.fixture
def two(sheet: Make) -> bytes:
    """Return a clean subgraph and one with DEPTH_TO_SPACE at version 2, with a signature each."""
    s = sheet()
    model = schema.ModelT.InitFromPackedBuf(s.done(s.depth_to_space(s.conv(s.x, 12))))
    other = deepcopy(model.subgraphs[0])
    other.name = b"second"
    entry = deepcopy(model.operatorCodes[-1])
    entry.version = 2
    model.operatorCodes.append(entry)
    other.operators[-1].opcodeIndex = len(model.operatorCodes) - 1
    model.subgraphs.append(other)
    signature = deepcopy(model.signatureDefs[0])
    signature.signatureKey, signature.subgraphIndex = b"step_2", 1
    model.signatureDefs.append(signature)
    return bytes(convert_object_to_bytearray(model))


def test_findings_name_their_subgraph(two: bytes) -> None:
    report = lint(two, load_target("nnapi"), name="two.tflite")
    assert [(one.code, one.subgraph) for one in report.findings] == [("EL204", 1), ("EL003", 1)]
    assert "step_2" in report.findings[1].what
    values = to_json(report)
    assert [one["key"] for one in values["signatures"]] == ["serving_default", "step_2"]
    assert [one["partitions"] for one in values["subgraphs"]] == [1, 1]


def test_a_rewrite_is_proved_on_every_signature(two: bytes) -> None:
    fixed = fix(two, load_target("nnapi"), name="two.tflite")
    assert fixed.proof is not None
    assert fixed.proof.equal
    assert fixed.proof.runs == 2 * 3 * len(fixed.proof.kernels)
    assert [one.code for one in fixed.after.findings] == ["EL003"]
    assert fixed.after.model.signatures == (("serving_default", 0), ("step_2", 1))
