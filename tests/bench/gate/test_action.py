"""The composite action, run as GitHub's runner would, and the examples of the guide."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

yaml = pytest.importorskip("yaml", reason="needs PyYAML to read action.yml")

ROOT = Path(__file__).resolve().parents[3]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
GUIDE = (ROOT / "docs" / "gate.md").read_text()
STEPS = ACTION["runs"]["steps"]


def run_step(
    folder: Path, **inputs: str
) -> tuple[subprocess.CompletedProcess[str], dict[str, str], str]:
    """Run the check step: expressions replaced, ``bash -eo pipefail`` on a script file."""
    values = {name: str(spec.get("default", "")) for name, spec in ACTION["inputs"].items()}
    values |= {name.replace("_", "-"): value for name, value in inputs.items()}
    values["python"] = sys.executable
    (step,) = [one for one in STEPS if one.get("id") == "check"]
    assert "${{" not in step["run"], "inputs must reach the script as variables"
    script = folder / "step.sh"
    script.write_text(step["run"])
    output, summary = folder / "github_output", folder / "github_summary"
    output.touch()
    summary.touch()
    environment = {
        **os.environ,
        **{name: expand(text, values) for name, text in step["env"].items()},
        "GITHUB_OUTPUT": str(output),
        "GITHUB_STEP_SUMMARY": str(summary),
        "GITHUB_ACTIONS": "true",
        "PYTHONPATH": str(ROOT),
    }
    assert step["shell"] == "bash"
    done = subprocess.run(  # noqa: S603
        ["/bin/bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    pairs = (line.split("=", 1) for line in output.read_text().splitlines())
    return done, dict(pairs), summary.read_text()


def expand(text: str, inputs: dict[str, str]) -> str:
    return re.sub(r"\$\{\{ inputs\.([\w-]+) \}\}", lambda match: inputs[match[1]], text)


def test_a_good_model_passes_with_outputs_and_a_summary(workplace: Path) -> None:
    done, outputs, summary = run_step(workplace, model="model.tflite", data="images")
    assert done.returncode == 0, done.stderr
    assert outputs["passed"] == "true"
    assert float(outputs["psnr"]) > 10
    report = json.loads((workplace / outputs["report"]).read_text())
    assert report["passed"] is True
    assert (workplace / outputs["junit"]).is_file()
    assert summary.startswith("## edgesr check: model.tflite passed")
    assert "::error" not in done.stdout + done.stderr


def test_a_bad_model_fails_with_an_annotation(workplace: Path) -> None:
    limits = {"max_bytes": "1000", "reference": "best.safetensors", "max_drop_db": "0.5"}
    done, outputs, summary = run_step(workplace, model="model.tflite", data="images", **limits)
    assert done.returncode == 1
    assert outputs["passed"] == "false"
    assert "::error title=edgesr check max_bytes::" in done.stderr
    assert "failed | max_bytes" in summary
    assert "max_drop_db" in summary


def test_no_images_fail_with_the_reason_and_every_output(workplace: Path) -> None:
    done, outputs, summary = run_step(workplace, model="model.tflite", data="missing")
    assert done.returncode == 3
    assert outputs["passed"] == "false"
    assert outputs["psnr"] == ""
    assert "::error title=edgesr check::error: missing: does not exist" in done.stdout
    assert "nothing measured" in summary


def test_an_input_is_never_a_command(workplace: Path) -> None:
    odd = 'im$(touch hacked)ages"; touch hacked; "'
    done, outputs, _ = run_step(workplace, model="model.tflite", data=odd)
    assert done.returncode == 3
    assert outputs["passed"] == "false"
    assert not (workplace / "hacked").exists()


def test_every_input_is_used_and_every_output_is_written() -> None:
    used = set(re.findall(r"inputs\.([\w-]+)", json.dumps(STEPS)))
    assert used == set(ACTION["inputs"])
    (step,) = [one for one in STEPS if one.get("id") == "check"]
    written = set(re.findall(r'echo "(\w+)=', step["run"]))
    assert written == set(ACTION["outputs"])
    assert all(one["shell"] == "bash" for one in STEPS)


def test_our_own_workflow_uses_the_action_with_inputs_that_exist() -> None:
    workflow: dict[str, Any] = yaml.safe_load(
        (ROOT / ".github" / "workflows" / "gate.yml").read_text()
    )
    (use,) = [one for one in workflow["jobs"]["zoo"]["steps"] if one.get("uses") == "./"]
    assert set(use["with"]) <= set(ACTION["inputs"])


def test_examples_of_the_guide_are_valid() -> None:
    blocks = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)]
    action = next(block[0] for block in blocks if "uses" in block[0])
    assert set(action["with"]) <= set(ACTION["inputs"])
    (hook,) = next(block[0]["hooks"] for block in blocks if "hooks" in block[0])
    assert {"id", "name", "entry", "language"} <= set(hook)


@pytest.mark.slow
def test_the_pytest_example_of_the_guide_runs(workplace: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
    (workplace / "test_model.py").write_text(code)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_model.py"],
        cwd=workplace,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
