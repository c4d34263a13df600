"""Measure on several phones at once: each from its lock to the last clean-up."""

import contextlib
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from edgesr.android.adb import Phone
from edgesr.android.document import new_case, new_document
from edgesr.android.errors import DeviceError, LostDeviceError
from edgesr.android.facts import Inspection, inspect_phone
from edgesr.android.heat import refuse_faked
from edgesr.android.identity import device_hash, only_run
from edgesr.android.install import Installed, clean, install, new_folder
from edgesr.android.prepare import prepared
from edgesr.android.request import Case
from edgesr.android.runners import Runner, find_runner
from edgesr.android.session import Job, Session
from edgesr.errors import UsageError


def run_jobs(jobs: Sequence[Job]) -> list[dict[str, Any] | DeviceError]:
    """Measure on every phone at once, and on each one launch after the other.

    Returns:
        The result of each job; of one that got none, its error.

    Raises:
        KeyboardInterrupt: the user stopped it; the phones are clean and the results so far stored.
    """
    with ThreadPoolExecutor(max_workers=max(len(jobs), 1)) as pool:
        futures = [pool.submit(measure_phone, job) for job in jobs]
        try:
            found: list[dict[str, Any] | DeviceError] = []
            for future in futures:
                try:
                    found.append(future.result())
                except DeviceError as error:
                    found.append(error)
        except BaseException:
            for job in jobs:
                job.phone.stop.set()
            raise
        return found


def measure_phone(job: Job) -> dict[str, Any]:
    """Run all launches of a job; failures of launches are part of the result.

    Raises:
        DeviceError: the phone cannot be measured on at all.
        StoppedError: another thread stopped the job.
    """
    inspection = inspect_phone(job.phone)
    facts = inspection.facts
    name = facts.model or "phone"
    identity = device_hash(inspection.serial or job.phone.serial)
    with only_run(identity, name):
        refuse_faked(inspection.state)
        runner = job.runner or find_runner(facts.abis)
        models = [case.model for case in job.cases]
        folder = new_folder()
        try:
            installed = install(
                job.phone, runner, models, facts=facts, extra=job.extra, folder=folder
            )
            document = _document(job, inspection, identity, runner, installed)
            with prepared(job.phone, wanted=job.settings.prepare):
                Session(
                    job=job,
                    installed=installed,
                    document=document,
                    start=inspection.state,
                    state=inspection.state,
                    name=name,
                ).run()
        finally:
            _clean(job.phone, folder, keep=job.settings.keep)
    return document


def first_error(document: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the gravest error of a result's launches: a lost phone, else the first."""
    errors = [
        one["error"]
        for case in document["cases"]
        for one in case["launches"]
        if one["error"] is not None
    ]
    lost = [one for one in errors if one["code"] == LostDeviceError.exit_code]
    return next(iter(lost + errors), None)


def _document(
    job: Job, inspection: Inspection, identity: str, runner: Runner, installed: Installed
) -> dict[str, Any]:
    device = {"hash": identity, **inspection.facts.document()}
    program = {
        "kind": "edgesr" if installed.able.flavour == "native" else "benchmark_model",
        "flavour": installed.able.flavour,
        "experimental": installed.able.flavour == "native",
        "version": runner.version,
        "sha256": runner.sha256,
        "files": [dict(one) for one in installed.files],
    }
    document = new_document(
        command=job.command,
        request=job.request,
        host=job.host,
        device=device,
        runner=program,
        settings=job.settings,
    )
    earlier = {} if job.earlier is None else _earlier(job.earlier, document, job.cases)
    document["cases"] = [earlier.get(case.id) or new_case(case, job.settings) for case in job.cases]
    if job.earlier is not None:
        document["created"] = job.earlier["created"]
    return document


def _earlier(
    earlier: Mapping[str, Any], fresh: Mapping[str, Any], cases: Sequence[Case]
) -> dict[str, dict[str, Any]]:
    """Return the cases of an earlier result, after making sure that they go on here.

    Raises:
        UsageError: it is of another phone, Android, runner or model.
    """
    for part, names in (("device", ("hash", "fingerprint")), ("runner", ("sha256",))):
        for name in names:
            if earlier[part][name] != fresh[part][name]:
                raise UsageError(
                    f"--resume: {part} {name} is {fresh[part][name]}, want "
                    f"{earlier[part][name]} of the result; connect that phone, or measure anew"
                )
    hashes = {case.id: case.model.sha256 for case in cases}
    for case in earlier["cases"]:
        if hashes.get(case["id"]) != case["model"]["sha256"]:
            raise UsageError(
                f"--resume: {case['id']}: the file is another than that of the result; measure anew"
            )
    return {case["id"]: case for case in earlier["cases"]}


def _clean(phone: Phone, folder: str, *, keep: bool) -> None:
    """Clean up although the job was stopped; a lost phone stays as it is."""
    with contextlib.suppress(DeviceError):
        clean(replace(phone, stop=threading.Event()), folder, keep=keep)
