"""What a phone is: maker, processor, Android, clusters, drivers."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from edgesr.android.adb import Shell
from edgesr.android.sections import section_script, split_sections
from edgesr.android.state import MAX_KHZ, State, cpu_values, parse_state, state_commands

_REMOTE_ROOT = "/data/local/tmp"
_EMULATED = ("ro.kernel.qemu", "ro.boot.qemu")
_EMULATED_BOARDS = {"goldfish", "ranchu", "cutf_cvm"}
_CPU = "/sys/devices/system/cpu/cpu[0-9]*"


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Processor cores of one kind.

    Attributes:
        cpus: their numbers.
        max_khz: highest clock rate.
    """

    cpus: tuple[int, ...]
    max_khz: int


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What does not change while a phone is on. Unknown is None.

    Attributes:
        manufacturer: maker.
        model: name of the phone.
        soc: system on a chip, such as ``Tensor G3``.
        platform: name of the board's platform.
        android: version.
        api: API level.
        abis: processors that it runs programs for, best first.
        fingerprint: of the build; with ``soc`` it says which devices compare.
        patch: security patch level.
        kernel: version of the kernel.
        gpu: name that Vulkan gives it.
        emulated: it is no real phone; its times mean nothing.
        clusters: kinds of cores, slowest first.
        free_kb: free space for the files, KiB.
        memory_kb: main memory, KiB.
        nnapi_services: drivers of NNAPI that run as services, AIDL ones and older HIDL ones.
    """

    manufacturer: str | None = None
    model: str | None = None
    soc: str | None = None
    platform: str | None = None
    android: str | None = None
    api: int | None = None
    abis: tuple[str, ...] = ()
    fingerprint: str | None = None
    patch: str | None = None
    kernel: str | None = None
    gpu: str | None = None
    emulated: bool = False
    clusters: tuple[Cluster, ...] = ()
    free_kb: int | None = None
    memory_kb: int | None = None
    nnapi_services: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """Return the JSON-able description that results keep."""
        found = asdict(self)
        for name in ("free_kb", "memory_kb"):
            del found[name]
        found["abi"] = self.abis[0] if self.abis else None
        return found


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """What one look at a phone shows.

    Attributes:
        facts: what stays.
        state: heat, power and clock rates at this moment.
        serial: ``ro.serialno``; only ever stored as a salted hash.
        soc_model: ``ro.soc.model``, without the maker that ``facts.soc`` begins with.
    """

    facts: Facts
    state: State
    serial: str | None
    soc_model: str | None = None


def inspect_phone(shell: Shell) -> Inspection:
    """Read everything in one round trip.

    Raises:
        DeviceError: the phone was lost.
    """
    commands = {
        "props": "getprop",
        "kernel": "uname -r",
        "space": f"df -k {_REMOTE_ROOT}",
        "memory": "cat /proc/meminfo",
        "max": f"grep -Hs '' {_CPU}/cpufreq/{MAX_KHZ}",
        "services": "(service list; lshal) 2>/dev/null | grep -i neuralnetworks",
        "gpu": "cmd gpu vkjson | grep -m1 deviceName",
        **state_commands(),
    }
    return parse_inspection(shell.shell(section_script(commands)).text)


def parse_inspection(text: str) -> Inspection:
    """Read the answer to ``inspect_phone``."""
    sections = split_sections(text)
    props = parse_props(sections.get("props", ""))
    kernel = sections.get("kernel", "").strip()
    services = re.findall(
        r"android\.hardware\.neuralnetworks\S*/[\w-]+", sections.get("services", "")
    )
    gpu = re.search(r'"deviceName"\s*:\s*"([^"]+)"', sections.get("gpu", ""))
    memory = re.search(r"MemTotal:\s+(\d+) kB", sections.get("memory", ""))
    facts = Facts(
        manufacturer=props.get("ro.product.manufacturer"),
        model=props.get("ro.product.model"),
        soc=_soc(props),
        platform=props.get("ro.board.platform"),
        android=props.get("ro.build.version.release"),
        api=_number(props.get("ro.build.version.sdk")),
        abis=tuple(filter(None, props.get("ro.product.cpu.abilist", "").split(","))),
        fingerprint=props.get("ro.build.fingerprint"),
        patch=props.get("ro.build.version.security_patch"),
        kernel=kernel if re.match(r"\d", kernel) else None,
        gpu=gpu[1] if gpu else None,
        emulated=any(props.get(name) == "1" for name in _EMULATED)
        or props.get("ro.hardware") in _EMULATED_BOARDS,
        clusters=clusters(cpu_values(sections.get("max", "")).get(MAX_KHZ, {})),
        free_kb=parse_free(sections.get("space", "")),
        memory_kb=int(memory[1]) if memory else None,
        nnapi_services=tuple(dict.fromkeys(services)),
    )
    return Inspection(
        facts=facts,
        state=parse_state(sections),
        serial=props.get("ro.serialno"),
        soc_model=props.get("ro.soc.model"),
    )


def parse_props(text: str) -> dict[str, str]:
    """Read what ``getprop`` prints; empty values are left out."""
    return {
        key: value
        for key, value in re.findall(r"^\[(.+?)\]: \[(.*)\]$", text, re.MULTILINE)
        if value
    }


def parse_free(text: str) -> int | None:
    """Return the free KiB that ``df -k`` tells; a long device name may break its line."""
    match = re.search(r"(\d+)\s+(\d+)\s+(\d+)\s+\d+%", text)
    return int(match[3]) if match else None


def clusters(max_khz: Mapping[int, str]) -> tuple[Cluster, ...]:
    """Group cores by their highest clock rate, slowest first."""
    rates = {cpu: int(value) for cpu, value in max_khz.items() if value.isdigit()}
    return tuple(
        Cluster(cpus=tuple(sorted(cpu for cpu, own in rates.items() if own == rate)), max_khz=rate)
        for rate in sorted(set(rates.values()))
    )


def _soc(props: Mapping[str, str]) -> str | None:
    maker, model = props.get("ro.soc.manufacturer"), props.get("ro.soc.model")
    return " ".join(filter(None, (maker, model))) or props.get("ro.hardware")


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdigit() else None
