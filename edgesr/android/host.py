"""The same cases on this computer: what a phone's number is held against, and a dry run of it."""

import platform
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from edgesr import litert
from edgesr.android.delegation import Delegation
from edgesr.android.document import launch_document, new_case, new_document, now, summarize
from edgesr.android.heat import throttled
from edgesr.android.identity import device_hash
from edgesr.android.launch import Outcome, raw_latency
from edgesr.android.process import run_process
from edgesr.android.request import Case, Settings, make_launches
from edgesr.android.sections import section_script, split_sections
from edgesr.android.state import State, parse_state, state_commands
from edgesr.errors import UsageError
from edgesr.files import write_json

_SEED = 0
_STATE_S = 10.0


def measure_host(  # noqa: PLR0913 - one argument a part of the result
    cases: Sequence[Case],
    settings: Settings,
    *,
    environment: Mapping[str, Any],
    output: Path,
    command: Sequence[str],
    request: Mapping[str, Any],
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Measure with LiteRT in this process; every latency is known.

    A launch opens the file anew. The result is stored after each.

    Args:
        cases: CPU only.
        settings: those that phones need alone are refused.
        environment: facts of this computer.
        output: file of the result.
        command: line that the user typed.
        request: flags as values.
        say: shows a message.

    Raises:
        UsageError: an accelerator, or a flag that only phones have.
        EdgesrError: LiteRT is missing or refuses a file.
    """
    _refuse(cases, settings)
    document = new_document(
        command=command,
        request=request,
        host={"os": environment["system"], "python": environment["python"], "adb": None},
        device=_device(environment),
        runner={
            "kind": "host",
            "flavour": "host",
            "experimental": False,
            "version": litert.version(),
            "sha256": None,
            "files": [],
        },
        settings=settings,
    )
    document["cases"] = [new_case(case, settings) for case in cases]
    plan = make_launches(cases, settings)
    for place, launch in enumerate(plan, 1):
        say(f"host: {place} of {len(plan)}: {launch.case.id}")
        before, start, began = read_state(), now(), time.monotonic()
        outcome = _run(launch.case, settings)
        host_s = time.monotonic() - began
        samples = outcome.latency.samples if outcome.latency else ()
        signs = throttled(before, outcome.after, samples=samples)
        entry = next(one for one in document["cases"] if one["id"] == launch.case.id)
        entry["launches"].append(
            launch_document(
                outcome,
                purpose=launch.purpose,
                number=launch.number,
                start=start,
                argv=(),
                before=before,
                reasons=[f"throttled: {sign}" for sign in signs],
                throttled=signs,
                waited_s=0.0,
                host_s=host_s,
                log=None,
            )
        )
        entry["summary"] = summarize(entry["launches"], kind="cpu")
        write_json(output, document)
    return document


def read_state() -> State:
    """Read clock rates, temperatures and load of this computer, where its system tells them."""
    script = section_script(state_commands())
    try:
        answer = run_process(["sh", "-c", f"( {script}\n) 2>/dev/null"], timeout=_STATE_S)
    except (OSError, TimeoutError):
        return State()
    return parse_state(split_sections(answer.out))


def _refuse(cases: Sequence[Case], settings: Settings) -> None:
    for case in cases:
        if case.backend.kind != "cpu":
            raise UsageError(
                f"--target host: has no {case.backend.name}; want cpu, cpu:builtin, cpu:reference"
            )
    phones_only = {
        "--sustained": settings.sustained_s,
        "--memory": settings.memory,
        "--op-profile": settings.profile,
        "--prepare": settings.prepare,
        "--cpus": settings.cpus,
        "--runner-flag": settings.runner_flags,
        "--delegate-option": settings.delegate_options,
    }
    given = [name for name, value in phones_only.items() if value]
    if given:
        raise UsageError(f"--target host: {', '.join(given)} is for phones; leave it out")


def _run(case: Case, settings: Settings) -> Outcome:
    kernels = cast("litert.Kernels", case.backend.detail or "xnnpack")
    began = time.perf_counter()
    model = litert.open_model(case.model.content, kernels=kernels, threads=case.threads)
    height, width = model.fixed_shape or (0, 0)
    generator = np.random.default_rng(_SEED)
    image = generator.integers(0, 256, (height, width, model.channels), dtype=np.uint8)
    batch = model.input_grid.encode(image)[None]
    init_us = 1e6 * (time.perf_counter() - began)
    warm = _times(lambda: model.run(batch), max(settings.warmup, 1), 0.0, settings.timeout_s)
    times = _times(lambda: model.run(batch), settings.runs, settings.min_secs, settings.timeout_s)
    return Outcome(
        exit_code=0,
        elapsed_s=time.perf_counter() - began,
        latency=raw_latency(times),
        warmup_n=len(warm),
        warmup_avg_us=sum(warm) / len(warm),
        init_us=init_us,
        first_us=warm[0],
        delegation=Delegation(status="full", delegate=f"CPU {kernels}"),
        engine=litert.version(),
        after=read_state(),
    )


def _times(
    work: Callable[[], object], runs: int, min_secs: float, max_secs: float
) -> tuple[float, ...]:
    """Return latencies in microseconds of ``runs`` and ``min_secs`` at least."""
    times: list[float] = []
    began = time.perf_counter()
    while len(times) < runs or time.perf_counter() - began < min_secs:
        start = time.perf_counter()
        work()
        end = time.perf_counter()
        times.append(1e6 * (end - start))
        if end - began > max_secs:
            break
    return tuple(times)


def _device(environment: Mapping[str, Any]) -> dict[str, Any]:
    """Describe this computer in a phone's terms."""
    key = f"{environment['system']}, {environment['cpu']}, {environment['cores']} cores"
    return {
        "hash": device_hash(f"host {platform.node()}"),
        "manufacturer": None,
        "model": "this computer",
        "soc": environment["cpu"],
        "platform": environment["system"],
        "android": None,
        "api": None,
        "abi": platform.machine(),
        "abis": [platform.machine()],
        "fingerprint": shlex.quote(key).strip("'"),
        "patch": None,
        "kernel": platform.release(),
        "gpu": None,
        "emulated": False,
        "clusters": [],
        "nnapi_services": [],
    }
