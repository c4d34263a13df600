"""Count what LiteRT's XNNPACK takes of a file, by letting it: ``python -m edgesr.lint.delegation``.

A process of its own, because LiteRT may crash on a file that lies.
"""

import json
import sys
from pathlib import Path
from typing import Any

from edgesr.errors import EdgesrError
from edgesr.litert import open_interpreter

_DELEGATE = "DELEGATE"


def count_delegated(content: bytes) -> dict[str, int]:
    """Return operators, delegated operators and partitions of a file's first subgraph.

    Raises:
        CheckpointError: LiteRT refuses the file.
        RuntimeError: LiteRT cannot prepare it.
    """
    interpreter = open_interpreter(content, kernels="xnnpack")
    interpreter.allocate_tensors()
    nodes = interpreter._get_ops_details()  # noqa: SLF001 - LiteRT offers no other way
    kernels = [one for one in nodes if one["op_name"] == _DELEGATE]
    makers = {int(out): one for one in nodes if one not in kernels for out in one["outputs"]}
    taken: set[int] = set()
    for kernel in kernels:
        reads = {int(one) for one in kernel["inputs"]}
        taken |= _behind([int(one) for one in kernel["outputs"]], reads, makers)
    return {
        "operators": len(nodes) - len(kernels),
        "delegated": len(taken),
        "partitions": len(kernels),
    }


def _behind(ends: list[int], reads: set[int], makers: dict[int, Any]) -> set[int]:
    """Return the operators between what a kernel reads and what it makes."""
    found: set[int] = set()
    while ends:
        one = ends.pop()
        maker = makers.get(one)
        if maker is None or one in reads or maker["index"] in found:
            continue
        found.add(maker["index"])
        ends += [int(source) for source in maker["inputs"]]
    return found


def main(path: str) -> None:
    """Print the counts of a file, or why there are none, as one line of JSON."""
    try:
        found: dict[str, Any] = dict(count_delegated(Path(path).read_bytes()))
    except (EdgesrError, RuntimeError, ValueError) as error:
        found = {"error": " ".join(str(error).split())[:200]}
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
