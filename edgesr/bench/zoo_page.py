"""``docs/zoo.md``: trained networks and what each switch of training gives, from results alone."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from edgesr.bench.baselines import Baseline
from edgesr.models.denoisers import DENOISERS

ABLATION_SCHEMA = "edgesr/ablation/1"
_PUBLISHED_SETS = ("Set5", "BSD100")
_PUBLISHED_PROTOCOL = "ntire-esr"
_PUBLISHED_SCALE = 3
_REFERENCE = "NCNet int8 model_none (uint8 IO)"

_TEXT = """# Trained networks

<!-- Written by `make zoo-table` from the cards in edgesr/zoo and from benchmarks/results; change \
the template in edgesr/bench/zoo_page.py, not this page. -->

`edgesr models` lists them, `edgesr upscale --model NAME` runs one. A card beside each says how it \
was trained and measured ([ncnet_x3](../edgesr/zoo/ncnet_x3.md)).

**PSNR** in dB, mean over the images of a set: float network / INT8 file, by protocol \
([measuring](measuring.md)). **CPU**: processor time of the INT8 file as a ratio to that of \
`ncnet_x3`, median and quartiles of paired repetitions in one run; *graph* is the time of the same \
graph with untrained weights ([decision 14](decisions/0014-the-edge-family.md)); a dash: not \
measured. **GMACs** to an output of 1920 x 1080.
"""

_PUBLISHED = """## Among published x3 files

PSNR of INT8 files in RGB, 3 pixels of border left out (`ntire-esr`), measured by us with the \
authors' files; ours in bold. NCNet was trained for 500,000 steps of 64 patches, ours for minutes \
to two hours on a CPU, as the cards say: none has converged, and the learning curves on the cards \
show how it rose.
"""

_PULL = """## Networks that do not ship

```sh
edgesr models pull NAME --from https://HOST/releases.json
edgesr upscale photo.png --model NAME
```

A release index lists networks with address, size and SHA-256 of every file. Its own address comes \
from `--from`, else from the environment variable `EDGESR_RELEASES`; edgesr itself names no host. \
Files go into `$EDGESR_CACHE/models/NAME`, else `~/.cache/edgesr/models/NAME`. A network has its \
name when all of its files are there and have their checksums; a download that breaks off is gone \
on with by the next call. Only http and https are followed.

`edgesr publish ... --index releases.json` enters a network into an index. Its addresses are \
relative: put the folder on any server.

Whenever a shipped or pulled network is loaded by name, its file is compared with the checksum in \
its card; a damaged one is refused.

Beside every shipped INT8 file lie its certificate and golden vectors, 20 to 120 kB, which `edgesr \
publish` writes: `edgesr verify --replay NAME_int8.certificate.json` runs them on another machine \
([exactness](exactness.md)). Denoisers ship as float weights and have none.

`edgesr publish RUN --name NAME --to FOLDER --evaluate SET=FOLDER ...` makes the files and the \
card: settings, digest of the photographs, steps, hardware, commit, learning curve, PSNR by \
protocol. Processor time is measured on the published file and entered by a second call, which \
measures nothing else:

```sh
edgesr bench FOLDER/NAME_int8.tflite ncnet_x3 --output times.json
edgesr publish RUN --name NAME --to FOLDER --results times.json
```
"""

_SWITCHES = """## The switches of training

Settings of `edgesr train`, all off unless said; `--recipe zoo_x3` has those that need no teacher.

