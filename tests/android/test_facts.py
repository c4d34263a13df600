from edgesr.android.facts import Cluster, clusters, parse_free, parse_inspection, parse_props
from edgesr.android.sections import section_script, split_sections

ANSWER = """@@section props
[ro.product.manufacturer]: [Google]
[ro.product.model]: [Pixel 8 Pro]
[ro.soc.manufacturer]: [Google]
[ro.soc.model]: [Tensor G3]
[ro.product.cpu.abilist]: [arm64-v8a,armeabi-v7a]
[ro.build.version.release]: [15]
[ro.build.version.sdk]: [35]
[ro.build.fingerprint]: [google/husky/husky:15/AP3A/1:user/release-keys]
[ro.serialno]: [SECRET42]
[ro.empty]: []
@@section kernel
5.15.148-android14
@@section space
Filesystem     1K-blocks     Used Available Use% Mounted on
/dev/block/dm-9 115249236 57000000  58249236  50% /data
@@section memory
MemTotal:       11879000 kB
@@section max
/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq:1704000
/sys/devices/system/cpu/cpu1/cpufreq/cpuinfo_max_freq:1704000
/sys/devices/system/cpu/cpu8/cpufreq/cpuinfo_max_freq:2914000
@@section services
12	android.hardware.neuralnetworks.IDevice/google-edgetpu: [android.hardware]
@@section gpu
   "deviceName" : "Mali-G715",
"""


def test_a_phone_is_known_from_one_answer() -> None:
    found = parse_inspection(ANSWER)
    facts = found.facts
    assert (facts.model, facts.soc, facts.android, facts.api) == (
        "Pixel 8 Pro",
        "Google Tensor G3",
        "15",
        35,
    )
    assert facts.abis == ("arm64-v8a", "armeabi-v7a")
    assert (facts.gpu, facts.kernel) == ("Mali-G715", "5.15.148-android14")
    assert facts.nnapi_services == ("android.hardware.neuralnetworks.IDevice/google-edgetpu",)
    assert (facts.free_kb, facts.memory_kb, facts.emulated) == (58249236, 11879000, False)
    assert facts.clusters == (
        Cluster(cpus=(0, 1), max_khz=1704000),
        Cluster(cpus=(8,), max_khz=2914000),
    )
    assert found.serial == "SECRET42"
    assert "SECRET42" not in str(facts.document())


def test_an_emulator_is_seen() -> None:
    for line in ("[ro.kernel.qemu]: [1]", "[ro.boot.qemu]: [1]", "[ro.hardware]: [ranchu]"):
        assert parse_inspection(f"@@section props\n{line}\n").facts.emulated


def test_a_phone_that_answers_nothing_is_unknown() -> None:
    facts = parse_inspection("").facts
    assert (facts.model, facts.soc, facts.api, facts.abis) == (None, None, None, ())
    assert facts.document()["abi"] is None


def test_props_keep_brackets_and_drop_empty_ones() -> None:
    assert parse_props("[a.b]: [x [y] z]\n[c]: []\nnoise\n") == {"a.b": "x [y] z"}


def test_a_broken_line_of_df_is_read() -> None:
    text = (
        "Filesystem 1K-blocks Used Available Use% Mounted on\n/dev/very/long/name\n 100 60 40 60% /"
    )
    assert parse_free(text) == 40
    assert parse_free("df: /data/local/tmp: Permission denied") is None


def test_clusters_without_rates_are_none() -> None:
    assert clusters({0: "<unsupported>"}) == ()


def test_sections_survive_an_unfinished_line() -> None:
    assert section_script({"a": "x", "b": "y"}) == "echo '@@section a'\nx\necho '@@section b'\ny"
    assert split_sections("noise\n@@section a\n1\n2@@section b\n3\n") == {"a": "1", "b": "3"}


def test_drivers_of_both_generations_are_found() -> None:
    text = (
        "@@section services\n0\tandroid.hardware.neuralnetworks.IDevice/google-edgetpu: []\n"
        "Y android.hardware.neuralnetworks@1.3::IDevice/qti-dsp 812\n"
    )
    assert parse_inspection(text).facts.nnapi_services == (
        "android.hardware.neuralnetworks.IDevice/google-edgetpu",
        "android.hardware.neuralnetworks@1.3::IDevice/qti-dsp",
    )
