"""The flags of a launch for each of the three programs, and the script that starts it."""

import shlex
from collections.abc import Sequence

from edgesr.android.backends import cpu_mask
from edgesr.android.errors import UnknownFlagError
from edgesr.android.request import Case, Launch, Settings
from edgesr.android.runners import Abilities, Flavour
from edgesr.android.sections import section_script
from edgesr.android.state import state_commands
from edgesr.errors import UsageError

ROOT = "/data/local/tmp/edgesr"
RESULTS, PROFILE, PID = "results.pb", "profile.csv", "runner.pid"
_MOST_SECS = 0.8
_SUSTAINED_LAUNCH_S = 5.0
_QNN = {
    "backend_type": "htp",
    "library_path": "{folder}/libQnnHtp.so",
    "skel_library_dir": "{folder}",
}


def runner_flags(  # noqa: PLR0913 - the places on the phone
    launch: Launch, settings: Settings, able: Abilities, *, folder: str, model: str, library: str
) -> tuple[str, ...]:
    """Return the flags of a launch.

    Args:
        launch: what to measure.
        settings: how.
        able: the program and the flags that it knows.
        folder: on the phone.
        model: path of the file on the phone.
        library: path on the phone of the library that edgesr's own runner opens.

    Raises:
        UsageError: the program has no such back end.
        UnknownFlagError: this version of the program does not know a flag that is needed.
    """
    case = launch.case
    flags = _common(launch, settings, able, model=model, folder=folder)
    flags |= _BACKENDS[able.flavour](case, settings, folder, library)
    unknown = [name for name in flags if name not in able.flags]
    if unknown:
        raise UnknownFlagError(
            f"runner: this {able.flavour} program does not know {_dashed(unknown)}, which "
            f"{case.backend.name} needs; use a newer one, or another back end"
        )
    own = [f"--{name}={value}" for name, value in flags.items()]
    return (*own, *settings.runner_flags)


def launch_script(
    argv: Sequence[str], *, folder: str, timeout_s: float, cpus: Sequence[int] = ()
) -> str:
    """Return the script that starts the runner, reads its result and the phone's state.

    All in one round trip. The runner is the process whose number lies in ``runner.pid``, so that it
    can be ended after the host has gone; ``timeout`` ends it on the phone in any case.
    """
    pinned = ("taskset", cpu_mask(tuple(cpus))) if cpus else ()
    inner = f"echo $$ > {PID}; exec {shlex.join([*pinned, *argv])}"
    paths = f"LD_LIBRARY_PATH={folder} ADSP_LIBRARY_PATH={folder}"
    guarded = f"timeout -s KILL {max(1, round(timeout_s))} sh -c {shlex.quote(inner)}"
    after = {
        "pb": f"[ -f {RESULTS} ] && base64 {RESULTS}",
        "profile": f"[ -f {PROFILE} ] && cat {PROFILE}",
        **state_commands(),
    }
    return "\n".join(
        [
            f"cd {folder} || exit 97",
            f"rm -f {RESULTS} {PROFILE}",
            "started=$(date +%s%N)",
            "echo '@@section run'",
            f"{paths} {guarded}",
            f"code=$?; rm -f {PID}",
            "echo",
            "echo '@@section exit'",
            "echo $code $started $(date +%s%N)",
            section_script(after),
        ]
    )


def cleanup_script(folder: str, *, keep: bool) -> str:
    """Return the script that ends a runner that may still run, and removes the files."""
    end = f"[ -f {folder}/{PID} ] && kill -9 $(cat {folder}/{PID}) 2>/dev/null"
    return end if keep else f"{end}\nrm -rf {folder}"


