"""How hot, charged and fast a phone is at one moment."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_CPU = "/sys/devices/system/cpu/cpu[0-9]*"
MAX_KHZ = "cpuinfo_max_freq"
_CAP, _NOW, _GOVERNOR = "scaling_max_freq", "scaling_cur_freq", "scaling_governor"
_ZONES = "/sys/class/thermal/thermal_zone*"
_SKIN = 3
_MILLI = 1000.0
_POWERED = ("AC powered", "USB powered", "Wireless powered", "Dock powered")


@dataclass(frozen=True, kw_only=True)
class Temperature:
    """One sensor.

    Attributes:
        celsius: reading.
        kind: Android's number: 0 CPU, 1 GPU, 2 battery, 3 skin, 9 NPU; None for a kernel zone.
    """

    celsius: float
    kind: int | None


@dataclass(frozen=True, kw_only=True)
class Battery:
    """The battery.

    Attributes:
        level: per cent.
        celsius: temperature.
        millivolt: voltage.
        powered: a charger or USB feeds the phone.
        faked: the values are those that somebody set, not measured ones.
    """

    level: int | None
    celsius: float | None
    millivolt: int | None
    powered: bool
    faked: bool


@dataclass(frozen=True, kw_only=True)
class State:
    """One moment. Unknown is None or missing.

    Attributes:
        thermal_status: Android's 0 (none) to 6 (shutdown).
        overridden: the thermal status is one that somebody set.
        temperatures: sensor -> reading.
        cooling: device that slows something down -> how much; 0 is not at all.
        battery: the battery.
        cap_khz: core -> highest clock rate allowed now.
        now_khz: core -> clock rate.
        governor: core -> what chooses the clock rate.
        load: of the last minute.
    """

    thermal_status: int | None = None
    overridden: bool = False
    temperatures: Mapping[str, Temperature] = field(default_factory=dict)
    cooling: Mapping[str, int] = field(default_factory=dict)
    battery: Battery | None = None
    cap_khz: Mapping[int, int] = field(default_factory=dict)
    now_khz: Mapping[int, int] = field(default_factory=dict)
    governor: Mapping[int, str] = field(default_factory=dict)
    load: float | None = None

    @property
    def reference_celsius(self) -> float | None:
        """The slow temperature that says how warm the phone is: its skin, else its battery."""
        skin = [one.celsius for one in self.temperatures.values() if one.kind == _SKIN]
        if skin:
            return max(skin)
        return None if self.battery is None else self.battery.celsius

    def document(self) -> dict[str, Any]:
        """Return the JSON-able form that results keep."""
        battery = self.battery
        return {
            "thermal_status": self.thermal_status,
            "reference_celsius": self.reference_celsius,
            "temperatures": {name: one.celsius for name, one in self.temperatures.items()},
            "cooling": dict(self.cooling),
            "battery": None
            if battery is None
            else {
                "level": battery.level,
                "celsius": battery.celsius,
                "millivolt": battery.millivolt,
                "powered": battery.powered,
            },
            "scaling_max_khz": {str(cpu): value for cpu, value in self.cap_khz.items()},
            "scaling_cur_khz": {str(cpu): value for cpu, value in self.now_khz.items()},
            "governors": sorted(set(self.governor.values())),
            "loadavg": self.load,
        }


def state_commands(prefix: str = "") -> dict[str, str]:
    """Return the commands that ``parse_state`` reads, by section name."""
    files = " ".join(f"{_CPU}/cpufreq/{name}" for name in (_CAP, _NOW, _GOVERNOR))
    return {
        f"{prefix}thermal": "dumpsys thermalservice",
        f"{prefix}battery": "dumpsys battery",
        f"{prefix}cpu": f"grep -Hs '' {files}",
        f"{prefix}zones": f"grep -Hs '' {_ZONES}/type {_ZONES}/temp",
        f"{prefix}load": "cat /proc/loadavg",
    }


def parse_state(sections: Mapping[str, str], prefix: str = "") -> State:
    """Read what the commands of ``state_commands`` printed."""
    thermal = sections.get(f"{prefix}thermal", "")
    status = re.search(r"Thermal Status: (\d+)", thermal)
    temperatures = thermal_temperatures(thermal) or zones(sections.get(f"{prefix}zones", ""))
    cpus = cpu_values(sections.get(f"{prefix}cpu", ""))
    load = sections.get(f"{prefix}load", "").split()
    return State(
        thermal_status=int(status[1]) if status else None,
        overridden="IsStatusOverride: true" in thermal,
        temperatures=temperatures,
        cooling=cooling_devices(thermal),
        battery=parse_battery(sections.get(f"{prefix}battery", "")),
        cap_khz=_whole(cpus.get(_CAP, {})),
        now_khz=_whole(cpus.get(_NOW, {})),
        governor=cpus.get(_GOVERNOR, {}),
        load=_real(load[0]) if load else None,
    )


def thermal_temperatures(text: str) -> dict[str, Temperature]:
    """Return the sensors of ``dumpsys thermalservice``: those of the HAL, else the cached ones.

    A reading of 0.0 or NaN is a sensor that gives none.
    """
    pattern = r"\bTemperature\{mValue=([^,]+), mType=(-?\d+), mName=([^,}]*)"
    found: dict[bool, dict[str, Temperature]] = {True: {}, False: {}}
    live = False
    for line in text.splitlines():
        if line.rstrip().endswith(":") and "{" not in line:
            live = "HAL" in line
        for value, kind, name in re.findall(pattern, line):
            celsius = _real(value)
            if celsius is not None and celsius != 0:
                found[live][name] = Temperature(celsius=celsius, kind=int(kind))
    return found[True] or found[False]


def cooling_devices(text: str) -> dict[str, int]:
    """Return name -> strength of the cooling devices of ``dumpsys thermalservice``."""
    pattern = r"\bCoolingDevice\{mValue=(\d+), mType=-?\d+, mName=([^,}]*)"
    return {name: int(value) for value, name in re.findall(pattern, text)}


def zones(text: str) -> dict[str, Temperature]:
    """Read the kernel's thermal zones, for phones whose Android tells no temperatures."""
    values = re.findall(r"thermal_zone(\d+)/(type|temp):(\S+)", text)
    names = {number: value for number, kind, value in values if kind == "type"}
    found = {}
    for number, kind, value in values:
        celsius = _real(value)
        if kind == "temp" and celsius:
            name = f"{names.get(number, 'zone')}-{number}"
            found[name] = Temperature(celsius=celsius / _MILLI, kind=None)
    return found


def parse_battery(text: str) -> Battery | None:
    """Read ``dumpsys battery``; None where there is no such service."""
    values = dict(re.findall(r"^\s*([\w ]+): (\S+)\s*$", text, re.MULTILINE))
    if "level" not in values:
        return None
    tenths = _real(values.get("temperature"))
    voltage = _real(values.get("voltage"))
    return Battery(
        level=int(values["level"]) if values["level"].isdigit() else None,
        celsius=None if tenths is None else tenths / 10,
        millivolt=None if voltage is None else int(voltage),
        powered=any(values.get(name) == "true" for name in _POWERED),
        faked="UPDATES STOPPED" in text,
    )


def cpu_values(text: str) -> dict[str, dict[int, str]]:
    """Read lines ``…/cpu3/cpufreq/NAME:VALUE`` into name -> core -> value."""
    found: dict[str, dict[int, str]] = {}
    for cpu, name, value in re.findall(r"/cpu(\d+)/cpufreq/(\w+):(\S+)", text):
        found.setdefault(name, {})[int(cpu)] = value
    return found


def _whole(values: Mapping[int, str]) -> dict[int, int]:
    return {key: int(value) for key, value in values.items() if value.isdigit()}


def _real(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None
