import re
import subprocess
from pathlib import Path

import pytest

from edgesr.android.backends import cpu_mask, parse_backends, parse_cpus
from edgesr.android.commands import cleanup_script, launch_script, runner_flags
from edgesr.android.errors import UnknownFlagError
from edgesr.android.launch import read_launch
from edgesr.android.model import ModelFile
from edgesr.android.request import Case, Launch, Purpose, Settings, make_cases, make_launches
from edgesr.android.runners import Abilities, Flavour
from edgesr.errors import UsageError

COMMON = "graph num_threads num_runs min_secs max_secs warmup_runs result_file_path use_gpu "
COMMON += "signature_to_run_for require_full_delegation report_peak_memory_footprint gpu_backend "
CLASSIC = COMMON + "use_xnnpack use_nnapi nnapi_accelerator_name external_delegate_path "
CLASSIC += "external_delegate_options enable_op_profiling op_profiling_output_mode "
CLASSIC += "op_profiling_output_file"
LITERT = COMMON + "use_cpu use_npu dispatch_library_path use_profiler"
NATIVE = "library graph accelerator num_threads num_runs min_secs max_secs warmup_runs"
ABLE: dict[Flavour, Abilities] = {
    "classic": Abilities(flavour="classic", flags=frozenset(CLASSIC.split())),
    "litert": Abilities(flavour="litert", flags=frozenset(LITERT.split())),
    "native": Abilities(flavour="native", flags=frozenset(NATIVE.split())),
}


def model(name: str = "m") -> ModelFile:
    return ModelFile(
        name=name,
        path=Path(f"{name}.tflite"),
        content=name.encode(),
        source_sha256="0" * 64,
        inputs=(),
        outputs=(),
        operators={},
        signatures=(),
        dynamic=False,
    )


def flags(
    flavour: Flavour, backend: str, purpose: Purpose = "time", settings: Settings | None = None
) -> dict[str, str]:
    (chosen,) = parse_backends(backend)
    case = Case(id="m", model=model(), backend=chosen, threads=4)
    words = runner_flags(
        Launch(case=case, purpose=purpose, number=1),
        settings or Settings(),
        ABLE[flavour],
        folder="/d",
        model="/d/m.tflite",
        library="/d/lib.so",
    )
    return dict(word.removeprefix("--").split("=", 1) for word in words)


def test_every_backend_has_its_flags() -> None:
    assert flags("classic", "cpu")["use_xnnpack"] == "true"
    assert flags("classic", "cpu:builtin")["use_xnnpack"] == "false"
    assert flags("classic", "gpu:cl") | {"use_gpu": "true", "gpu_backend": "cl"} == flags(
        "classic", "gpu:cl"
    )
    nnapi = flags("classic", "nnapi:google-edgetpu")
    assert (nnapi["use_nnapi"], nnapi["nnapi_accelerator_name"]) == ("true", "google-edgetpu")
    npu = flags("litert", "npu")
    assert (npu["use_npu"], npu["dispatch_library_path"]) == ("true", "/d")
    assert flags("native", "gpu")["accelerator"] == "gpu"
    assert flags("native", "cpu")["library"] == "/d/lib.so"


def test_counts_and_limits_are_passed_on() -> None:
    found = flags("classic", "cpu", settings=Settings(runs=7, min_secs=1.5, warmup=2))
    assert (found["num_runs"], found["min_secs"], found["warmup_runs"]) == ("7", "1.5", "2")
    assert found["num_threads"] == "4"
    assert float(found["max_secs"]) < Settings().timeout_s
    assert flags("classic", "cpu", settings=Settings(sustained_s=60))["min_secs"] == "5"


def test_options_of_an_external_delegate_are_passed_through() -> None:
    settings = Settings(delegate_options=("htp_precision:1", "log_level:2"))
    found = flags("classic", "qnn", settings=settings)
    assert found["external_delegate_path"] == "/d/libQnnTFLiteDelegate.so"
    told = found["external_delegate_options"].split(";")
    assert "backend_type:htp" in told
    assert "skel_library_dir:/d" in told
    assert told[-2:] == ["htp_precision:1", "log_level:2"]
    own = flags("classic", "external:libmine.so", settings=settings)
    assert own["external_delegate_path"] == "/d/libmine.so"
    assert own["external_delegate_options"] == "htp_precision:1;log_level:2"
    assert flags("classic", "external:/vendor/lib64/x.so")["external_delegate_path"] == (
        "/vendor/lib64/x.so"
    )


def test_full_delegation_is_required_of_accelerators_only() -> None:
    strict = Settings(require_full=True)
    assert flags("classic", "nnapi", settings=strict)["require_full_delegation"] == "true"
    assert "require_full_delegation" not in flags("classic", "cpu", settings=strict)
    assert flags("litert", "gpu", settings=strict)["use_cpu"] == "false"


def test_memory_and_operators_have_launches_of_their_own() -> None:
    assert "report_peak_memory_footprint" not in flags("classic", "cpu")
    assert flags("classic", "cpu", "memory")["report_peak_memory_footprint"] == "true"
    assert flags("classic", "cpu", "profile")["op_profiling_output_mode"] == "csv"
    assert flags("litert", "cpu", "profile")["use_profiler"] == "true"


