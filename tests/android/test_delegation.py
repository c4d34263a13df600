import pytest

from edgesr.android.delegation import delegation_of
from edgesr.android.logs import parse_log

NNAPI = (
    "VERBOSE: Replacing {} out of 41 node(s) with delegate (TfLiteNnapiDelegate) node, yielding {} "
    "partitions for subgraph 0 (main)."
)
REST = (
    "INFO: Replacing 3 out of 41 node(s) with delegate (TfLiteXNNPackDelegate) node, yielding 4 "
    "partitions for subgraph 0 (main)."
)
ALL_XNNPACK = REST.replace("3 out", "41 out").replace("yielding 4", "yielding 1")
PARTLY = (
    "Explicitly applied NNAPI delegate, and the model graph will be partially executed by the "
    "delegate w/ 2 delegate kernels."
)
WHOLLY = (
    "Explicitly applied NNAPI delegate, and the model graph will be completely executed by the "
    "delegate."
)
NOT = (
    "Though NNAPI delegate is explicitly applied, the model graph will not be executed by the "
    "delegate."
)


@pytest.mark.parametrize(
    ("text", "kind", "status", "told"),
    [
        (NNAPI.format(41, 1) + "\n" + WHOLLY, "nnapi", "full", "NNAPI 41/41"),
        (NNAPI.format(38, 4) + "\n" + PARTLY, "nnapi", "partial", "NNAPI 38/41, 4 parts"),
        (
            NNAPI.format(38, 4) + "\n" + REST,
            "nnapi",
            "partial",
            "TfLiteNnapiDelegate 38/41, 4 parts",
        ),
        (WHOLLY, "nnapi", "full", "NNAPI"),
        (PARTLY, "nnapi", "partial", "NNAPI (partial)"),
        (NOT + "\n" + ALL_XNNPACK, "nnapi", "none", "CPU, not the accelerator"),
        (NNAPI.format(0, 1) + "\n" + NOT, "nnapi", "none", "CPU, not the accelerator"),
        ("NNAPI acceleration is unsupported on this platform.", "nnapi", "none", "CPU, not"),
        (ALL_XNNPACK, "nnapi", "none", "CPU, not the accelerator"),
        (ALL_XNNPACK, "gpu", "none", "CPU, not the accelerator"),
        (ALL_XNNPACK, "npu", "none", "CPU, not the accelerator"),
        (ALL_XNNPACK, "qnn", "none", "CPU, not the accelerator"),
        (ALL_XNNPACK, "external", "none", "CPU, not the accelerator"),
        ("", "nnapi", "unknown", "? (unknown)"),
        (ALL_XNNPACK, "cpu", "full", "XNNPACK 41/41"),
        (REST, "cpu", "partial", "XNNPACK 3/41, 4 parts"),
        ("", "cpu", "unknown", "CPU"),
        (NNAPI.format(41, 1), "cpu", "none", "CPU, not"),
        (WHOLLY.replace("NNAPI", "XNNPACK"), "cpu", "full", "XNNPACK"),
        (WHOLLY.replace("NNAPI", "EXTERNAL"), "qnn", "full", "EXTERNAL"),
        (NNAPI.format(41, 1).replace("TfLiteNnapi", "LiteRtDispatch"), "npu", "full", "LiteRt"),
        (
            NNAPI.format(40, 2).replace("TfLiteNnapiDelegate", "TfLiteGpuDelegateV2"),
            "gpu",
            "partial",
            "TfLiteGpuDelegateV2 40/41",
        ),
    ],
)
def test_the_verdict_says_where_the_graph_ran(text: str, kind: str, status: str, told: str) -> None:
    found = delegation_of(parse_log(text), kind)
    assert found.status == status
    assert found.text().startswith(told)


def test_a_graph_that_is_announced_twice_counts_once() -> None:
    found = delegation_of(parse_log(f"{NNAPI.format(38, 4)}\n{NNAPI.format(38, 4)}"), "nnapi")
    assert (found.nodes, found.of, found.partitions) == (38, 41, 4)


def test_subgraphs_add_up() -> None:
    second = NNAPI.format(2, 1).replace("41", "2").replace("subgraph 0", "subgraph 1")
    found = delegation_of(parse_log(f"{NNAPI.format(41, 1)}\n{second}"), "nnapi")
    assert (found.status, found.nodes, found.of) == ("full", 43, 43)


def test_the_reason_is_the_line_of_the_log() -> None:
    line = "WARN: NNAPI acceleration is unsupported on this platform."
    assert delegation_of(parse_log(line), "nnapi").reason == line
