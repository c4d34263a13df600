"""What ``edgesr device bench`` does: flags to jobs, jobs to files, files to an exit code."""

import platform
import re
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edgesr.android.adb import Phone, adb_version, find_adb
from edgesr.android.backends import parse_backends, parse_cpus
from edgesr.android.campaign import first_error, run_jobs
from edgesr.android.devices import choose, list_devices
from edgesr.android.document import read_result, without_serials
from edgesr.android.errors import ERROR_CODES, DelegateError, DeviceError, NotValidError
from edgesr.android.facts import inspect_phone
from edgesr.android.heat import Gate
from edgesr.android.host import measure_host
from edgesr.android.identity import device_hash
from edgesr.android.model import ModelFile, check_signature, read_model_file
from edgesr.android.report import comma_separated
from edgesr.android.request import Case, Settings, make_cases, make_launches
from edgesr.android.runners import open_runner
from edgesr.android.session import Job
from edgesr.cli import device_tables
from edgesr.cli.console import out, say
from edgesr.cli.shapes import parse_shape
from edgesr.errors import UsageError
from edgesr.files import write_text

_MOST_THREADS = 1024


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What to measure and how; the flags of the command of the same names."""

    models: tuple[Path, ...]
    backend: str
    threads: str
    cpus: str
    shape: str | None
    signature: str | None
    runs: int
    min_secs: float
    warmup: int
    launches: int
    sustained: str | None
    cooldown: str
    max_wait: float
    require_full: bool
    memory: bool
    op_profile: bool
    prepare: bool
    keep: bool
    timeout: float
    runner_flags: tuple[str, ...]
    delegate_options: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Where:
    """Where to measure and to keep; not part of what a resumed run takes from its result."""

    adb: Path | None
    serials: tuple[str, ...]
    every: bool
    host: bool
    runner: Path | None
    libraries: tuple[Path, ...]
    delegates: tuple[Path, ...]
    output: Path | None
    csv: Path | None
    resume: Path | None
    command: tuple[str, ...]


def run(asked: Asked, where: Where, *, dry_run: bool, strict: bool, json: bool) -> None:
    """Measure, write, show, and raise what the exit code has to tell.

    Raises:
        EdgesrError: a flag makes no sense, a phone cannot be used, or a launch failed.
    """
    earlier = None if where.resume is None else read_result(where.resume)
    if earlier is not None:
        if asked.models:
            raise UsageError("--resume: takes the models from its result; leave them out")
        asked = _asked_before(earlier)
    cases = _cases(asked)
    settings = _settings(asked)
    if dry_run:
        _show_plan(cases, settings, json=json)
        return
    if where.host:
        found: list[dict[str, Any] | DeviceError] = [_on_host(cases, settings, asked, where)]
    else:
        found = _on_phones(cases, settings, asked, where, earlier)
    documents = [one for one in found if isinstance(one, dict)]
    errors = [one for one in found if isinstance(one, DeviceError)]
    if not documents:
        raise errors[0]
    if where.csv is not None:
        write_text(where.csv, comma_separated(documents))
        say(f"wrote {where.csv}")
    if json:
        out.print_json(data=documents[0] if len(documents) == 1 else documents)
    else:
        for document in documents:
            device_tables.show_result(document)
    if errors:  # one of several phones: the results of the others are there
        raise errors[0]
    _raise(documents, settings, strict=strict)


def _cases(asked: Asked) -> tuple[Case, ...]:
    if not asked.models:
        raise UsageError("bench: want one model or more; see `edgesr models`")
    shape = None if asked.shape is None else parse_shape(asked.shape)
    models = [_model(path, shape) for path in asked.models]
    for model in models:
        check_signature(model, asked.signature)
    backends = parse_backends(asked.backend)
    if not backends:
        raise UsageError("--backend: names none; want a list such as cpu,gpu")
    return make_cases(_distinct(models), backends, _threads(asked.threads))


def _model(path: Path, shape: tuple[int, int] | None) -> ModelFile:
    from edgesr.zoo.find import find_entry

    entry = find_entry(path)
    file = path if entry is None else entry.intact(entry.tflite)
    return read_model_file(file, shape=shape)


def _distinct(models: list[ModelFile]) -> list[ModelFile]:
    """Name files of one name apart by their place on the command line."""
    names = [model.name for model in models]
    return [
        replace(model, name=f"{model.name}#{place}") if names.count(model.name) > 1 else model
        for place, model in enumerate(models, 1)
    ]


def _threads(text: str) -> tuple[int, ...]:
    words = [word.strip() for word in text.split(",")]
    counts = [int(word) for word in words if word.isdecimal()]
    if len(counts) != len(words) or not all(0 < count <= _MOST_THREADS for count in counts):
        raise UsageError(f"--threads {text!r}: want numbers such as 1,4")
    return tuple(dict.fromkeys(counts))


def _settings(asked: Asked) -> Settings:
    for option in asked.delegate_options:
        if ":" not in option or ";" in option:
            raise UsageError(f"--delegate-option {option!r}: want KEY:VALUE, one a flag")
    return Settings(
        runs=asked.runs,
        min_secs=asked.min_secs,
        warmup=asked.warmup,
        launches=asked.launches,
        sustained_s=0.0 if asked.sustained is None else _seconds(asked.sustained),
        gate=Gate(battery_celsius=_celsius(asked.cooldown), max_wait_s=asked.max_wait),
        require_full=asked.require_full,
        memory=asked.memory,
        profile=asked.op_profile,
        timeout_s=asked.timeout,
        signature=asked.signature,
        delegate_options=asked.delegate_options,
        runner_flags=asked.runner_flags,
        prepare=asked.prepare,
        keep=asked.keep,
    )


def _seconds(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(s|min)?", text)
    if match is None or float(match[1]) <= 0:
        raise UsageError(f"--sustained {text!r}: want a time such as 120s or 5min")
    return float(match[1]) * (60 if match[2] == "min" else 1)


def _celsius(text: str) -> float | None:
    if text == "off":
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)C?", text)
    if match is None:
        raise UsageError(f"--cooldown {text!r}: want a temperature such as 37C, or off")
    return float(match[1])


def _on_phones(
    cases: tuple[Case, ...],
    settings: Settings,
    asked: Asked,
    where: Where,
    earlier: dict[str, Any] | None,
) -> list[dict[str, Any] | DeviceError]:
    program = find_adb(where.adb)
    host = _host() | {"adb": adb_version(program)}
    listed = list_devices(program)
    chosen = choose(listed, serials=where.serials, every=where.every)
    for one in listed:
        if where.every and one not in chosen:
            say(f"left out {one.serial}: {one.state}")
    if earlier is not None and len(chosen) > 1:
        raise UsageError("--resume: goes on with one phone; name it with -s")
    runner = None if where.runner is None else open_runner(where.runner, where.libraries)
    output = where.resume or where.output or _output()
    command = without_serials(where.command, [one.serial for one in listed])
    jobs = []
    for one in chosen:
        phone = Phone(adb=program, serial=one.serial)
        jobs.append(
            Job(
                phone=phone,
                cases=cases,
                settings=_pinned(settings, asked.cpus, phone),
                output=output if len(chosen) == 1 else _own(output, phone),
                runner=runner,
                extra=where.delegates,
                host=host,
                command=command,
                request=_request(asked),
                earlier=earlier,
                say=say,
            )
        )
    found = run_jobs(jobs)
    for job, result in zip(jobs, found, strict=True):
        if isinstance(result, dict):
            say(f"wrote {job.output}")
        elif len(found) > 1:
            say(f"{job.phone.serial}: {result}")
    return found


def _on_host(
    cases: tuple[Case, ...], settings: Settings, asked: Asked, where: Where
) -> dict[str, Any]:
    from edgesr.bench.environment import environment

    if where.serials or where.every or where.runner or where.resume:
        raise UsageError("--target host: measures here; leave out -s, --all, --runner, --resume")
    output = where.output or _output()
    document = measure_host(
        cases,
        settings,
        environment=environment(),
        output=output,
        command=where.command,
        request=_request(asked),
        say=say,
    )
    say(f"wrote {output}")
    return document


def _pinned(settings: Settings, cpus: str, phone: Phone) -> Settings:
    if cpus == "all":
        return settings
    clusters = tuple(one.cpus for one in inspect_phone(phone).facts.clusters)
    return replace(settings, cpus=parse_cpus(cpus, clusters))


def _request(asked: Asked) -> dict[str, Any]:
    found = asdict(asked)
    found["models"] = [str(path) for path in asked.models]
    return {key: list(value) if isinstance(value, tuple) else value for key, value in found.items()}


def _asked_before(document: dict[str, Any]) -> Asked:
    found = dict(document["request"])
    found["models"] = tuple(map(Path, found["models"]))
    for name in ("runner_flags", "delegate_options"):
        found[name] = tuple(found[name])
    try:
        return Asked(**found)
    except TypeError as error:
        raise UsageError(
            f"--resume: the result was made by another version of edgesr ({error}); measure anew"
        ) from error


def _output() -> Path:
    return Path(f"device-{datetime.now(UTC):%Y%m%d-%H%M%S}.json")


def _own(output: Path, phone: Phone) -> Path:
    """Return the file of one phone of several."""
    found = inspect_phone(phone)
    return output.with_stem(f"{output.stem}-{device_hash(found.serial or phone.serial)[:6]}")


def _host() -> dict[str, Any]:
    return {"os": f"{platform.system()} {platform.machine()}", "python": platform.python_version()}


def _show_plan(cases: tuple[Case, ...], settings: Settings, *, json: bool) -> None:
    plan = [
        {"case": one.case.id, "purpose": one.purpose, "launch": one.number}
        for one in make_launches(cases, settings)
    ]
    if json:
        out.print_json(data={"schema": "edgesr/device-plan/1", "launches": plan})
        return
    for place, row in enumerate(plan, 1):
        out.print(
            f"{place:3} {row['case']}, {row['purpose']}, launch {row['launch']}", markup=False
        )


def _raise(documents: list[dict[str, Any]], settings: Settings, *, strict: bool) -> None:
    """Raise the first of: a failed launch, a delegate that did not do, a number that is not valid.

    Raises:
        DeviceError: of the class that the exit code belongs to.
    """
    for document in documents:
        error = first_error(document)
        if error is not None:
            raise ERROR_CODES.get(error["code"], DeviceError)(error["message"])
    cases = [case for document in documents for case in document["cases"]]
    for case in cases:
        summary = case["summary"]
        partial = case["backend"]["kind"] != "cpu" and not _full(case)
        if partial and settings.require_full:
            raise DelegateError(
                f"{case['id']}: ran on {summary['ran_on']}, want all on the accelerator: "
                f"{'; '.join(summary['reasons'][:2])}"
            )
        if partial:
            say(f"warning: {case['id']}: ran on {summary['ran_on']}: {summary['verdict']}")
    for case in cases:
        if strict and not case["summary"]["valid"]:
            raise NotValidError(
                f"{case['id']}: not valid ({'; '.join(case['summary']['reasons'][:3])}); let the "
                "phone cool, or choose another back end"
            )


def _full(case: dict[str, Any]) -> bool:
    return all(
        one["delegation"]["status"] == "full"
        for one in case["launches"]
        if one["purpose"] == "time" and one["latency"] is not None
    )