@pytest.mark.parametrize(
    ("flavour", "backend"),
    [("litert", "nnapi"), ("litert", "qnn"), ("classic", "npu"), ("native", "nnapi")],
)
def test_a_backend_that_the_program_lacks_is_refused(flavour: Flavour, backend: str) -> None:
    with pytest.raises(UsageError, match="backend"):
        flags(flavour, backend)


def test_an_old_program_without_the_flag_is_refused_before_it_measures_the_cpu() -> None:
    case = Case(id="m", model=model(), backend=parse_backends("qnn")[0], threads=1)
    old = Abilities(flavour="classic", flags=frozenset(COMMON.split()))
    with pytest.raises(UnknownFlagError, match="--external_delegate_path"):
        runner_flags(
            Launch(case=case, purpose="time", number=1),
            Settings(),
            old,
            folder="/d",
            model="/d/m",
            library="",
        )


def test_an_old_program_without_a_result_file_is_read_by_its_log() -> None:
    case = Case(id="m", model=model(), backend=parse_backends("cpu")[0], threads=1)
    old = Abilities(flavour="classic", flags=frozenset(CLASSIC.split()) - {"result_file_path"})
    words = runner_flags(
        Launch(case=case, purpose="time", number=1),
        Settings(),
        old,
        folder="/d",
        model="/d/m",
        library="",
    )
    assert not any("result_file_path" in word for word in words)


def test_launches_are_interleaved_and_turn_round() -> None:
    cases = make_cases([model("a"), model("b")], parse_backends("cpu"), [1])
    plan = make_launches(cases, Settings(launches=3, memory=True))
    assert [one.case.model.name for one in plan] == ["a", "b", "b", "a", "a", "b", "a", "b"]
    assert [one.purpose for one in plan[-2:]] == ["memory", "memory"]


def test_threads_are_for_the_cpu() -> None:
    cases = make_cases([model()], parse_backends("cpu,nnapi:x"), [1, 4])
    assert [one.id for one in cases] == ["m cpu x1", "m cpu x4", "m nnapi:x x1"]
    assert len({one.id for one in cases}) == 3


@pytest.mark.parametrize("text", ["tpu", "cpu,vulkan", "external", "cpu:fast"])
def test_an_unknown_backend_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--backend"):
        parse_backends(text)


def test_cores_are_named_by_kind_or_mask() -> None:
    clusters = ((0, 1, 2, 3), (4, 5, 6), (7,))
    assert parse_cpus("big", clusters) == (7,)
    assert parse_cpus("little", clusters) == (0, 1, 2, 3)
    assert parse_cpus("all", clusters) == ()
    assert parse_cpus("f0", ()) == (4, 5, 6, 7)
    assert cpu_mask((4, 5, 6, 7)) == "f0"
    for text in ("medium", "0", "", "-1", "big"):
        with pytest.raises(UsageError, match="--cpus"):
            parse_cpus(text, ())


def run(script: str) -> str:
    return subprocess.run(  # noqa: S603 - the script that a phone would get
        ["/bin/sh", "-c", script], capture_output=True, text=True, check=False
    ).stdout


def test_the_script_tells_the_runners_own_status(tmp_path: Path) -> None:
    argv = ("sh", "-c", "echo 'it said'; exit 7")
    text = run(launch_script(argv, folder=str(tmp_path), timeout_s=5))
    found = read_launch(text, flavour="classic", kind="cpu", timeout_s=5, who="m")
    assert found.exit_code == 7
    assert found.log == "it said"
    assert found.elapsed_s is not None
    assert 0 < found.elapsed_s < 5
    assert not (tmp_path / "runner.pid").exists()


def test_the_script_ends_a_runner_that_hangs(tmp_path: Path) -> None:
    text = run(launch_script(("sleep", "30"), folder=str(tmp_path), timeout_s=1))
    found = read_launch(text, flavour="classic", kind="cpu", timeout_s=1, who="m")
    assert type(found.error).__name__ == "RunTimeoutError"


def test_arguments_reach_the_runner_as_they_are(tmp_path: Path) -> None:
    argv = ("printf", "%s\\n", "a b", "$HOME", "it's", "x;y")
    text = run(launch_script(argv, folder=str(tmp_path), timeout_s=5))
    assert read_launch(text, flavour="classic", kind="cpu", timeout_s=5, who="m").log == (
        "a b\n$HOME\nit's\nx;y"
    )


def test_results_of_the_launch_before_are_not_read_again(tmp_path: Path) -> None:
    (tmp_path / "results.pb").write_bytes(b"old")
    text = run(launch_script(("true",), folder=str(tmp_path), timeout_s=5))
    assert re.search(r"@@section pb\n@@section", text)


def test_cleaning_up_removes_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    run(cleanup_script(str(folder), keep=True))
    assert folder.exists()
    run(cleanup_script(str(folder), keep=False))
    assert not folder.exists()
