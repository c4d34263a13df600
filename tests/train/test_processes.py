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
def test_two_processes_agree_and_their_networks_stay_the_same(tmp_path: Path) -> None:
    script = tmp_path / "two.py"
    script.write_text(_TWO_PROCESSES)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", str(script)]
    root = str(Path(__file__).resolve().parents[2])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": root}
    subprocess.run(  # noqa: S603
        [*command, str(tmp_path)], env=environment, check=True, timeout=300
    )
    found = [(tmp_path / str(rank)).read_text() for rank in range(2)]
    assert found[0] == found[1]
    assert found[0].startswith("2.0 5.0 6.0 1 ")


_TWO_PROCESSES = """
import hashlib
import sys
from pathlib import Path
import torch
from torch import distributed
from edgesr.models import build_model
from edgesr.train.muon import Muon
from edgesr.train.processes import (
    average_gradients, averaged_over_processes, largest_over_processes
)
from edgesr.train.revival import Revival
from edgesr.train.whitening import Whitening
distributed.init_process_group("gloo")
rank = distributed.get_rank()
network = torch.nn.Linear(1, 1, bias=False)
network(torch.tensor([[1.0 + 2 * rank]])).sum().backward()
average_gradients(network)
mean = averaged_over_processes(torch.tensor(4.0 + 2 * rank)).item()
largest = largest_over_processes(torch.tensor(4.0 + 2 * rank)).item()

torch.manual_seed(0)
net = build_model("edge_s", 2).train()
whitening, revival = Whitening(net), Revival(net, every=4, steps=100, seed=0)
optimizer = Muon([{"params": list(net.parameters())}], lr=1e-2)
with torch.no_grad():
    for index, layer in enumerate(net.body):
        if isinstance(layer, torch.nn.Conv2d):
            layer.bias.fill_(1e4)  # every channel passes
    net.body[2].bias[3] = -1e9  # but one
revived = 0
for step in range(6):
    torch.manual_seed(10 * step + rank)
    x = 255 * torch.rand(1, 3, 16, 16) * (rank == 0)  # the other process sees black
    optimizer.zero_grad()
    net(x).square().mean().backward()
    average_gradients(net)
    whitening.before_update()
    optimizer.step()
    whitening.after_update(2e-2)
    whitening.forget(revival.after_update(step, build_model("edge_s", 2), optimizer))
    revived += revival.report().get("revived", 0)
weights = hashlib.sha256(b"".join(p.detach().numpy().tobytes() for p in net.parameters()))
line = f"{network.weight.grad.item()} {mean} {largest} {revived} {weights.hexdigest()}"
(Path(sys.argv[1]) / str(rank)).write_text(line)
distributed.destroy_process_group()
"""
