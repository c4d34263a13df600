"""Logs of every generation of both programs, line by line as their sources print them."""

from dataclasses import dataclass, field

import pytest

from edgesr.android.logs import Replaced, parse_log


@dataclass(frozen=True, kw_only=True)
class Expected:
    count: int
    avg: float
    p50: float | None = None
    init: float | None = None
    first: float | None = None
    memory: dict[str, float] = field(default_factory=dict)
    replaced: tuple[tuple[str, int, int, int], ...] = ()
    applied: tuple[str, str] | None = None
    unknown: tuple[str, ...] = ()


GENERATIONS: dict[str, tuple[str, Expected]] = {
    "tf 1.14, no stats": (
        """STARTING!
Num runs: [50]
Loaded model /data/local/tmp/m.tflite
resolved reporter
Initialized session in 1.234ms
Running benchmark for at least 1 iterations and at least 0.5 seconds
count=1 curr=4567

Running benchmark for at least 50 iterations and at least 1 seconds
count=1 curr=4321.5

Average inference timings in us: Warmup: 4567, Init: 1234, no stats: 4321.5""",
        Expected(count=1, avg=4321.5, p50=4321.5, init=1234, first=4567),
    ),
    "tf 1.15": (
        """STARTING!
count=5 first=83235 curr=81350 min=77385 max=88213 avg=79732 std=1929

count=50 first=79449 curr=81350 min=77385 max=88213 avg=79760.9 std=1929

Average inference timings in us: Warmup: 83235, Init: 38467, Inference: 79760.9""",
        Expected(count=50, avg=79760.9, init=38467, first=83235),
    ),
    "tf 2.1 with nnapi, whole graph": (
        """STARTING!
Use nnapi : [1]
INFO: Created TensorFlow Lite delegate for NNAPI.
Applied NNAPI delegate.
INFO: Replacing 31 node(s) with delegate (TfLiteNnapiDelegate) node.
count=50 first=7944 curr=8135 min=7738 max=8821 avg=7976.09 std=192
Average inference timings in us: Warmup: 8323.5, Init: 38467, Inference: 7976.09""",
        Expected(count=50, avg=7976.09, init=38467),
    ),
    "forks of tf 2.2, peak memory": (
        """STARTING!
count=50 first=79449 curr=81350 min=77385 max=88213 avg=79732 std=1929
Inference timings in us: Init: 38467, First inference: 83235, Warmup (avg): 82000, \
Inference (avg): 79732
Peak memory footprint (MB): init=1.07 overall=2.1""",
        Expected(
            count=50, avg=79732, init=38467, first=83235, memory={"init": 1.07, "overall": 2.1}
        ),
    ),
    "tf 2.4, partitions for the whole graph": (
        """STARTING!
INFO: Created TensorFlow Lite delegate for GPU.
INFO: Replacing 38 out of 41 node(s) with delegate (TfLiteGpuDelegateV2) node, yielding 4 \
partitions for the whole graph.
Explicitly applied GPU delegate, and the model graph will be partially executed by the delegate w/ \
2 delegate kernels.
The input model file size (MB): 0.05
Initialized session in 61.2ms.
count=62 first=8160 curr=8000 min=7950 max=8300 avg=8050.5 std=55
Inference timings in us: Init: 61200, First inference: 8160, Warmup (avg): 8100, Inference (avg): \
8050.5
Memory footprint delta from the start of the tool (MB): init=10.2 overall=22.5""",
        Expected(
            count=62,
            avg=8050.5,
            init=61200,
            first=8160,
            memory={"init": 10.2, "overall": 22.5},
            replaced=(("TfLiteGpuDelegateV2", 38, 41, 4),),
            applied=("GPU", "partially"),
        ),
    ),
    "tf 2.6, xnnpack takes all": (
        """INFO: Created TensorFlow Lite XNNPACK delegate for CPU.
INFO: Replacing 5 out of 5 node(s) with delegate (TfLiteXNNPackDelegate) node, yielding 1 \
partitions for the whole graph.
Explicitly applied XNNPACK delegate, and the model graph will be completely executed by the \
delegate.
count=12 curr=20(all same)
Inference timings in us: Init: 900, First inference: 20, Warmup (avg): 20, Inference (avg): 20""",
        Expected(
            count=12,
            avg=20,
            p50=20,
            init=900,
            first=20,
            replaced=(("TfLiteXNNPackDelegate", 5, 5, 1),),
            applied=("XNNPACK", "completely"),
        ),
    ),
    "tf 2.9, INFO in front, no delegate": (
        """INFO: STARTING!
INFO: Log parameter values verbosely: [0]
INFO: Though NNAPI delegate is explicitly applied, the model graph will not be executed by the \
delegate.
INFO: count=50 first=100 curr=90 min=80 max=120 avg=95.5 std=7
INFO: Inference timings in us: Init: 500, First inference: 130, Warmup (avg): 101.5, Inference \
(avg): 95.5
INFO: Note: as the benchmark tool itself affects memory footprint, the following is only \
APPROXIMATE to the actual memory footprint of the model at runtime. Take the information at your \
discretion.
INFO: Memory footprint delta from the start of the tool (MB): init=-1 overall=3.5""",
        Expected(
            count=50,
            avg=95.5,
            init=500,
            first=130,
            memory={"overall": 3.5},
            applied=("NNAPI", "not"),
        ),
    ),
    "tf 2.12, one line a subgraph": (
        """INFO: STARTING!
VERBOSE: Replacing 10 out of 12 node(s) with delegate (TfLiteXNNPackDelegate) node, yielding 3 \
partitions for subgraph 0.
VERBOSE: Replacing 2 out of 2 node(s) with delegate (TfLiteXNNPackDelegate) node, yielding 1 \
partitions for subgraph 1.
INFO: count=50 first=100 curr=90 min=80 max=120 avg=95.5 std=7
INFO: Inference timings in us: Init: 500, First inference: 130, Warmup (avg): 101.5, Inference \
(avg): 95.5""",
        Expected(
            count=50,
            avg=95.5,
            init=500,
            first=130,
            replaced=(("TfLiteXNNPackDelegate", 10, 12, 3), ("TfLiteXNNPackDelegate", 2, 2, 1)),
        ),
    ),
    "litert 2025, percentiles, averages in scientific form": (
        """INFO: STARTING!
INFO: NNAPI accelerators available: [google-edgetpu,google-armnn,nnapi-reference]
INFO: Loaded model /data/local/tmp/m.tflite
VERBOSE: Replacing 38 out of 41 node(s) with delegate (TfLiteNnapiDelegate) node, yielding 4 \
partitions for subgraph 0 (main).
INFO: Explicitly applied NNAPI delegate, and the model graph will be partially executed by the \
delegate w/ 2 delegate kernels.
INFO: count=1 curr=1234567 p5=1234567 median=1234567 p95=1234567
INFO: count=50 first=1200345 curr=1190123 min=1180000 max=1300000 avg=1.20568e+06 std=20345 \
p5=1181000 median=1203000 p95=1260000
INFO: Inference timings in us: Init: 61200, First inference: 1234567, Warmup (avg): 1.23457e+06, \
Inference (avg): 1.20568e+06
INFO: Memory footprint delta from the start of the tool (MB): init=10.25 overall=22.5
INFO: Overall peak memory footprint (MB) via periodic monitoring: 24.75""",
        Expected(
            count=50,
            avg=1_205_680,
            p50=1_203_000,
            init=61200,
            first=1_234_567,
            memory={"init": 10.25, "overall": 22.5, "peak": 24.75},
            replaced=(("TfLiteNnapiDelegate", 38, 41, 4),),
            applied=("NNAPI", "partially"),
        ),
    ),
    "external delegate": (
        """INFO: STARTING!
INFO: External delegate path: [/data/local/tmp/libQnnTFLiteDelegate.so]
INFO: EXTERNAL delegate created.
VERBOSE: Replacing 41 out of 41 node(s) with delegate (TfLiteQnnDelegate) node, yielding 1 \
partitions for subgraph 0 (main).
INFO: Explicitly applied EXTERNAL delegate, and the model graph will be completely executed by the \
delegate.
INFO: count=500 first=900 curr=850 min=840 max=950 avg=860.123 std=12 p5=845 median=858 p95=880
INFO: Inference timings in us: Init: 402000, First inference: 1400, Warmup (avg): 900, Inference \
(avg): 860.123""",
        Expected(
            count=500,
            avg=860.123,
            p50=858,
            init=402000,
            first=1400,
            replaced=(("TfLiteQnnDelegate", 41, 41, 1),),
            applied=("EXTERNAL", "completely"),
        ),
    ),
    "lines of logcat around": (
        """11-21 13:00:01.123  4242  4242 I tflite  : Initialized TensorFlow Lite runtime.
I tflite  : count=50 first=100 curr=90 min=80 max=120 avg=95.5 std=7 p5=81 median=95 p95=110
11-21 13:00:09.123  4242  4242 I tflite  : Inference timings in us: Init: 500, First inference: \
130, Warmup (avg): 101.5, Inference (avg): 95.5""",
        Expected(count=50, avg=95.5, p50=95, init=500, first=130),
    ),
    "an unknown flag": (
        """WARN: Unconsumed cmdline flags: --use_nnapi=true --nonsense=1
INFO: count=50 first=100 curr=90 min=80 max=120 avg=95.5 std=7""",
        Expected(count=50, avg=95.5, unknown=("--use_nnapi=true", "--nonsense=1")),
    ),
    "litert 2.1, block in milliseconds": (
        """INFO: [benchmark_litert_model.h:89]
========== BENCHMARK RESULTS ==========
INFO: [benchmark_litert_model.h:92] Model initialization: 12.30 ms
INFO: [benchmark_litert_model.h:95] Warmup (first):       4.10 ms
INFO: [benchmark_litert_model.h:96] Warmup (avg):         3.20 ms (10 runs)
INFO: [benchmark_litert_model.h:99] Inference (avg):      2.10 ms (50 runs)
INFO: [benchmark_litert_model.h:100] Inference (min):      2.00 ms
INFO: [benchmark_litert_model.h:101] Inference (max):      2.90 ms
INFO: [benchmark_litert_model.h:102] Inference (std):      0.10
INFO: [benchmark_litert_model.h:105] Throughput: 24.8 MB/s
INFO: [benchmark_litert_model.h:110] Init footprint:       10.00 MB
INFO: [benchmark_litert_model.h:111] Overall footprint:    20.00 MB
INFO: [benchmark_litert_model.h:112] Peak memory:          33.00 MB""",
        Expected(
            count=50,
            avg=2100,
            init=12300,
            first=4100,
            memory={"init": 10, "overall": 20, "peak": 33},
        ),
    ),
    "litert 2.3, no memory told": (
        """INFO: Replacing 41 out of 41 node(s) with delegate (LITERT_GPU_DELEGATE) node, yielding \
1 partitions for subgraph 0 (main).
INFO: [benchmark_litert_model.h:75] Model initialization: 480.00 ms
INFO: [benchmark_litert_model.h:75] Warmup (first):       9.00 ms
INFO: [benchmark_litert_model.h:75] Warmup (avg):         7.00 ms (1 runs)
INFO: [benchmark_litert_model.h:75] Inference (avg):      6.10 ms (164 runs)
INFO: [benchmark_litert_model.h:75] Inference (min):      5.92 ms
INFO: [benchmark_litert_model.h:75] Inference (max):      6.90 ms
INFO: [benchmark_litert_model.h:75] Inference (std):      0.30
INFO: [benchmark_litert_model.h:75] No throughput data available (throughput <= 0).
INFO: [benchmark_litert_model.h:75] Peak memory usage not available. (peak_mem_mb <= 0)""",
        Expected(
            count=164,
            avg=6100,
            init=480_000,
            first=9000,
            replaced=(("LITERT_GPU_DELEGATE", 41, 41, 1),),
        ),
    ),
}