| switch | settings | what it does | source |
|---|---|---|---|
| branches | `form = "training"` | trains each convolution as a sum of linear branches. Validation \
and every weights file have the folded network; the log has `fold_max_abs_difference`, in grey \
levels. Quantization-aware training starts from the folded one | [models](models.md) |
| teacher's images | `teacher`, `teacher_weight` (1.0) | adds the mean absolute difference to the \
images of a larger trained network: a run, a weights file or a name; of the same scale | Hinton et \
al. 2015, arXiv 1503.02531, for images |
| self-ensemble | `self_ensemble` | takes for the teacher's image the mean over eight flips and \
rotations; eight times the teacher's work | Timofte et al. 2016, arXiv 1511.02228 |
| teacher's features | `feature_weight` (0) | adds the difference of attention in three hidden \
layers, which needs no equal widths; not with `compile` | Zagoruyko and Komodakis 2017, arXiv \
1612.03928 |
| a teacher that grows along | `gap_weight` (0), `gap_width` (2) | adds the difference to the \
images of a teacher that starts as the student with `gap_width` times its channels, the same \
function, and learns beside it at its rate over `gap_width`; with `teacher` it learns from that \
one too. A teacher of twice the width has up to four times the multiply-accumulates; for all \
networks but `xlsr` and `etds`. The log has its own loss as `gap_teacher` | Guo et al. 2024, arXiv \
2410.04140 |
| growing patches | `patch_milestones`, `patch_sizes` | from each milestone on, patches have the \
next size; `patch_size` stands before the first | - |
| another loss, or one at the end | `loss` (`l1`), `final_loss`, `final_loss_steps` (0) | L2 \
learns colours sooner; such as L2 after L1 | [decision \
16](decisions/0016-what-plain-nets-learn-late.md) |
| frequencies | `frequency_weight`, `final_frequency_weight` (0) | adds the difference of Fourier \
amplitudes to the photograph; the latter in the last `final_loss_steps` steps | Fuoli et al. 2021, \
arXiv 2106.00783 |
| averaged weights | `ema_decay` (0.999) | validates and saves a moving average | - |
| centred steps | `centred` | weights and biases learn as if the inputs of every convolution had \
mean 0; the network and its files are as without. Not with `compile`, nor with branches | Raiko \
et al. 2012, for the idea; [decision 16](decisions/0016-what-plain-nets-learn-late.md) |
| whitened steps | `whitened`, with a `learning_rate` of 2e-2 and a `bias_rate_factor` of 1 | \
centred, and weights learn as if the inputs were white; a step changes the outputs of a layer by \
the rate times what they vary, whatever the optimizer. For short runs. The same limits, and \
neither groups, strides nor dilation | Amari 1998; Martens and \
Grosse 2015, arXiv 1503.05671; [decision 16](decisions/0016-what-plain-nets-learn-late.md) |
| revived channels | `revive_every` (0), such as 200 | lets channels begin anew, so often, whose \
ReLU has let nothing pass since the last time; the network computes what it did. For networks \
that are a row of convolutions beside an anchor: `ncnet`, `abpn`, `edge_s` ... | Sokar et al. \
2023, arXiv 2302.12902; [decision 16](decisions/0016-what-plain-nets-learn-late.md) |
| photographs at half size | `halved` | trains on those of 640 pixels a side or more once more, \
reduced by bicubic; not with low-resolution files | \
[decision 16](decisions/0016-what-plain-nets-learn-late.md) |
| chroma gain | `chroma_gain` (1) | counts differences of colour more at the start; falls to 1 | \
[decision 16](decisions/0016-what-plain-nets-learn-late.md) |
| Muon | `optimizer` (`adam`), with a third of the `bias_rate_factor` and three times the \
`learning_rate` | makes the steps of weights orthogonal; biases keep Adam | Jordan et al. 2024; \
Liu et al. 2025, arXiv 2502.16982; [decision 16](decisions/0016-what-plain-nets-learn-late.md) |
| weights to start with | `start_from` | takes those of a trained network of the same kind and any \
scale; the kernels in front of the shuffle are interpolated between the subpixels, what does not \
fit starts fresh and is named. A larger row of convolutions starts as the function of a smaller \
one | Lim et al. 2017, arXiv 1707.02921, section \
3.3, for scales; Chen et al. 2016, arXiv 1511.05641, for larger ones |
| cosine | `schedule` (`cosine`) | learning rate along half a cosine | Loshchilov and Hutter 2017, \
arXiv 1608.03983 |

On a GPU the training images are kept in its memory when they take less than half of what is \
free, and patches are cut there (`resident`); the patches are the same, value for value. \
It was not measured on a GPU yet.

Of the published gap-preserving distillation the teacher that starts as the student and learns \
beside it is built; weights that both share, and a student cut out of the teacher, are not. In a \
first short run it did not pay ([models](models.md)).

