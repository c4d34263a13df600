"""Behaves as Google's ``benchmark_model`` does on a phone: its lines, its flags, its exit codes.

The inference and its times are real: LiteRT runs the file that was pushed. What a delegate takes,
and what goes wrong, is set by the switches of the fake phone. Called as
``python -m tests.android.fake_phone.runner.benchmark_model classic|litert ARGV0 FLAG...``.

Lines: LiteRT's tflite/tools/benchmark/benchmark_model.cc and
litert/tools/benchmark_litert_model.h.
"""

import os
import resource
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from tests.android.fake_phone.runner.results import encode_results

FAKE = Path("/fake")
HERE = Path(__file__).resolve().parent


def main(arguments: list[str]) -> int:
    flavour, name, *words = arguments
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    known = _known_flags(flavour)
    given = dict(word.lstrip("-").partition("=")[::2] for word in words)
    if "help" in given:
        print("ERROR:", _usage(name, known), file=sys.stderr)
        return 1
    if flavour == "classic":
        say("STARTING!")
    hidden = set((switch("unknown_flags") or "").split())
    unknown = [one for one in words if one.lstrip("-").partition("=")[0] not in set(known) - hidden]
    if unknown:
        print("WARN: Unconsumed cmdline flags:", " ".join(unknown))
    flags = {**known, **{key: text for key, text in given.items() if key in set(known) - hidden}}
    launch = int(switch("launches") or 0) + 1
    (FAKE / "launches").write_text(str(launch))
    return _launch(flavour, flags, given, launch)


def _launch(flavour: str, flags: dict[str, str], given: dict[str, str], launch: int) -> int:
    say("Log parameter values verbosely: [0]")
    for key, value in given.items():
        if key in _TITLES:
            say(f"{_TITLES[key]}: [{value}]")
    say(f"Graph: [{flags['graph']}]")
    _misbehave(launch)
    from ai_edge_litert.interpreter import Interpreter

    from tests.android.fake_phone.runner import delegation

    start, empty = time.perf_counter_ns(), _used_mb()
    try:
        threads = max(1, int(flags["num_threads"]))
        model = Interpreter(model_path=flags["graph"], num_threads=threads)
        model.allocate_tensors()
        plain = Interpreter(
            model_path=flags["graph"], experimental_op_resolver_type=delegation.PLAIN
        )
    except (ValueError, RuntimeError):
        print(f"ERROR: Failed to load model {flags['graph']}", file=sys.stderr)
        print("ERROR: Benchmarking failed.", file=sys.stderr)
        return 1
    say(f"Loaded model {flags['graph']}")
    nodes = len(plain._get_ops_details())
    if not delegation.apply(flavour, flags, nodes, switch):
        print("ERROR: Benchmarking failed.", file=sys.stderr)
        return 1
    init = (time.perf_counter_ns() - start) // 1000
    say(f"The input model file size (MB): {Path(flags['graph']).stat().st_size / 1e6:g}")
    say(f"Initialized session in {init / 1e3:g}ms.")
    loaded = _used_mb() - empty
    warm = _run(model, int(flags["warmup_runs"]), flags["warmup_min_secs"], flags["max_secs"])
    times = _run(model, int(flags["num_runs"]), flags["min_secs"], flags["max_secs"])
    memory = (loaded, _used_mb() - empty)
    peak = _used_mb() if flags["report_peak_memory_footprint"] == "true" else -1.0
    tell = _say_classic if flavour == "classic" else _say_litert
    tell(init, warm, times, memory, peak)
    if flags["result_file_path"]:
        content = encode_results(init, warm, times, Path(flags["graph"]).stat().st_size)
        Path(flags["result_file_path"]).write_bytes(content)
    return 0


def switch(name: str) -> str | None:
    path = FAKE / name
    return path.read_text().strip() if path.exists() else None


def say(text: str) -> None:
    print(f"INFO: {text}", flush=True)