def test_there_are_twelve_generations_or_more() -> None:
    assert len(GENERATIONS) >= 12


@pytest.mark.parametrize("name", GENERATIONS)
def test_a_log_is_read_as_its_program_means_it(name: str) -> None:
    text, want = GENERATIONS[name]
    log = parse_log(text)
    assert log.measured is not None
    assert log.measured.count == want.count
    assert log.measured.avg == pytest.approx(want.avg)
    assert log.measured.p50 == want.p50
    assert (log.init_us, log.first_us) == (want.init, want.first)
    assert log.memory_mb == want.memory
    told = tuple((one.delegate, one.nodes, one.of, one.partitions) for one in log.replaced)
    assert told == want.replaced
    applied = log.applied and (log.applied.delegate, log.applied.how)
    assert applied == want.applied
    assert log.unknown_flags == want.unknown


@pytest.mark.parametrize("name", GENERATIONS)
def test_carriage_returns_of_old_adb_change_nothing(name: str) -> None:
    text, _ = GENERATIONS[name]
    assert parse_log(text.replace("\n", "\r\n")).measured == parse_log(text).measured


def test_percentiles_are_those_that_are_printed() -> None:
    text, _ = GENERATIONS["litert 2025, percentiles, averages in scientific form"]
    log = parse_log(text)
    assert log.measured is not None
    assert log.warmup is not None
    assert (log.measured.p5, log.measured.p95, log.measured.std) == (1181000, 1260000, 20345)
    assert (log.warmup.count, log.warmup.min, log.warmup_avg_us) == (1, 1234567, 1234570)


def test_accelerators_are_listed() -> None:
    log = parse_log("NNAPI accelerators available: [google-edgetpu, nnapi-reference]")
    assert log.accelerators == ("google-edgetpu", "nnapi-reference")


def test_subgraphs_are_told_apart() -> None:
    text, _ = GENERATIONS["tf 2.12, one line a subgraph"]
    second = parse_log(text).replaced[1]
    assert second == Replaced(
        delegate="TfLiteXNNPackDelegate", nodes=2, of=2, partitions=1, subgraph=1
    )


@pytest.mark.parametrize(
    "line",
    [
        "WARN: NNAPI acceleration is unsupported on this platform.",
        "ERROR: Failed to apply NNAPI delegate.",
        "ERROR: Disallowed CPU fallback detected.",
    ],
)
def test_a_refused_delegate_is_found(line: str) -> None:
    assert parse_log(f"INFO: STARTING!\n{line}\nERROR: Benchmarking failed.").refused == line


@pytest.mark.parametrize("text", ["", "sh: ./benchmark_model: not found", "\x00\xff count=", "{}"])
def test_what_is_no_log_has_no_result(text: str) -> None:
    log = parse_log(text)
    assert log.measured is None
    assert log.replaced == ()
