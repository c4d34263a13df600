"""What a delegate says that it took of a model's operations."""

import os
import sys
from collections.abc import Callable

from ai_edge_litert.interpreter import OpResolverType

PLAIN = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES

_NAMES = {
    "nnapi": ("NNAPI", "TfLiteNnapiDelegate"),
    "gpu": ("GPU", "TfLiteGpuDelegateV2"),
    "xnnpack": ("XNNPACK", "TfLiteXNNPackDelegate"),
}


def apply(
    flavour: str, flags: dict[str, str], nodes: int, switch: Callable[[str], str | None]
) -> bool:
    """Print the lines about delegates; False when the program gives up."""
    kind = next((one for one in ("nnapi", "gpu") if flags.get(f"use_{one}") in ("true", "1")), "")
    share = (switch(kind) if kind else None) or "full"
    title, delegate = _NAMES[kind or "xnnpack"]
    if kind == "nnapi":
        print("INFO: NNAPI accelerators available: [fake-npu,nnapi-reference]")
    if share == "unsupported":
        print(f"WARN: {title} acceleration is unsupported on this platform.")
        kind, share, (title, delegate) = "", "full", _NAMES["xnnpack"]
    taken = {"full": nodes, "partial": max(1, nodes - 3), "none": 0}[share]
    parts = {"full": 1, "partial": 4, "none": 1}[share]
    if taken:
        print(f"INFO: Created TensorFlow Lite delegate for {title}.")
        print(
            f"VERBOSE: Replacing {taken} out of {nodes} node(s) with delegate ({delegate}) node, "
            f"yielding {parts} partitions for subgraph 0 (main)."
        )
    strict = flags["require_full_delegation"] in ("true", "1")
    if strict and flavour == "litert" and flags["use_cpu"] == "true":
        os.abort()  # so does the real one
    if strict and kind and share != "full":
        print("ERROR: Disallowed CPU fallback detected.", file=sys.stderr)
        return False
    if kind and flavour == "classic":
        graph = "the model graph will"
        if share == "none":
            print(
                f"INFO: Though {title} delegate is explicitly applied, {graph} not be executed "
                "by the delegate."
            )
        else:
            how = "completely" if share == "full" else "partially"
            tail = "" if share == "full" else " w/ 2 delegate kernels"
            print(
                f"INFO: Explicitly applied {title} delegate, and {graph} be {how} executed by "
                f"the delegate{tail}."
            )
    return True