def percentile(times: list[int], part: int) -> int:
    return sorted(times)[min(len(times) - 1, len(times) * part // 100)]


def _misbehave(launch: int) -> None:
    limit = switch("throttle_at_launch")
    if limit is not None and launch >= int(limit):
        for path in Path("/sys/devices/system/cpu").glob("cpu*/cpufreq/scaling_max_freq"):
            path.write_text("1200000\n")
    if switch("cut_at_launch") == str(launch):
        (FAKE / "cut").touch()
        time.sleep(60)
    if switch("hang") in ("always", str(launch)):
        time.sleep(600)
    if number := switch("crash"):
        os.kill(os.getpid(), int(number))
        time.sleep(1)


def _run(model: Any, runs: int, min_secs: str, max_secs: str) -> list[int]:
    say(
        f"Running benchmark for at least {runs} iterations and at least {float(min_secs):g} "
        f"seconds but terminate if exceeding {float(max_secs):g} seconds."
    )
    times: list[int] = []
    begin = time.monotonic()
    while len(times) < runs or time.monotonic() - begin < float(min_secs):
        if time.monotonic() - begin > float(max_secs):
            break
        start = time.perf_counter_ns()
        model.invoke()
        times.append((time.perf_counter_ns() - start) // 1000)
    print(f"INFO: {_stat_line(times)}\n", flush=True)
    return times


def _stat_line(times: list[int]) -> str:
    if not times:
        return "count=0"
    tail = " p5={} median={} p95={}".format(*(percentile(times, part) for part in (5, 50, 95)))
    if len(times) == 1:
        return f"count=1 curr={times[-1]}{tail}"
    if min(times) == max(times):
        return f"count={len(times)} curr={times[-1]}(all same){tail}"
    return (
        f"count={len(times)} first={times[0]} curr={times[-1]} min={min(times)} max={max(times)} "
        f"avg={statistics.fmean(times):g} std={int(statistics.pstdev(times))}{tail}"
    )


def _used_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _say_classic(
    init: int, warm: list[int], times: list[int], memory: tuple[float, float], peak: float
) -> None:
    mean = statistics.fmean
    say(
        f"Inference timings in us: Init: {init}, First inference: {warm[0] if warm else 0}, "
        f"Warmup (avg): {mean(warm or [0]):g}, Inference (avg): {mean(times or [0]):g}"
    )
    say(
        "Note: as the benchmark tool itself affects memory footprint, the following is only "
        "APPROXIMATE to the actual memory footprint of the model at runtime. Take the "
        "information at your discretion."
    )
    say(
        "Memory footprint delta from the start of the tool (MB): "
        f"init={memory[0]:g} overall={memory[1]:g}"
    )
    if peak > 0:
        say(f"Overall peak memory footprint (MB) via periodic monitoring: {peak:g}")


def _say_litert(
    init: int, warm: list[int], times: list[int], memory: tuple[float, float], peak: float
) -> None:
    mean = statistics.fmean
    highest = f"Peak memory:          {peak:.2f} MB"
    for line in (
        "\n========== BENCHMARK RESULTS ==========",
        f"Model initialization: {init / 1e3:.2f} ms",
        f"Warmup (first):       {(warm or [0])[0] / 1e3:.2f} ms",
        f"Warmup (avg):         {mean(warm or [0]) / 1e3:.2f} ms ({len(warm)} runs)",
        f"Inference (avg):      {mean(times) / 1e3:.2f} ms ({len(times)} runs)",
        f"Inference (min):      {min(times) / 1e3:.2f} ms",
        f"Inference (max):      {max(times) / 1e3:.2f} ms",
        f"Inference (std):      {statistics.pstdev(times) / 1e3:.2f}",
        "No throughput data available (throughput <= 0).",
        "\nMemory Usage:",
        f"Init footprint:       {memory[0]:.2f} MB",
        f"Overall footprint:    {memory[1]:.2f} MB",
        highest if peak > 0 else "Peak memory usage not available. (peak_mem_mb <= 0)",
        "======================================\n",
    ):
        say(f"[benchmark_litert_model.h:75] {line}")


_TITLES = {
    "num_runs": "Min num runs",
    "min_secs": "Min runs duration (seconds)",
    "max_secs": "Max runs duration (seconds)",
    "num_threads": "Num threads",
    "warmup_runs": "Min warmup runs",
    "warmup_min_secs": "Min warmup runs duration (seconds)",
    "use_gpu": "Use gpu",
    "use_nnapi": "Use NNAPI",
    "use_xnnpack": "Use xnnpack",
    "require_full_delegation": "Require full delegation",
}


def _known_flags(flavour: str) -> dict[str, str]:
    """Return every flag of one program with its default, from the list beside this file."""
    lines = (HERE / "flags.txt").read_text().splitlines()
    rows = [line.split() for line in lines if line and not line.startswith("#")]
    return {name: text.strip('"') for name, text, whose in rows if whose in ("both", flavour)}


def _usage(name: str, known: dict[str, str]) -> str:
    lines = [f"usage: {name} <flags>", "Flags:"]
    lines += [f"\t--{key}={value}\toptional" for key, value in known.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
