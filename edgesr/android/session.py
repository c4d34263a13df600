"""One phone's launches in order; the result is stored after each."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from edgesr.android.adb import Phone
from edgesr.android.commands import launch_script, runner_flags
from edgesr.android.document import launch_document, now, summarize
from edgesr.android.errors import (
    CrashError,
    DelegateError,
    DeviceError,
    LostDeviceError,
    NoDeviceError,
    OfflineError,
    RunTimeoutError,
)
from edgesr.android.heat import Waited, slowdown, throttled, wait_until_cool
from edgesr.android.install import Installed
from edgesr.android.launch import Outcome, read_launch
from edgesr.android.process import StoppedError
from edgesr.android.refusals import refused_operators, told
from edgesr.android.request import Case, Launch, Settings, make_launches
from edgesr.android.runners import Runner
from edgesr.android.sections import section_script, split_sections
from edgesr.android.state import State, parse_state, state_commands
from edgesr.files import write_json, write_text

_GRACE_S = 30.0
_GONE = (LostDeviceError, NoDeviceError, OfflineError)


@dataclass(frozen=True, kw_only=True)
class Job:
    """What to measure on one phone, and where to keep it.

    Attributes:
        phone: connected phone.
        cases: what to measure.
        settings: how.
        output: file of the result; raw logs go beside it.
        runner: program; None is the one that was set up.
        extra: delegate libraries to push.
        host: facts of this computer for the result.
        command: line that the user typed, without serial numbers.
        request: flags, for a later ``--resume``.
        earlier: result to go on with; None starts a new one.
        refused: says which operators of a case an accelerator does not take at an API level of
            Android; None where nothing is known.
        say: shows a message.
    """

    phone: Phone
    cases: Sequence[Case]
    settings: Settings
    output: Path
    runner: Runner | None = None
    extra: Sequence[Path] = ()
    host: Mapping[str, Any] = field(default_factory=dict)
    command: Sequence[str] = ()
    request: Mapping[str, Any] = field(default_factory=dict)
    earlier: Mapping[str, Any] | None = None
    refused: Callable[[Case, int | None], tuple[str, ...] | None] = refused_operators
    say: Callable[[str], None] = lambda _: None


@dataclass(kw_only=True)
class Session:
    """The launches on one phone; knows what it last saw of it.

    Attributes:
        job: what to do.
        installed: what lies on the phone.
        document: result, grows.
        start: state of the phone at the beginning.
        state: latest known.
        name: of the phone.
        broken: cases that failed, whose later launches are left out.
        ended: when the launch before ended, so that all of this computer's part is counted.
    """

    job: Job
    installed: Installed
    document: dict[str, Any]
    start: State
    state: State
    name: str
    broken: set[str] = field(default_factory=set)
    ended: float = field(default_factory=time.monotonic)

    def run(self) -> None:
        """Run what is not there yet; ends early when the phone is lost."""
        settings = self.job.settings
        plan = make_launches(self.job.cases, settings)
        for one in plan:
            self._argv(one)  # flags that no launch can have are found before the first
        done = {
            (case["id"], one["purpose"], one["number"])
            for case in self.document["cases"]
            for one in case["launches"]
            if one["latency"] is not None
        }
        todo = [one for one in plan if (one.case.id, one.purpose, one.number) not in done]
        self._store()
        for place, one in enumerate(todo, 1):
            if one.case.id in self.broken:
                continue
            self.job.say(f"{self.name}: {place} of {len(todo)}: {one.case.id} ({one.purpose})")
            for launch in self._repeated(one):
                waited = self._cool(launch)
                outcome = self._launch(launch, waited)
                if isinstance(outcome.error, _GONE):
                    self.document["reasons"].append("the phone was lost")
                    self._store()
                    return

    def _repeated(self, first: Launch) -> Iterator[Launch]:
        """Yield launches until the sustained time is over; one where none is asked for."""
        ends = time.monotonic() + self.job.settings.sustained_s
        number = first.number
        yield first
        while (
            first.purpose == "time" and first.case.id not in self.broken and time.monotonic() < ends
        ):
            number += 1
            yield replace(first, number=number)

    def _cool(self, launch: Launch) -> Waited:
        if self.job.settings.sustained_s and launch.number > 1:
            return Waited(state=self.state, seconds=0.0, hot=())
        return wait_until_cool(
            self.state,
            self.start,
            self.job.settings.gate,
            read=lambda: read_state(self.job.phone),
            pause=self._pause,
        )

    def _pause(self, seconds: float) -> None:
        if self.job.phone.stop.wait(seconds):
            raise StoppedError

    def _argv(self, launch: Launch) -> tuple[str, ...]:
        flags = runner_flags(
            launch,
            self.job.settings,
            self.installed.able,
            folder=self.installed.folder,
            model=self.installed.models[launch.case.model.sha256],
            library=self.installed.library,
        )
        return (self.installed.program, *flags)

    def _launch(self, launch: Launch, waited: Waited) -> Outcome:
        case, settings = launch.case, self.job.settings
        argv, start = self._argv(launch), now()
        outcome = self._start(argv, launch)
        ended = time.monotonic()
        host_s = ended - self.ended - waited.seconds
        self.ended = ended
        if isinstance(outcome.error, CrashError):
            outcome = replace(outcome, log=outcome.log + self._crash_log())
        signs = throttled(
            waited.state,
            outcome.after,
            cpus=settings.cpus,
            samples=outcome.latency.samples if outcome.latency else (),
        )
        reasons = [f"hot start: {reason}" for reason in waited.hot]
        reasons += [f"throttled: {reason}" for reason in signs]
        refused = self._refused(outcome, case)
        if isinstance(outcome.error, DelegateError) and told(refused):
            outcome = replace(outcome, error=DelegateError(f"{outcome.error}; {told(refused)}"))
        placed = _placement(outcome, case.backend.kind)
        reasons += [f"{one}; {told(refused)}" if told(refused) else one for one in placed]
        if outcome.error is not None:
            reasons.append(type(outcome.error).__name__)
            self.broken.add(case.id)
        entry = next(one for one in self.document["cases"] if one["id"] == case.id)
        stored = launch_document(
            outcome,
            purpose=launch.purpose,
            number=launch.number,
            start=start,
            argv=argv,
            before=waited.state,
            reasons=reasons,
            throttled=signs,
            waited_s=waited.seconds,
            host_s=host_s,
            log=self._keep_log(launch, outcome),
            refused=refused or (),
        )
        entry["launches"] = [
            one
            for one in entry["launches"]
            if (one["purpose"], one["number"]) != (launch.purpose, launch.number)
        ] + [stored]
        entry["summary"] = summarize(entry["launches"], kind=case.backend.kind)
        growth = slowdown(
            [
                one["latency"]["p50"] or 0.0
                for one in entry["launches"]
                if one["latency"] and one["purpose"] == "time"
            ]
        )
        if settings.sustained_s and growth is not None:
            self.job.say(f"{self.name}: {case.id}: last third at {growth:.0%} of the first")
        self.state = outcome.after
        self._store()
        return outcome

    def _refused(self, outcome: Outcome, case: Case) -> tuple[str, ...] | None:
        """Ask the linter about a graph that did not stay on its accelerator."""
        left = outcome.delegation.status in {"partial", "none"}
        if case.backend.kind == "cpu" or not left:
            return None
        return self.job.refused(case, self.document["device"]["api"])

    def _start(self, argv: Sequence[str], launch: Launch) -> Outcome:
        settings = self.job.settings
        who = f"{self.name}: {launch.case.id}"
        script = launch_script(
            argv, folder=self.installed.folder, timeout_s=settings.timeout_s, cpus=settings.cpus
        )
        try:
            answer = self.job.phone.shell(script, timeout=settings.timeout_s + _GRACE_S)
        except (LostDeviceError, NoDeviceError, OfflineError) as error:
            lost = LostDeviceError(
                f"{who}: the phone was lost in launch {launch.number} ({error}); go on with "
                f"--resume {self.job.output}"
            )
            return Outcome(exit_code=None, after=self.state, error=lost)
        except RunTimeoutError as error:
            return Outcome(exit_code=None, after=self.state, error=error)
        return read_launch(
            answer.text,
            flavour=self.installed.able.flavour,
            kind=launch.case.backend.kind,
            timeout_s=settings.timeout_s,
            who=who,
        )

    def _crash_log(self) -> str:
        with contextlib.suppress(DeviceError):
            return "\n--- logcat -b crash\n" + self.job.phone.shell("logcat -b crash -d -t 60").text
        return ""

    def _keep_log(self, launch: Launch, outcome: Outcome) -> str:
        stem = f"{launch.case.id}-{launch.purpose}-{launch.number}"
        safe = "".join(char if char.isalnum() or char in "-._" else "_" for char in stem)
        folder = self.job.output.with_suffix(".logs")
        write_text(folder / f"{safe}.txt", outcome.log + "\n")
        if outcome.profile:
            write_text(folder / f"{safe}.csv", outcome.profile + "\n")
        return f"{folder.name}/{safe}.txt"

    def _store(self) -> None:
        write_json(self.job.output, self.document)


def read_state(phone: Phone) -> State:
    """Read heat, power and clock rates of a phone.

    Raises:
        DeviceError: the phone was lost.
    """
    return parse_state(split_sections(phone.shell(section_script(state_commands())).text))


def _placement(outcome: Outcome, kind: str) -> list[str]:
    status = outcome.delegation.status
    if outcome.latency is None:
        return []
    if kind == "cpu":
        return ["ran on another unit than the CPU"] if status == "none" else []
    if status == "unknown":
        return ["the runner does not tell what ran the graph"]
    if status == "none":
        told = outcome.delegation.reason
        return ["ran on the CPU, not on the accelerator" + (f": {told}" if told else "")]
    return [f"only partly on the accelerator: {outcome.delegation.text()}"] * (status == "partial")
