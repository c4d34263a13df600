"""``edgesr device``: measure .tflite files on phones over adb."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter
from cyclopts.validators import Number

from edgesr.errors import GateError, UsageError

if TYPE_CHECKING:
    from edgesr.android.adb import Phone
    from edgesr.android.devices import Listed

device = App(name="device", help="Measure models on phones over adb.")

Flag = Annotated[bool, Parameter(negative="")]
Serials = Annotated[list[str] | None, Parameter(name=["--serial", "-s"], negative="")]
Paths = Annotated[list[Path] | None, Parameter(negative="")]
Texts = Annotated[list[str] | None, Parameter(negative="", allow_leading_hyphen=True)]
Output = Annotated[Path | None, Parameter(name=["--output", "-o"])]
Count = Annotated[int, Parameter(validator=Number(gte=1))]
Seconds = Annotated[float, Parameter(validator=Number(gt=0))]


@device.command(name="list")
def list_(*, adb: Path | None = None, json: Flag = False) -> None:
    """List the phones that adb sees, and what keeps the others from being used.

    Args:
        adb: adb program; default is $ADB, the PATH's, or that of edgesr[device].
        json: print one JSON document instead of a table.
    """
    from edgesr.android.adb import find_adb
    from edgesr.android.devices import list_devices
    from edgesr.cli import device_tables
    from edgesr.cli.console import out

    program = find_adb(adb)
    rows = [_listed_row(program, one) for one in list_devices(program)]
    if json:
        out.print_json(data={"schema": "edgesr/devices/1", "devices": rows})
    else:
        device_tables.show_list(rows)


@device.command
def info(*, serial: Serials = None, adb: Path | None = None, json: Flag = False) -> None:
    """Show what a phone is, how warm it is, and which runner would measure on it.

    Args:
        serial: phone; needed where several are connected.
        adb: adb program; default is $ADB, the PATH's, or that of edgesr[device].
        json: print one JSON document instead of tables; without serial numbers.
    """
    from edgesr.android.chips import chip_facts
    from edgesr.android.errors import RunnerError
    from edgesr.android.facts import inspect_phone
    from edgesr.android.identity import device_hash
    from edgesr.android.runners import find_runner
    from edgesr.cli import device_tables
    from edgesr.cli.console import out

    documents = []
    for phone in _phones(adb, serial):
        found = inspect_phone(phone)
        try:
            runner: dict[str, Any] | None = _runner_row(find_runner(found.facts.abis))
        except RunnerError:
            runner = None
        documents.append(
            {
                "hash": device_hash(found.serial or phone.serial),
                **found.facts.document(),
                "chip": chip_facts(found.soc_model, found.facts.platform),
                "free_kb": found.facts.free_kb,
                "memory_kb": found.facts.memory_kb,
                "state": found.state.document(),
                "runner": runner,
            }
        )
    if json:
        out.print_json(data={"schema": "edgesr/device-info/1", "devices": documents})
        return
    for document in documents:
        device_tables.show_info(document)


@device.command
def setup(  # noqa: PLR0913 - one parameter a flag
    *,
    runner: Path | None = None,
    url: str | None = None,
    lib: Paths = None,
    serial: Serials = None,
    adb: Path | None = None,
    json: Flag = False,
) -> None:
    """Keep a program that measures, for phones of its processor, and try it where one is ready.

    Args:
        runner: benchmark_model of TensorFlow Lite or LiteRT, or edgesr's own runner.
        url: fetch it from there instead.
        lib: shared library that it needs beside it, such as libLiteRt.so; may be repeated.
        serial: try it on this phone; default is the only one that is ready.
        adb: adb program.
        json: print one JSON document instead of lines.
    """
    import tempfile

    from edgesr.android.runners import fetch_runner, open_runner, store_runner, version_in
    from edgesr.cli.console import out, say

    if (runner is None) == (url is None):
        raise UsageError("setup: want one of --runner PATH and --url URL")
    with tempfile.TemporaryDirectory() as folder:
        if url is not None:
            runner = fetch_runner(url, Path(folder))
        if runner is None:
            raise UsageError("setup: want --runner PATH")
        version = version_in(url or str(runner))
        found = open_runner(runner, tuple(lib or ()), version)
        able = _try_runner(found, adb, serial, say=say)
        stored = store_runner(found)
    row = _runner_row(stored) | {"flavour": able}
    if json:
        out.print_json(data={"schema": "edgesr/device-setup/1", **row})
    else:
        for key, value in row.items():
            out.print(f"{key}: {'-' if value is None else value}", markup=False)


@device.command
def bench(  # noqa: PLR0913 - one parameter a flag
    *models: Path,
    serial: Serials = None,
    all_: Annotated[bool, Parameter(name="--all", negative="")] = False,
    target: Literal["phone", "host"] = "phone",
    backend: str = "cpu",
    threads: str = "1",
    cpus: str = "all",
    shape: str | None = None,
    signature: str | None = None,
    runs: Count = 50,
    min_secs: Annotated[float, Parameter(validator=Number(gte=0))] = 3.0,
    warmup: Annotated[int, Parameter(validator=Number(gte=0))] = 10,
    launches: Count = 3,
    sustained: str | None = None,
    cooldown: str = "37C",
    max_wait: Annotated[float, Parameter(validator=Number(gte=0))] = 600.0,
    require_full: Flag = False,
    strict: Flag = False,
    memory: Flag = False,
    op_profile: Flag = False,
    prepare: Flag = False,
    keep: Flag = False,
    timeout: Seconds = 180.0,
    runner: Path | None = None,
    runner_lib: Paths = None,
    runner_flag: Texts = None,
    delegate_lib: Paths = None,
    delegate_option: Texts = None,
    adb: Path | None = None,
    output: Output = None,
    csv: Path | None = None,
    resume: Path | None = None,
    dry_run: Flag = False,
    json: Flag = False,
) -> None:
    """Measure models on phones: interleaved launches, cool phones, and which unit ran the graph.

    Args:
        models: .tflite files or names of shipped networks; files that take every size need --shape.
        serial: phone; may be repeated.
        all_: every phone that is ready, at the same time.
        target: host measures the same cases with LiteRT on this computer.
        backend: list of cpu, cpu:builtin, gpu, nnapi, nnapi:NAME, npu, qnn, external:LIBRARY.so.
        threads: list of CPU threads, such as 1,4.
        cpus: big, little, all, or a mask such as f0 of the cores to use.
        shape: height x width of the input.
        signature: of the model to run; needed where it has several.
        runs: counted inferences of a launch, at least.
        min_secs: seconds of counted inferences, at least.
        warmup: uncounted inferences, at least.
        launches: starts of the runner for each case.
        sustained: measure under load for so long instead, such as 120s, without cooling between.
        cooldown: battery temperature to wait for before a launch, or off.
        max_wait: seconds of patience for that; then the launch is made and marked.
        require_full: fail where the accelerator does not run the whole graph.
        strict: fail where a number is not valid: throttled, hot, not on the accelerator.
        memory: one more launch for the highest memory.
        op_profile: one more launch for the times of operators, kept beside the logs.
        prepare: keep the screen on and the radio off meanwhile, and restore them.
        keep: leave the files on the phone; `edgesr device clean` removes them.
        timeout: seconds that a launch may take.
        runner: program that measures; default is the one of `edgesr device setup`.
        runner_lib: shared library that it needs; may be repeated.
        runner_flag: flag for it as it is, such as --nnapi_allow_fp16=true; may be repeated.
        delegate_lib: delegate library to push beside it; may be repeated.
        delegate_option: key:value for an external delegate; may be repeated.
        adb: adb program; default is $ADB, the PATH's, or that of edgesr[device].
        output: JSON result; raw logs go beside it. Default is a name with the time.
        csv: also write one line a launch.
        resume: result to go on with, under its own settings; models and flags come from it.
        dry_run: print the launches in order and measure nothing.
        json: print the JSON result instead of a table.
    """
    from edgesr.cli import device_bench

    asked = device_bench.Asked(
        models=models,
        backend=backend,
        threads=threads,
        cpus=cpus,
        shape=shape,
        signature=signature,
        runs=runs,
        min_secs=min_secs,
        warmup=warmup,
        launches=launches,
        sustained=sustained,
        cooldown=cooldown,
        max_wait=max_wait,
        require_full=require_full,
        memory=memory,
        op_profile=op_profile,
        prepare=prepare,
        keep=keep,
        timeout=timeout,
        runner_flags=tuple(runner_flag or ()),
        delegate_options=tuple(delegate_option or ()),
    )
    where = device_bench.Where(
        adb=adb,
        serials=tuple(serial or ()),
        every=all_,
        host=target == "host",
        runner=runner,
        libraries=tuple(runner_lib or ()),
        delegates=tuple(delegate_lib or ()),
        output=output,
        csv=csv,
        resume=resume,
        command=("edgesr", *sys.argv[1:]),
    )
    device_bench.run(asked, where, dry_run=dry_run, strict=strict, json=json)


@device.command
def compare(
    before: Path,
    after: Path,
    *,
    allow: Annotated[list[Literal["device", "thermal"]] | None, Parameter(negative="")] = None,
    fail_above: str | None = None,
    json: Flag = False,
) -> None:
    """Compare two results case by case; real and emulated ones are never mixed.

    Args:
        before: result that is the measure.
        after: result that is judged.
        allow: device compares different phones, thermal compares warm with cool ones.
        fail_above: fail where a case is slower by more than this, such as 5%, or may be and cannot
            be judged: not valid, or of fewer than three launches.
        json: print one JSON document instead of a table.
    """
    from edgesr.android.comparison import compare_results
    from edgesr.android.document import read_result
    from edgesr.cli import device_tables
    from edgesr.cli.console import out

    limit = None if fail_above is None else _percent(fail_above)
    found = compare_results(
        read_result(before),
        read_result(after),
        names=(str(before), str(after)),
        allow=frozenset(allow or ()),
    )
    if json:
        out.print_json(data=found.document())
    else:
        device_tables.show_comparison(found)
    if limit is None:
        return
    slower, undecided = found.slower(limit), found.undecided(limit)
    if slower:
        raise GateError(
            f"{after}: {len(slower)} of {len(found.changes)} cases are slower than {before} by "
            f"more than {fail_above}: {', '.join(slower)}"
        )
    if undecided:
        raise GateError(
            f"{after}: {len(undecided)} of {len(found.changes)} cases cannot be judged against "
            f"{before} ({', '.join(undecided)}); measure valid numbers, with 3 launches or more"
        )


@device.command
def report(
    *results: Path,
    html: Path | None = None,
    md: Path | None = None,
    csv: Path | None = None,
    title: str = "Measured on devices",
) -> None:
    """Join results into one page.

    Args:
        results: files of `edgesr device bench`.
        html: page to write.
        md: Markdown to write; with neither, it is printed.
        csv: one line a launch to write.
        title: of the page.
    """
    from edgesr.android.document import read_result
    from edgesr.android.report import comma_separated, html_page, markdown
    from edgesr.cli.console import out, say
    from edgesr.files import write_text

    if not results:
        raise UsageError("report: want one result or more of `edgesr device bench`")
    documents = [read_result(path) for path in results]
    written = {
        html: html_page(documents, title=title),
        md: markdown(documents, title=title),
        csv: comma_separated(documents),
    }
    for path, text in written.items():
        if path is not None:
            write_text(path, text)
            say(f"wrote {path}")
    if html is None and md is None and csv is None:
        out.print(markdown(documents, title=title), markup=False, soft_wrap=True)


@device.command
def validate(*results: Path) -> None:
    """Check results against the schema; without a result, print the schema.

    Args:
        results: files of `edgesr device bench`.
    """
    from edgesr.android.document import read_result, schema_text
    from edgesr.cli.console import out

    if not results:
        out.print(schema_text().strip(), markup=False, soft_wrap=True)
    for path in results:
        read_result(path)
        out.print(f"{path}: fits edgesr.bench/1", markup=False, soft_wrap=True)


@device.command
def clean(*, serial: Serials = None, adb: Path | None = None) -> None:
    """Remove everything that edgesr left on a phone.

    Args:
        serial: phone; needed where several are connected.
        adb: adb program.
    """
    from edgesr.android.facts import inspect_phone
    from edgesr.android.identity import device_hash, only_run
    from edgesr.android.install import clean as clean_phone
    from edgesr.cli.console import say

    for phone in _phones(adb, serial):
        found = inspect_phone(phone)
        name = found.facts.model or "phone"
        with only_run(device_hash(found.serial or phone.serial), name):
            clean_phone(phone)
        say(f"{name}: removed what edgesr had left")


def _phones(adb: Path | None, serials: list[str] | None) -> "list[Phone]":
    from edgesr.android.adb import Phone, find_adb
    from edgesr.android.devices import choose, list_devices

    program = find_adb(adb)
    chosen = choose(list_devices(program), serials=tuple(serials or ()))
    return [Phone(adb=program, serial=one.serial) for one in chosen]


def _listed_row(program: Path, listed: "Listed") -> dict[str, Any]:
    """Return a phone's row; the serial number is shown, as it names the phone for ``-s``."""
    from edgesr.android.adb import Phone
    from edgesr.android.devices import STATE_ADVICE
    from edgesr.android.errors import DeviceError
    from edgesr.android.facts import inspect_phone

    row: dict[str, Any] = {"serial": listed.serial, "state": listed.state}
    row["todo"] = None if listed.state == "device" else STATE_ADVICE.get(listed.state)
    names = ("manufacturer", "model", "soc", "android", "api", "abi", "emulated")
    facts: dict[str, Any] = {"model": listed.details.get("model", "").replace("_", " ") or None}
    if listed.state == "device":
        try:
            facts = inspect_phone(Phone(adb=program, serial=listed.serial)).facts.document()
        except DeviceError as error:
            row["todo"] = str(error)
    return row | {name: facts.get(name) for name in names}


def _runner_row(runner: Any) -> dict[str, Any]:
    return {
        "runner": str(runner.path),
        "sha256": runner.sha256,
        "version": runner.version,
        "libraries": [path.name for path in runner.libraries],
    }


def _try_runner(runner: Any, adb: Path | None, serials: list[str] | None, *, say: Any) -> Any:
    """Return the runner's flavour as the phone tells it; None where no phone is ready."""
    from edgesr.android.errors import NoAdbError, NoDeviceError, SeveralDevicesError
    from edgesr.android.facts import inspect_phone
    from edgesr.android.install import clean as clean_phone
    from edgesr.android.install import install, new_folder

    try:
        phone = _phones(adb, serials)[0]
    except (NoAdbError, NoDeviceError, SeveralDevicesError) as error:
        if serials:
            raise
        say(f"not tried on a phone: {error}")
        return None
    facts = inspect_phone(phone).facts
    folder = new_folder()
    try:
        return install(phone, runner, (), facts=facts, folder=folder).able.flavour
    finally:
        clean_phone(phone, folder)


def _percent(text: str) -> float:
    try:
        value = float(text.removesuffix("%")) / 100
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise UsageError(f"--fail-above {text!r}: want a percentage such as 5%")
    return value