In tables of commit 6cbddca and before, branches learned some 20 times too fast and killed ReLUs \
([models](models.md)).

## What each gives

`edgesr ablate` trains a network with all switches off and once more with each of them, for as \
many steps and patches, and measures the last averaged weights on the held-out images: PSNR by \
protocol `mai`. Where patches grow, their sizes are chosen so that the steps see about as many \
pixels. **gain** is the mean difference to *all off* with the same seed; from two seeds on, the \
smallest and the largest stand behind it. Time depends on the machine; a teacher's is included.
"""


def zoo_page(
    trained: Sequence[Mapping[str, Any]],
    networks: Sequence[Mapping[str, Any]],
    ablations: Sequence[Mapping[str, Any]],
    published: Sequence[Baseline] = (),
) -> str:
    """Return the Markdown page.

    Args:
        trained: results of ``zoo_facts.trained_facts``.
        networks: results of ``zoo_facts.network_facts``.
        ablations: documents of ``edgesr ablate``; those of denoisers stand on other pages.
        published: measured x3 INT8 files of others, rows of ``classic-x3``.
    """
    graphs = {one["name"]: one["cpu_ratio_x3"] for one in networks if one["cpu_ratio_x3"]}
    tables = [_trained_table(trained, graphs)] if trained else ["None yet."]
    one_pass = [one for one in ablations if one["settings"]["model"] not in DENOISERS]
    measured = [_ablation(one) for one in one_pass] or ["Nothing was measured yet."]
    others = published_table(trained, published)
    parts = [_TEXT, *tables, "", *others, _PULL, _SWITCHES, "\n\n".join(measured), ""]
    return "\n".join(parts)


def published_table(
    trained: Sequence[Mapping[str, Any]], published: Sequence[Baseline]
) -> list[str]:
    """Return lines that set the x3 networks among measured INT8 files of others, by Set5.

    Args:
        trained: results of ``zoo_facts.trained_facts``.
        published: baselines whose names tell the INT8 files.
    """
    rows: dict[str, dict[str, float]] = {}
    for row in published:
        if "int8" in row.name and row.dataset in _PUBLISHED_SETS and row.psnr is not None:
            rows.setdefault(row.name, {})[row.dataset] = row.psnr
    for one in trained:
        found = {name: one["psnr"].get(f"{name} {_PUBLISHED_PROTOCOL}") for name in _PUBLISHED_SETS}
        if one["scale"] == _PUBLISHED_SCALE and all(found.values()):
            rows[f"**`{one['name']}`**"] = found
    rows = {name: psnr for name, psnr in rows.items() if psnr.keys() == {*_PUBLISHED_SETS}}
    if _REFERENCE not in rows:
        return []
    lines = [_PUBLISHED, f"| INT8 file | {' | '.join(_PUBLISHED_SETS)} | to NCNet's, dB |"]
    lines.append("|---|" + "---:|" * (len(_PUBLISHED_SETS) + 1))
    for name, psnr in sorted(rows.items(), key=lambda pair: -pair[1][_PUBLISHED_SETS[0]]):
        values = [f"{psnr[one]:.3f}" for one in _PUBLISHED_SETS]
        far = " / ".join(f"{psnr[one] - rows[_REFERENCE][one]:+.3f}" for one in _PUBLISHED_SETS)
        lines.append(f"| {name} | {' | '.join(values)} | {far} |")
    return [*lines, ""]


def ablation_table(document: Mapping[str, Any]) -> str:
    """Return the Markdown table of one ablation: a row a switch, means over its seeds.

    Runs that diverged are counted and have no part in the means.
    """
    results = document["results"]
    names = list(dict.fromkeys(one["row"] for one in results))
    went = [one for one in results if one["psnr"] is not None]
    base = {one["seed"]: one["psnr"] for one in went if one["row"] == names[0]}
    lines = ["| | PSNR dB | gain dB | seeds | s per run | LR megapixels |", "|---|" + "---:|" * 5]
    for name in names:
        mine = [one for one in results if one["row"] == name]
        good = [one for one in went if one["row"] == name]
        gains = [one["psnr"] - base[one["seed"]] for one in good if one["seed"] in base]
        lost = len(mine) - len(good)
        cells = [
            name,
            f"{fmean(one['psnr'] for one in good):.3f}" if good else "-",
            "" if name == names[0] else _gain(gains),
            f"{len(good)}" + (f", {lost} diverged" if lost else ""),
            f"{fmean(one['seconds'] for one in mine):.0f}",
            f"{fmean(one['lr_pixels'] for one in mine) / 1e6:.1f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _ablation(document: Mapping[str, Any]) -> str:
    settings, data = document["settings"], document["data"]
    smoke = (
        "**A smoke run on the demo photographs: it shows that the command works. It is far too "
        "short and too small to tell which switch helps.**\n\n"
        if data["demo"]
        else ""
    )
    teacher = document["teacher"]
    taught = f"; teacher {teacher['title']} ({teacher['sha256'][:12]})" if teacher else ""
    machine = document["environment"]
    done = {one["row"] for one in document["results"]}
    missing = [row for row in document.get("rows", []) if row not in done]
    stopped = f"\n\nStopped early; not run: {', '.join(missing)}." if missing else ""
    return (
        f"### {settings['model']} x{settings['scale']}, {settings['steps']:,} steps\n\n{smoke}"
        f"{data['description']}; {data['train']} images to train on, {data['held_out']} held out; "
        f"{settings['batch_size']} patches of {settings['patch_size']} a step{taught}. "
        f"{machine['cpu']}, GPU {machine['gpu'] or 'none'}, torch {machine['packages']['torch']}, "
        f"commit {str(machine['commit'])[:12]}.\n\n{ablation_table(document)}{stopped}"
    )


def _trained_table(
    trained: Sequence[Mapping[str, Any]], graphs: Mapping[str, Mapping[str, Any]]
) -> str:
    columns = list(dict.fromkeys(key for one in trained for key in one["psnr"]))
    heads = ["model", "parameters", "GMACs", "INT8 kB", "CPU", *columns]
    lines = [f"| {' | '.join(heads)} |", "|---|" + "---:|" * (len(heads) - 1)]
    bicubic: dict[int, dict[str, float]] = {}
    for one in trained:
        bicubic.setdefault(one["scale"], {}).update(one["bicubic_psnr"])
    for scale, found in sorted(bicubic.items()):
        if found:
            cells = [f"{found[key]:.3f}" if key in found else "-" for key in columns]
            lines.append(f"| bicubic x{scale} | - | - | - | - | {' | '.join(cells)} |")
    for one in trained:
        gmacs, params = one["gmacs_1080p"], one["params"]
        sizes = [f["bytes"] for f in one["files"] if f["path"].endswith(".tflite")]
        cells = [
            f"`{one['name']}`",
            "-" if params is None else f"{params:,}",
            "-" if gmacs is None else f"{gmacs:.2f}",
            f"{sizes[0] / 1000:.0f}" if sizes else "-",
            _speed(one, graphs),
            *(_quality(one, key) for key in columns),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _quality(one: Mapping[str, Any], key: str) -> str:
    if key not in one["psnr"]:
        return "-"
    int8 = f"{one['psnr'][key]:.3f}"
    return f"{one['float_psnr'][key]:.3f} / {int8}" if key in one["float_psnr"] else int8


def _speed(one: Mapping[str, Any], graphs: Mapping[str, Mapping[str, Any]]) -> str:
    single = [speed for speed in one["cpu_ratio"] if speed["threads"] == 1]
    if single:
        found, note = single[0], ""
    elif one["scale"] == 3 and one["network"] in graphs:  # noqa: PLR2004 - what was searched at
        found, note = graphs[one["network"]], " *graph*"
    else:
        return "-"
    return f"{found['ratio']:.2f} ({found['low']:.2f} to {found['high']:.2f}){note}"


def _gain(gains: Sequence[float]) -> str:
    if not gains:
        return "-"
    spread = f" ({min(gains):+.3f} to {max(gains):+.3f})" if len(gains) > 1 else ""
    return f"{fmean(gains):+.3f}{spread}"