def _common(
    launch: Launch, settings: Settings, able: Abilities, *, model: str, folder: str
) -> dict[str, str]:
    least = _SUSTAINED_LAUNCH_S if settings.sustained_s else settings.min_secs
    flags = {
        "graph": model,
        "num_threads": str(launch.case.threads),
        "num_runs": str(1 if settings.sustained_s else settings.runs),
        "min_secs": f"{least:g}",
        "max_secs": f"{max(settings.timeout_s * _MOST_SECS, least):g}",
        "warmup_runs": str(settings.warmup),
    }
    if able.flavour == "native":
        return flags
    if settings.signature is not None:
        flags["signature_to_run_for"] = settings.signature
    if "result_file_path" in able.flags:
        flags["result_file_path"] = f"{folder}/{RESULTS}"
    if settings.require_full and launch.case.backend.kind != "cpu":
        flags["require_full_delegation"] = "true"
    if launch.purpose == "memory":
        flags["report_peak_memory_footprint"] = "true"
    if launch.purpose == "profile":
        flags |= _profile_flags(able.flavour, folder)
    return flags


def _profile_flags(flavour: Flavour, folder: str) -> dict[str, str]:
    if flavour == "litert":
        return {"use_profiler": "true"}
    return {
        "enable_op_profiling": "true",
        "op_profiling_output_mode": "csv",
        "op_profiling_output_file": f"{folder}/{PROFILE}",
    }


def _classic(case: Case, settings: Settings, folder: str, library: str) -> dict[str, str]:
    del library
    backend = case.backend
    if backend.kind == "cpu":
        return {"use_xnnpack": "false" if backend.detail == "builtin" else "true"}
    if backend.kind == "gpu":
        return {"use_gpu": "true"} | ({"gpu_backend": backend.detail} if backend.detail else {})
    if backend.kind == "nnapi":
        named = {"nnapi_accelerator_name": backend.detail} if backend.detail else {}
        return {"use_nnapi": "true"} | named
    if backend.kind == "npu":
        raise UsageError(
            f"--backend {backend.name}: TensorFlow Lite's benchmark_model has none; use LiteRT's, "
            "or qnn or external:LIBRARY.so with --delegate-lib"
        )
    given = dict(one.partition(":")[::2] for one in settings.delegate_options)
    qnn = {key: value.format(folder=folder) for key, value in _QNN.items()}
    options = (qnn if backend.kind == "qnn" else {}) | given
    name = backend.detail or "libQnnTFLiteDelegate.so"
    flags = {"external_delegate_path": name if name.startswith("/") else f"{folder}/{name}"}
    if options:
        joined = ";".join(f"{key}:{value}" for key, value in options.items())
        flags["external_delegate_options"] = joined
    return flags


def _litert(case: Case, settings: Settings, folder: str, library: str) -> dict[str, str]:
    del library
    backend = case.backend
    alone = {"use_cpu": "false"} if settings.require_full else {}  # the program wants it so
    if backend.kind == "cpu" and backend.detail in {None, "xnnpack"}:
        return {"use_cpu": "true"}
    if backend.kind == "gpu":
        named = {"gpu_backend": backend.detail} if backend.detail else {}
        return {"use_gpu": "true"} | named | alone
    if backend.kind == "npu":
        return {"use_npu": "true", "dispatch_library_path": folder} | alone
    raise UsageError(
        f"--backend {backend.name}: LiteRT's benchmark_model has cpu, gpu and npu; use TensorFlow "
        "Lite's for it"
    )


def _native(case: Case, settings: Settings, folder: str, library: str) -> dict[str, str]:
    del folder
    backend = case.backend
    if backend.kind not in {"cpu", "gpu"} or backend.detail is not None:
        raise UsageError(f"--backend {backend.name}: edgesr's runner has cpu and gpu only")
    if settings.signature is not None:
        raise UsageError("--signature: edgesr's runner runs the first one only; leave it out")
    return {"library": library, "accelerator": backend.kind}


_BACKENDS = {"classic": _classic, "litert": _litert, "native": _native}


def _dashed(names: Sequence[str]) -> str:
    return ", ".join(f"--{name}" for name in names)
