"""What is trained beside the network agrees between processes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from edgesr.train.processes import average_gradients


def test_one_process_keeps_its_gradients() -> None:
    network = torch.nn.Linear(2, 1)
    network(torch.ones(1, 2)).sum().backward()
    before = [weight.grad.clone() for weight in network.parameters() if weight.grad is not None]
    average_gradients(network)
    after = [weight.grad for weight in network.parameters()]
    assert len(before) == 2
    assert all(a is not None and torch.equal(a, b) for a, b in zip(after, before, strict=True))


@pytest.mark.slow
def test_two_processes_get_the_mean_of_gradients_and_values(tmp_path: Path) -> None:
    script = tmp_path / "two.py"
    script.write_text(_TWO_PROCESSES)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", str(script)]
    root = str(Path(__file__).resolve().parents[2])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": root}
    subprocess.run(  # noqa: S603
        [*command, str(tmp_path)], env=environment, check=True, timeout=300
    )
    found = [(tmp_path / str(rank)).read_text() for rank in range(2)]
    assert found == ["2.0 5.0", "2.0 5.0"]


_TWO_PROCESSES = """
import sys
from pathlib import Path
import torch
from torch import distributed
from edgesr.train.processes import average_gradients, averaged_over_processes
distributed.init_process_group("gloo")
rank = distributed.get_rank()
network = torch.nn.Linear(1, 1, bias=False)
network(torch.tensor([[1.0 + 2 * rank]])).sum().backward()
average_gradients(network)
mean = averaged_over_processes(torch.tensor(4.0 + 2 * rank)).item()
(Path(sys.argv[1]) / str(rank)).write_text(f"{network.weight.grad.item()} {mean}")
distributed.destroy_process_group()
"""
