"""Rewrite what is safe to rewrite, one finding at a time, each proved before it is kept."""

from dataclasses import dataclass

from edgesr.lint.check import LintReport, lint
from edgesr.lint.edit import NotPossibleError
from edgesr.lint.findings import Finding
from edgesr.lint.proof import Proof, prove
from edgesr.lint.report import place
from edgesr.lint.rewrites import REWRITES, rewrite
from edgesr.lint.targets import Target

_MOST_STEPS = 200


@dataclass(frozen=True, kw_only=True)
class Step:
    """One rewrite that was tried.

    Attributes:
        code: of the finding.
        where: place in the file as it was then.
        rewrite: a key of ``REWRITES``.
        kept: whether it is in the new file.
        text: what the proof showed, or why it was not possible.
    """

    code: str
    where: str
    rewrite: str
    kept: bool
    text: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Fixed:
    """What ``fix`` made of a file.

    Attributes:
        content: the new file; the old one where nothing was kept.
        before: report on the old file.
        after: report on the new one.
        steps: in the order in which they were tried.
        proof: of the new file against the old one, None where nothing was kept.
    """

    content: bytes
    before: LintReport
    after: LintReport
    steps: tuple[Step, ...]
    proof: Proof | None


def fix(content: bytes, target: Target, *, name: str) -> Fixed:
    """Rewrite what the findings name, as far as LiteRT shows it to be bit-equal.

    Raises:
        CheckpointError: the file is no .tflite file, truncated or damaged.
        MissingDependencyError: the runtime that is installed brings no schema.
    """
    before = report = lint(content, target, name=name)
    new, steps, tried = content, list[Step](), set[tuple[str, ...]]()
    while len(steps) < _MOST_STEPS:
        finding = _next(report, tried)
        if finding is None:
            break
        tried.add(_key(finding))
        step, new = _try(new, report, finding)
        steps.append(step)
        if step.kept:
            report = lint(new, target, name=name)
    proof = prove(content, new) if any(one.kept for one in steps) else None
    if proof is not None and not proof.equal:
        new, report = content, before
    return Fixed(content=new, before=before, after=report, steps=tuple(steps), proof=proof)


def _next(report: LintReport, tried: set[tuple[str, ...]]) -> Finding | None:
    order = list(REWRITES)
    open_ones = [one for one in report.findings if one.fix and _key(one) not in tried]
    return min(open_ones, key=lambda one: order.index(one.fix), default=None)


def _key(finding: Finding) -> tuple[str, ...]:
    return (finding.code, str(finding.subgraph), *finding.tensors)


def _try(content: bytes, report: LintReport, finding: Finding) -> tuple[Step, bytes]:
    where = place(report, finding)
    try:
        new = rewrite(content, report.model.subgraphs[finding.subgraph], finding)
    except NotPossibleError as error:
        text = f"not possible: {error}"
        return _step(finding, where, text, kept=False), content
    proof = prove(content, new)
    text = proof_text(proof)
    return _step(finding, where, text, kept=proof.equal), new if proof.equal else content


def _step(finding: Finding, where: str, text: str, *, kept: bool) -> Step:
    return Step(code=finding.code, where=where, rewrite=finding.fix, kept=kept, text=text)


def proof_text(proof: Proof) -> str:
    """Return one sentence about a proof."""
    if not proof.equal:
        return f"not bit-equal, not written: {proof.reason or 'no kernels ran the file'}"
    rest = f" ({proof.reason})" if proof.reason else ""
    return (
        f"bit-equal: {proof.values:,} values of {proof.runs} runs on "
        f"{', '.join(proof.kernels)} kernels{rest}"
    )
