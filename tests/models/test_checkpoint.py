from pathlib import Path

import pytest
import torch

from edgesr.errors import CheckpointError
from edgesr.models import build_model
from edgesr.models.checkpoint import (
    FOLD_KEY,
    FORM_KEY,
    form_of,
    load_model,
    newest_run,
    save_weights,
)
from edgesr.models.reparameterize import is_training_form


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "best.safetensors"
    save_weights(path, build_model("ncnet", 2).state_dict(), model="ncnet", scale=2)
    return path


def test_safetensors_round_trip_is_exact(tmp_path: Path) -> None:
    network = build_model("abpn", 3)
    path = tmp_path / "w.safetensors"
    save_weights(path, network.state_dict(), model="abpn", scale=3, metadata={"step": "7"})
    loaded = load_model(path)
    assert (loaded.descriptor.name, loaded.scale, loaded.metadata["step"]) == ("abpn", 3, "7")
    assert not loaded.module.training
    for name, value in network.state_dict().items():
        assert torch.equal(loaded.module.state_dict()[name], value)


@pytest.mark.parametrize("key", ["params_ema", "params", None])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_basicsr_pth_is_read(tmp_path: Path, key: str | None, prefix: str) -> None:
    network = build_model("ncnet", 4)
    state = {prefix + name: value for name, value in network.state_dict().items()}
    path = tmp_path / "net.pth"
    torch.save(state if key is None else {key: state}, path)
    loaded = load_model(path, model="ncnet", scale=4)
    assert torch.equal(
        loaded.module.state_dict()["body.0.weight"], network.get_parameter("body.0.weight")
    )


def test_params_ema_wins_over_params(tmp_path: Path) -> None:
    first, second = build_model("ncnet", 2), build_model("ncnet", 2)
    both = {"params": first.state_dict(), "params_ema": second.state_dict()}
    torch.save(both, tmp_path / "n.pth")
    loaded = load_model(tmp_path / "n.pth", model="ncnet", scale=2).module.state_dict()
    assert torch.equal(loaded["body.0.weight"], second.get_parameter("body.0.weight"))


def test_pth_with_code_in_it_is_refused(tmp_path: Path) -> None:
    torch.save({"params": build_model("ncnet", 2)}, tmp_path / "n.pth")
    with pytest.raises(CheckpointError, match=r"no readable \.pth of plain tensors"):
        load_model(tmp_path / "n.pth", model="ncnet", scale=2)


def test_pth_needs_its_model_named(tmp_path: Path) -> None:
    torch.save(build_model("ncnet", 2).state_dict(), tmp_path / "n.pth")
    with pytest.raises(CheckpointError, match="does not say its model; give --model"):
        load_model(tmp_path / "n.pth")


def test_other_scale_is_named(saved: Path) -> None:
    with pytest.raises(CheckpointError, match="is of scale 2, but scale 3 was asked for"):
        load_model(saved, scale=3)


def test_truncated_file_is_named(saved: Path) -> None:
    saved.write_bytes(saved.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="no readable safetensors file"):
        load_model(saved)


def test_nan_weights_are_refused(tmp_path: Path) -> None:
    network = build_model("ncnet", 2)
    network.get_parameter("body.0.weight").data[0] = float("nan")
    save_weights(tmp_path / "w.safetensors", network.state_dict(), model="ncnet", scale=2)
    with pytest.raises(CheckpointError, match=r"body\.0\.weight holds NaN"):
        load_model(tmp_path / "w.safetensors")


def test_run_folder_gives_its_best_weights(saved: Path) -> None:
    assert load_model(saved.parent).path == saved
    with pytest.raises(CheckpointError, match="no weights there"):
        load_model(saved.parent.parent)


def test_newest_run_is_the_one_written_last(tmp_path: Path) -> None:
    for name in ("old", "new"):
        save_weights(
            tmp_path / "runs" / name / "last.safetensors",
            build_model("ncnet", 2).state_dict(),
            model="ncnet",
            scale=2,
        )
    assert newest_run(tmp_path / "runs").name == "new"
    with pytest.raises(CheckpointError, match="no trained run there"):
        newest_run(tmp_path / "nothing")


def test_a_training_form_is_folded_when_it_is_loaded(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = build_model("sesr_m3", 2, "training").eval()
    path = tmp_path / "w.safetensors"
    facts = {FORM_KEY: form_of(network)}
    save_weights(path, network.state_dict(), model="sesr_m3", scale=2, metadata=facts)
    loaded = load_model(path)
    assert loaded.metadata[FORM_KEY] == "training"
    assert 0 < float(loaded.metadata[FOLD_KEY]) < 1e-9
    assert not is_training_form(loaded.module)
    assert not loaded.module.training
    assert sum(p.numel() for p in loaded.module.parameters()) == loaded.descriptor.params[2]
    lr = 255 * torch.rand(1, 3, 9, 8)
    with torch.no_grad():
        assert torch.allclose(loaded.module(lr), network(lr), atol=1e-3)


def test_a_deployed_form_says_so_and_is_loaded_as_it_is(tmp_path: Path) -> None:
    network = build_model("edge_s", 3)
    path = tmp_path / "w.safetensors"
    facts = {FORM_KEY: form_of(network)}
    save_weights(path, network.state_dict(), model="edge_s", scale=3, metadata=facts)
    loaded = load_model(path)
    assert loaded.metadata[FORM_KEY] == "deploy"
    assert FOLD_KEY not in loaded.metadata
    assert torch.equal(loaded.module.get_parameter("body.0.weight"), network.body[0].weight)  # type: ignore[index,union-attr]


def test_weights_of_another_form_than_their_file_says_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    state = build_model("edge_s", 3, "training").state_dict()
    save_weights(path, state, model="edge_s", scale=3)
    with pytest.raises(CheckpointError, match=r"does not fit edge_s x3: misses body\.0\.weight"):
        load_model(path)
    save_weights(path, state, model="edge_s", scale=3, metadata={FORM_KEY: "folded"})
    with pytest.raises(CheckpointError, match="is of form 'folded', want one of deploy, training"):
        load_model(path)
