"""Join results of several commands into what a report shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

from edgesr.bench.results import read_document, timings_of
from edgesr.errors import DataError

_PROOFS = ("edgesr/card/1", "edgesr/export/1")
_EVALUATIONS = ("edgesr/eval/1", "edgesr/evaluation/1", "edgesr/bench/1")


@dataclass(frozen=True, kw_only=True)
class ImageScore:
    """One image under one protocol: PSNR in dB (None where images are equal) and SSIM."""

    name: str
    psnr: float | None
    ssim: float | None
    bicubic: float | None


@dataclass(kw_only=True)
class Model:
    """Everything that the results say about one model.

    Attributes:
        name: as the results call it.
        file: path; None where no result names it.
        bytes: size of the file.
        scale: upscaling factor.
        images: protocol -> images.
        mean: protocol -> ``(psnr, ssim)``.
        bicubic: protocol -> PSNR of bicubic interpolation on the same images.
        colour_bias: mean of SR minus HR for red, green and blue in grey levels.
        timings: entries of ``bench`` documents.
        export: an ``export`` document.
        card: the card of a shipped network.
        label: its name with as few folders as keep it apart from the others.
        macs: multiply-accumulates of one inference.
        params: parameters.
    """

    name: str
    file: str | None = None
    bytes: int | None = None
    scale: int | None = None
    images: dict[str, tuple[ImageScore, ...]] = field(default_factory=dict)
    mean: dict[str, tuple[float | None, float | None]] = field(default_factory=dict)
    bicubic: dict[str, float | None] = field(default_factory=dict)
    colour_bias: tuple[float, ...] = ()
    timings: list[dict[str, Any]] = field(default_factory=list)
    export: dict[str, Any] | None = None
    card: dict[str, Any] | None = None
    label: str = ""
    macs: float | None = None
    params: int | None = None

    @property
    def latency_ms(self) -> float | None:
        """Median of the first timing."""
        return self.timings[0]["median_ms"] if self.timings else None

    def psnr(self, protocol: str) -> float | None:
        """Return the mean PSNR under ``protocol``."""
        return self.mean.get(protocol, (None, None))[0]


@dataclass(frozen=True, kw_only=True)
class ReportData:
    """What a report shows.

    Attributes:
        models: in the order of the results.
        protocols: those that a result has, the first one leading.
        baselines: published rows.
        datasets: descriptions of the images.
        shapes: input sizes that times and counts stand for.
        environments: distinct ones, with the file they come from.
        failures: contender and reason.
        notes: what weakens the numbers.
        sources: files and their schemas.
        comparable: quality was measured on the images, and with the protocol, that the baselines
            stand for.
    """

    models: tuple[Model, ...]
    protocols: tuple[str, ...]
    baselines: tuple[dict[str, Any], ...]
    datasets: tuple[str, ...]
    shapes: tuple[str, ...]
    environments: tuple[tuple[str, dict[str, Any]], ...]
    failures: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    sources: tuple[tuple[str, str], ...]
    comparable: bool = False

    @property
    def protocol(self) -> str:
        """The protocol that plots and tables lead with."""
        return self.protocols[0] if self.protocols else ""


def collect(
    paths: Sequence[Path],
    *,
    protocol: str | None = None,
    baselines: Sequence[dict[str, Any]] = (),
) -> ReportData:
    """Read results and join what belongs to one model: equal name, equal file or equal content.

    Args:
        paths: JSON results of ``bench``, ``eval``, ``export`` and ``cost``, and cards.
        protocol: to lead with; None takes the first found.
        baselines: published rows to add to those in the results.

    Raises:
        DataError: a file is damaged or of a kind that a report has no place for, a result has no
            images, or none has ``protocol``.
    """
    gathered = _Gathered(baselines=list(baselines))
    documents = [(path, read_document(path)) for path in paths]
    for path, document in sorted(documents, key=lambda pair: pair[1]["schema"] in _PROOFS):
        gathered.add(path, document)
    return gathered.finish([(str(p), d["schema"]) for p, d in documents], protocol)


@dataclass(kw_only=True)
class _Gathered:
    baselines: list[dict[str, Any]]
    comparable: bool = False
    models: dict[str, Model] = field(default_factory=dict)
    lists: dict[str, list[Any]] = field(
        default_factory=lambda: {
            key: [] for key in ("datasets", "shapes", "environments", "failures", "notes")
        }
    )

    def add(self, path: Path, document: dict[str, Any]) -> None:
        schema = document["schema"]
        try:
            if schema == "edgesr/export/1":
                self._export(path, document)
            elif schema == "edgesr/card/1":
                self._card(path, document)
            elif schema.startswith("edgesr/cost/"):
                self._cost(document)
            elif schema in _EVALUATIONS:
                self._measured(path, document)
            else:
                raise DataError(
                    f"{path}: is {schema}, which a report has no place for; want results of bench, "
                    "eval, export or cost, or a card"
                )
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise DataError(f"{path}: is damaged ({error!r}); measure again") from error
        facts = document.get("environment")
        if isinstance(facts, dict) and facts not in [
            known for _, known in self._of("environments")
        ]:
            self._of("environments").append((str(path), facts))

    def finish(self, sources: list[tuple[str, str]], protocol: str | None) -> ReportData:
        protocols = list(dict.fromkeys(key for m in self.models.values() for key in m.mean))
        if protocol is not None:
            if protocol not in protocols:
                raise DataError(
                    f"no result has protocol {protocol!r}; they have "
                    f"{', '.join(protocols) or 'no quality at all'}"
                )
            protocols = [protocol, *(key for key in protocols if key != protocol)]
        _label(list(self.models.values()))
        return ReportData(
            comparable=self.comparable,
            models=tuple(self.models.values()),
            protocols=tuple(protocols),
            baselines=tuple({(r["name"], r["device"]): r for r in self.baselines}.values()),
            datasets=tuple(dict.fromkeys(self._of("datasets"))),
            shapes=tuple(dict.fromkeys(self._of("shapes"))),
            environments=tuple(self._of("environments")),
            failures=tuple(dict.fromkeys(self._of("failures"))),
            notes=tuple(dict.fromkeys(self._of("notes"))),
            sources=tuple(sources),
        )

    def _of(self, key: str) -> list[Any]:
        return self.lists[key]

    def _model(self, name: str, *, file: str | None = None, sha256: str | None = None) -> Model:
        for model in self.models.values():
            if sha256 and any(timing.get("sha256") == sha256 for timing in model.timings):
                return model
            if name == model.name or (file and file == model.file):
                return model
        return self.models.setdefault(name, Model(name=name, file=file))

    def _measured(self, path: Path, document: dict[str, Any]) -> None:
        for evaluation in document.get("evaluations", [document] if "upscaler" in document else []):
            self._evaluation(path, evaluation)
        if document["schema"] != "edgesr/bench/1":
            return
        timings_of(document, path)
        if document.get("shape"):
            self._of("shapes").append(document["shape"])
        for timing in document["timings"]:
            model = self._model(timing["name"], file=timing.get("file"))
            model.timings.append(timing)
            model.file = model.file or timing.get("file")
            model.bytes = model.bytes or timing.get("bytes")
            self._count(model, timing.get("cost") or {})
        self._of("failures").extend(
            (str(one["name"]), str(one["reason"])) for one in document.get("failures", [])
        )
        self._of("notes").extend(map(str, document.get("notes", [])))
        self.comparable |= bool((document.get("suite") or {}).get("comparable"))
        self.baselines += [row for row in document.get("placement", []) if not row["ours"]]

    def _evaluation(self, path: Path, evaluation: Mapping[str, Any]) -> None:
        name = str(evaluation["upscaler"])
        if not evaluation["images"]:
            raise DataError(f"{path}: {name} was measured on no images; measure again")
        model = self._model(name, file=name if PurePath(name).suffix else None)
        model.scale = int(evaluation["scale"])
        model.colour_bias = tuple(evaluation["colour_bias"])
        self._of("datasets").append(str(evaluation["dataset"]))
        for protocol, score in evaluation["mean"].items():
            model.mean[protocol] = (score["psnr"], score["ssim"])
            model.bicubic[protocol] = evaluation["bicubic"][protocol]["psnr"]
            model.images[protocol] = tuple(
                ImageScore(
                    name=str(image["name"]),
                    psnr=image["scores"][protocol]["psnr"],
                    ssim=image["scores"][protocol]["ssim"],
                    bicubic=image["bicubic"][protocol]["psnr"],
                )
                for image in evaluation["images"]
            )

    def _export(self, path: Path, document: dict[str, Any]) -> None:
        beside = str(path.with_name(document["file"]))
        model = self._model(beside, file=beside, sha256=document["sha256"])
        model.export = document
        model.bytes = model.bytes or int(document["bytes"])
        model.scale = model.scale or int(document["scale"])

    def _card(self, path: Path, document: dict[str, Any]) -> None:
        name, facts = next(
            (name, facts) for name, facts in document["files"].items() if name.endswith(".tflite")
        )
        beside = str(path.with_name(name))
        model = self._model(beside, file=beside, sha256=facts["sha256"])
        model.card = {**document, "sha256": facts["sha256"], "file": name}
        model.bytes = model.bytes or int(facts["bytes"])
        model.scale = model.scale or int(document["scale"])

    def _cost(self, document: dict[str, Any]) -> None:
        for entry in document.get("models", [document]):
            name = str(entry["name"])
            ends = [m for m in self.models.values() if PurePath(m.file or m.name).name == name]
            self._count(ends[0] if len(ends) == 1 else self._model(name), entry)
            if entry.get("shape"):
                height, width = entry["shape"]
                self._of("shapes").append(f"{height}x{width}")

    def _count(self, model: Model, cost: Mapping[str, Any]) -> None:
        model.macs = float(cost["macs"]) if "macs" in cost else model.macs
        model.params = int(cost["params"]) if "params" in cost else model.params


def _label(models: Sequence[Model]) -> None:
    """Name every model by the last parts of its path that no other one ends with."""
    parts = [PurePath(model.file or model.name).parts for model in models]
    for model, own in zip(models, parts, strict=True):
        for count in range(1, len(own) + 1):
            model.label = "/".join(own[-count:]).replace("//", "/")
            if sum(other[-count:] == own[-count:] for other in parts) == 1:
                break
