"""What the user asked to be measured, and the cases that follow from it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from edgesr.android.backends import Backend
from edgesr.android.heat import Gate
from edgesr.android.model import ModelFile

Purpose = Literal["time", "memory", "profile"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How to measure.

    Attributes:
        runs: counted inferences of a launch, at least.
        min_secs: seconds of counted inferences, at least.
        warmup: uncounted inferences, at least.
        launches: of each case.
        sustained_s: measure under load for so many seconds instead; 0 is not.
        gate: when the phone is cool enough.
        require_full: the accelerator must run the whole graph.
        memory: one more launch for the highest memory.
        profile: one more launch for the times of operators.
        timeout_s: seconds a launch may take.
        signature: of the model to run.
        cpus: cores to use; none is all.
        delegate_options: ``key:value`` of an external delegate.
        runner_flags: given to the runner as they are.
        prepare: keep the screen on and the radio off meanwhile.
        keep: leave the files on the phone.
    """

    runs: int = 50
    min_secs: float = 3.0
    warmup: int = 10
    launches: int = 3
    sustained_s: float = 0.0
    gate: Gate = field(default_factory=Gate)
    require_full: bool = False
    memory: bool = False
    profile: bool = False
    timeout_s: float = 180.0
    signature: str | None = None
    cpus: tuple[int, ...] = ()
    delegate_options: tuple[str, ...] = ()
    runner_flags: tuple[str, ...] = ()
    prepare: bool = False
    keep: bool = False


@dataclass(frozen=True, kw_only=True)
class Case:
    """One model on one back end with one number of threads.

    Attributes:
        id: unique in a result, the same in every result of the same request.
        model: file.
        backend: accelerator.
        threads: CPU threads.
    """

    id: str
    model: ModelFile
    backend: Backend
    threads: int


@dataclass(frozen=True, kw_only=True)
class Launch:
    """One start of the runner.

    Attributes:
        case: what it measures.
        purpose: time, or one of the things that disturb it.
        number: 1 is the case's first with this purpose.
    """

    case: Case
    purpose: Purpose
    number: int


def make_cases(
    models: Sequence[ModelFile], backends: Sequence[Backend], threads: Sequence[int]
) -> tuple[Case, ...]:
    """Return every model on every back end with every number of threads.

    Threads are for the CPU; an accelerator gets the first number only.
    """
    return tuple(
        Case(
            id=f"{model.name} {backend.name} x{count}", model=model, backend=backend, threads=count
        )
        for model in models
        for backend in backends
        for count in (threads if backend.kind == "cpu" else threads[:1])
    )


def make_launches(cases: Sequence[Case], settings: Settings) -> tuple[Launch, ...]:
    """Return the launches in order: A B C, C B A, A B C, so that heat favours nobody.

    Launches for memory and operators come last, as they disturb times. A sustained measurement
    makes its launches itself, from one entry a case.
    """
    counted = 1 if settings.sustained_s else settings.launches
    planned: list[Launch] = []
    for number in range(1, counted + 1):
        turn = cases if number % 2 else list(reversed(cases))
        planned += [Launch(case=case, purpose="time", number=number) for case in turn]
    extra: list[Purpose] = []
    extra += ["memory"] if settings.memory else []
    extra += ["profile"] if settings.profile else []
    planned += [Launch(case=case, purpose=kind, number=1) for kind in extra for case in cases]
    return tuple(planned)
