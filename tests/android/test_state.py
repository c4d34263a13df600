from edgesr.android.state import (
    Battery,
    Temperature,
    cooling_devices,
    cpu_values,
    parse_battery,
    parse_state,
    thermal_temperatures,
    zones,
)

INDENTED = """IsStatusOverride: false
ThermalEventListeners:
	callbacks: 1
Thermal Status: 2
Cached temperatures:
	Temperature{mValue=99.9, mType=0, mName=cpu0, mStatus=0}
HAL Ready: true
HAL connection:
	ThermalHAL 2.0 connected: yes
Current temperatures from HAL:
	Temperature{mValue=31.7, mType=0, mName=cpu0, mStatus=0}
	Temperature{mValue=0.0, mType=1, mName=gpu0, mStatus=0}
	Temperature{mValue=NaN, mType=9, mName=npu0, mStatus=0}
	Temperature{mValue=33.25, mType=3, mName=skin, mStatus=0}
	Temperature{mValue=-2.5, mType=2, mName=battery, mStatus=0}
Current cooling devices from HAL:
	CoolingDevice{mValue=3, mType=2, mName=thermal-cpufreq-0}
	CoolingDevice{mValue=0, mType=3, mName=gpu}
Temperature static thresholds from HAL:
	TemperatureThreshold{mType=3, mName=skin, mHotThrottlingThresholds=[NaN, 39.0, 41.0]}
"""
BATTERY = """Current Battery Service state:
  AC powered: false
  USB powered: true
  Wireless powered: false
  Max charging current: 500000
  level: 84
  scale: 100
  voltage: 4213
  temperature: 301
  technology: Li-ion
"""
CPU = """/sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq:1803000
/sys/devices/system/cpu/cpu10/cpufreq/scaling_max_freq:2850000
/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq:900000
/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor:schedutil
grep: /sys/devices/system/cpu/cpu1/cpufreq/scaling_max_freq: Permission denied
"""


def test_temperatures_are_those_of_the_hal_and_no_thresholds() -> None:
    assert thermal_temperatures(INDENTED) == {
        "cpu0": Temperature(celsius=31.7, kind=0),
        "skin": Temperature(celsius=33.25, kind=3),
        "battery": Temperature(celsius=-2.5, kind=2),
    }


def test_indentation_means_nothing() -> None:
    flat = "\n".join(line.strip() for line in INDENTED.splitlines())
    assert thermal_temperatures(flat) == thermal_temperatures(INDENTED)
    assert cooling_devices(flat) == {"thermal-cpufreq-0": 3, "gpu": 0}


def test_cached_temperatures_stand_in_where_the_hal_is_silent() -> None:
    text = "Cached temperatures:\n Temperature{mValue=30.5, mType=0, mName=cpu0, mStatus=0}\n"
    assert thermal_temperatures(text)["cpu0"].celsius == 30.5


def test_a_faked_status_is_seen() -> None:
    assert not parse_state({"thermal": INDENTED}).overridden
    faked = INDENTED.replace("Override: false", "Override: true")
    assert parse_state({"thermal": faked}).overridden


def test_kernel_zones_stand_in_where_android_tells_nothing() -> None:
    folder = "/sys/class/thermal/thermal_zone"
    text = f"{folder}0/type:cpu-0-0\n{folder}0/temp:31700\n{folder}1/type:pm\n{folder}1/temp:0\n"
    state = parse_state({"thermal": "Can't find service: thermalservice", "zones": text})
    assert state.thermal_status is None
    assert state.temperatures == {"cpu-0-0-0": Temperature(celsius=31.7, kind=None)}
    assert zones("cat: denied") == {}


def test_the_battery_is_read() -> None:
    wanted = Battery(level=84, celsius=30.1, millivolt=4213, powered=True, faked=False)
    assert parse_battery(BATTERY) == wanted
    stopped = "  (UPDATES STOPPED -- use 'reset' to restart)\n"
    faked = parse_battery(BATTERY + stopped)
    assert faked is not None
    assert faked.faked
    assert parse_battery("Can't find service: battery") is None


def test_cores_are_numbered_and_refusals_skipped() -> None:
    values = cpu_values(CPU)
    assert values["scaling_max_freq"] == {0: "1803000", 10: "2850000"}
    state = parse_state({"cpu": CPU, "load": "1.25 0.8 0.4 2/900 1234"})
    assert (state.cap_khz[10], state.now_khz[0], state.governor[0]) == (
        2850000,
        900000,
        "schedutil",
    )
    assert state.load == 1.25


def test_the_reference_is_the_skin_else_the_battery() -> None:
    assert parse_state({"thermal": INDENTED, "battery": BATTERY}).reference_celsius == 33.25
    assert parse_state({"battery": BATTERY}).reference_celsius == 30.1
    assert parse_state({}).reference_celsius is None


def test_nothing_known_is_stored_as_null_never_as_zero() -> None:
    stored = parse_state({}).document()
    assert stored["thermal_status"] is None
    assert stored["battery"] is None
    assert stored["loadavg"] is None
    assert stored["temperatures"] == {}
