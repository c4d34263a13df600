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
    output: Path | None = None,
    recipe: str | None = None,  # noqa: ARG001 - train_config_files reads it
    config: Path | None = None,  # noqa: ARG001 - likewise
    seeds: Annotated[tuple[int, ...], Parameter(consume_multiple=True, negative="")] = (0,),
    only: Annotated[tuple[str, ...], Parameter(consume_multiple=True, negative="")] = (),
    results: Annotated[tuple[Path, ...], Parameter(negative="")] = (),
    docs: Path | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
    settings: Annotated[TrainConfig, Parameter(name="*")] = _DEFAULTS,
) -> None:
    """Train with all switches off and with each of them, and write what they give.

    Switches are turned on by the command itself; weights and final steps that the settings give
    are taken. Rows with a teacher need --teacher. A command that was stopped goes on when it is
    called again, and so does one that asks for more rows or seeds. `make zoo-table` puts the table
    of a network of one pass into the docs, `make binary-table` and `make diffusion-table` those of
    denoisers.

    Args:
        output: results (JSON), such as benchmarks/results/ablation_edge_s_x3.json.
        recipe: named settings, as in edgesr train.
        config: TOML file with settings.
        seeds: one run of every row for each.
        only: rows with one of these words in their names, such as DREAM, SPD or style; the base
            always. Default are all but the styles of other publications.
        results: files to read for --docs; may be repeated.
        docs: page (Markdown) whose ablations of denoisers are to be replaced by --results.
        json: print the JSON document instead of a table.
        settings: everything that decides a run.
    """
    if docs is not None:
        _write_page(results, docs)
        return
    if output is None or results:
        raise UsageError("name a file for the results with --output; --results are for --docs")

    from edgesr.bench.ablation_page import table_of
    from edgesr.bench.environment import environment
    from edgesr.cli.console import out, say
    from edgesr.files import write_json
    from edgesr.train.ablation import ablate as measure
    from edgesr.train.ablation import new_document, rows_of
    from edgesr.train.centre import check_centre, find_centre
    from edgesr.train.float_twin import load_twin
    from edgesr.train.image_teacher import load_image_teacher
    from edgesr.train.sources import training_images

    if not seeds or len(set(seeds)) < len(seeds):
        raise UsageError(f"--seeds {list(seeds)}: want one or more that differ")
    rows = rows_of(settings, only)
    check_centre(settings)
    centre = find_centre(settings)
    teacher = load_image_teacher(settings) or load_twin(settings, centre)
    images = training_images(settings)
    new = {**new_document(settings, images, teacher), "environment": environment()}
    document = _begun(output, new)
    say(f"{images.description}\n{len(rows)} rows of {settings.steps} steps, {len(seeds)} seeds")
    if teacher is None:
        say("no --teacher was given: rows with a teacher are left out")

    def keep(content: dict[str, Any]) -> None:
        write_json(output, content)
        asked = {(row.name, seed) for row in rows for seed in seeds}
        done = asked & {(one["row"], one["seed"]) for one in content["results"]}
        say(f"{len(done)} of {len(asked)} runs done")

    document = measure(
        settings,
        document,
        seeds=seeds,
        images=images,
        teacher=teacher,
        keep=keep,
        centre=centre,
        only=only,
    )
    if json:
        out.print_json(data=document)
        return
    out.print(table_of(document), markup=False, soft_wrap=True)


def _write_page(results: tuple[Path, ...], docs: Path) -> None:
    from edgesr.bench.ablation_page import MARKS, ablations_section
    from edgesr.bench.diffusion_page import with_section
    from edgesr.bench.results import read_document
    from edgesr.cli.console import say
    from edgesr.errors import DataError
    from edgesr.files import write_text
    from edgesr.train.ablation import SCHEMA

    section = ablations_section([read_document(path, {SCHEMA}) for path in results])
    try:
        page = docs.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise DataError(f"{docs}: cannot be read ({error}); name the page to write into") from error
    write_text(docs, with_section(page, section, str(docs), marks=MARKS))
    say(f"wrote {docs}")


def _begun(output: Path, new: "Mapping[str, Any]") -> "dict[str, Any]":
    """Return the document at ``output`` where it is of the same ablation, or the new one."""
    import tomllib

    from edgesr.bench.results import read_document
    from edgesr.export.card import public_settings
    from edgesr.train.ablation import SCHEMA
    from edgesr.train.folder import config_toml

    if not output.exists():
        return dict(new)
    found = read_document(output, {SCHEMA})
    defaults = public_settings(tomllib.loads(config_toml(_DEFAULTS)))
    defaults.pop("seed")
    found["settings"] = {**defaults, **found.get("settings", {})}  # keys that are newer than it
    for key in ("settings", "data", "teacher"):
        if found.get(key) != new[key]:
            raise ConfigError(
                f"{output}: holds an ablation with other {key}; choose another --output or "
                "remove it"
            )
    return found
