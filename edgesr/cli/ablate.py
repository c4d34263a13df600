"""``edgesr ablate``: what each switch of training gives at equal budget."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from edgesr.errors import ConfigError, UsageError
from edgesr.train.config import TrainConfig

if TYPE_CHECKING:
    from collections.abc import Mapping

_DEFAULTS = TrainConfig()


def ablate(  # noqa: PLR0913 - one parameter a flag
    *,
    output: Path,
    recipe: str | None = None,  # noqa: ARG001 - train_config_files reads it
    config: Path | None = None,  # noqa: ARG001 - likewise
    seeds: Annotated[tuple[int, ...], Parameter(consume_multiple=True, negative="")] = (0,),
    json: Annotated[bool, Parameter(negative="")] = False,
    settings: Annotated[TrainConfig, Parameter(name="*")] = _DEFAULTS,
) -> None:
    """Train with all switches off and with each of them, and write what they give.

    Switches are turned on by the command itself; weights and final steps that the settings give
    are taken. Rows with a teacher need --teacher. A command that was stopped goes on when it is
    called again. `make zoo-table` puts the table into the docs.

    Args:
        output: results (JSON), such as benchmarks/results/ablation_edge_s_x3.json.
        recipe: named settings, as in edgesr train.
        config: TOML file with settings.
        seeds: one run of every row for each.
        json: print the JSON document instead of a table.
        settings: everything that decides a run.
    """
    from edgesr.bench.environment import environment
    from edgesr.bench.zoo_page import ablation_table
    from edgesr.cli.console import out, say
    from edgesr.files import write_json
    from edgesr.train.ablation import ablate as measure
    from edgesr.train.ablation import new_document, rows_of
    from edgesr.train.image_teacher import load_image_teacher
    from edgesr.train.sources import training_images

    if not seeds or len(set(seeds)) < len(seeds):
        raise UsageError(f"--seeds {list(seeds)}: want one or more that differ")
    rows = rows_of(settings)
    teacher = load_image_teacher(settings)
    images = training_images(settings)
    new = {**new_document(settings, images, teacher), "environment": environment()}
    document = _begun(output, new)
    say(f"{images.description}\n{len(rows)} rows of {settings.steps} steps, {len(seeds)} seeds")
    if teacher is None:
        say("no --teacher was given: rows with a teacher are left out")

    def keep(content: dict[str, Any]) -> None:
        write_json(output, content)
        last = content["results"]
        say(f"{len(last)} of {len(rows) * len(seeds)} runs done")

    document = measure(settings, document, seeds=seeds, images=images, teacher=teacher, keep=keep)
    if json:
        out.print_json(data=document)
        return
    out.print(ablation_table(document), markup=False, soft_wrap=True)


def _begun(output: Path, new: "Mapping[str, Any]") -> "dict[str, Any]":
    """Return the document at ``output`` where it is of the same ablation, or the new one."""
    from edgesr.bench.results import read_document
    from edgesr.train.ablation import SCHEMA

    if not output.exists():
        return dict(new)
    found = read_document(output, {SCHEMA})
    for key in ("settings", "data", "teacher"):
        if found.get(key) != new[key]:
            raise ConfigError(
                f"{output}: holds an ablation with other {key}; choose another --output or "
                "remove it"
            )
    return found
