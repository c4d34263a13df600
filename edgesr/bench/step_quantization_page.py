"""The page that compares ways of quantizing denoisers, made from results files."""

from collections.abc import Sequence
from typing import Any

_TEXT = """# Diffusion in integers

<!-- Written by `make diffusion-quant-table` from benchmarks/results/diffusion_quantization_*.json;
change the template in edgesr/bench/step_quantization_page.py, not this page. -->

A denoiser is quantized for the few steps that are sampled. With its timestep folded in, every step
is a plain network: the timestep's positive scales become part of the filters' scales and its shifts
part of the int32 biases, so the weights' int8 codes are the same bytes in all steps. Activation
grids may differ by step; consecutive steps share them where that costs nothing. Every layer is in
integers, first and last included; the sampler's arithmetic stays in float32 on the host.

- Noisy image as shown, centre (bicubic, or the int8 output of its network) and low-resolution image
  lie in [-1, 1] at every step and are rounded to grey levels, on one fixed grid: code = grey
  level - 128, which stands for 2/255 code. The half level between that and the image's value is in
  the first layer's bias.
- `edgesr.diffusion.trajectories` makes calibration sets from float trajectories: every image at
  every step (up to 8 steps), or as Q-Diffusion (uniform), PTQ4DM (normal) and EDA-DM (density and
  diversity) choose. What is stored is what the network was fed *with the timestep that it was
  told*; the published code of PTQ4DM pairs them in reverse. Sets on disk are resumed, and refused
  for other weights, images, steps or seeds.
- Groups of steps: the error of every tensor's grid, from histograms, times what that error does to
  the prediction, summed over a group; dynamic programming finds the cheapest cut; the least number
  of groups within 1.05 of a grid for every step wins.
- Channels of tensors that skips sum are brought to one range together, over all steps: divided in
  every layer that writes to the sum, multiplied in every one that reads it, which is exact.
- **QAT** (`--qat-steps`): the integers of all steps learn to predict what the float network does,
  as EfficientDM trains, without any image but low-resolution crops. The float network walks and the
  integers learn at every state that it passes; in the last fifth the integers walk themselves.
  Weights' codes are one set for all steps, biases are each step's own, scales of activations are
  learned for every group of steps. The weights' learning rate is 1/2500 of the layer's mean scale a
  step, which is slow for a few hundred steps; `--compare` trains with ten times as much as well.
- **PassionSR-like**: factors between the channels of a tensor are learned and folded into the float
  network (exactly, borders included), then both ends of every activation's range; weights are not
  trained.
- **PTQD-like** (`--correct-sampler`, off by default; compare "ours, sampler corrected"): the mean
  and the gain of the integers' error at every step, fitted on the calibration set, are kept beside
  the integers and written into the schedule, and the host computes `(prediction - mean) / gain`.
- A layer that gives 0 on all calibration images is named and refused, here and in `edgesr export`.

```sh
edgesr quantize runs/teacher --compare --data Set5 --results diffusion_quantization_teacher.json
edgesr quantize runs/teacher --compare --only "all parts" --only naive --data BSD100 --limit 10 \\
  --results diffusion_quantization_teacher_bsd100.json
edgesr quantize runs/teacher --qat-steps 4000 --output teacher_int8.safetensors --data Set5
edgesr export teacher.tflite --int8 --checkpoint teacher_int8.safetensors
```

Results of one network that are in several files come into one section. A comparison goes on from
its results file and `--calibration-sets`, a training from a file beside `--output`. Without
`--qat-steps` the integers are not trained. `--scheme wi6_ai6` and `wi4_ai8` are trained in the same
way and simulated only: `edgesr export` refuses them.

**to float**: PSNR against the float trajectory from the same noise, not rounded, RGB, in dB;
rounding the result to 8 bits alone gives 58.9. **PSNR-Y**, **SSIM**, **GMSD**, **spectrum** and
**HF** (energy above the low-resolution image's band over the original's) are against HR
([metrics](perception.md)). **images rounded**: the float network with the noisy image as shown
rounded to grey levels, as every method here is fed. **groups**: which steps share grids, noisiest
first. The published methods are their calibration sets and grids only, with nearest weights and
every layer in integers, which is not how their authors run them (first, last and skip layers in
float); W6A6 and W4A8 are simulated, and their first and last layer keep 8 bits.
"""

_TIMESTEP = """What the timestep says to the layers: relative error of scale and shift, mean over
steps (worst step). *Folded* is what edgesr does; *quantized* is an 8-bit embedding, *reconstructed*
the same with grids of each step and fitted weights (TFMQ-like), *cached* stores both in 8 bits."""


def step_quantization_page(documents: Sequence[dict[str, Any]]) -> str:
    """Return the Markdown page of one or more results files."""
    networks: list[list[dict[str, Any]]] = []
    for document in documents:
        same = (one for one in networks if one[0]["network"] == document["network"])
        found = next(same, None)
        if found is None:
            networks.append([document])
        else:
            found.append(document)
    return "\n".join([_TEXT, *map(_section, networks)])


def _section(documents: Sequence[dict[str, Any]]) -> str:
    """Return the section of one network, whose sets of images may be in several documents."""
    network, machine = documents[0]["network"], documents[0]["environment"]
    about = (
        f"Weights {network['sha256'][:12]}, path {network['schedule']}, noise of seed "
        f"{network['seed']}. Calibrated on {network['calibration']}. torch "
        f"{machine['packages']['torch']}."
    )
    steps = ", ".join(map(str, network["timesteps"]))
    lines = [
        f"## {network['model']} x{network['scale']}, timesteps {steps}",
        "",
        about,
        "",
    ]
    for document in documents:
        for name in document["sets"]:
            lines += _set(document, name)
    for document in documents:
        if document.get("disturbances"):
            lines += _disturbances(document["disturbances"])
            break
    return "\n".join(lines)


def _set(document: dict[str, Any], name: str) -> list[str]:
    facts = document["sets"][name]
    listed = facts.get("listed", facts["images"])
    subset = "" if listed == facts["images"] else f" of {listed}, evenly spread"
    lines = [
        f"{name} ({facts['images']} images{subset}):",
        "",
        "| | groups | to float | PSNR-Y | SSIM | GMSD | spectrum dB | HF |",
        f"|---|---|{'---:|' * 6}",
        _line("float32", "", facts["float"]),
        _line("float32, images rounded", "", facts["rounded"]),
    ]
    for row in document["rows"]:
        mark = " *(simulated)*" if row["simulated"] else ""
        groups = " ".join(map(str, row["groups"]))
        lines.append(_line(f"{row['name']}{mark}", groups, row["figures"][name]))
    texts = [_recovered(document, name), _parts(document, name)]
    return [*lines, "", *(line for text in texts if text for line in (text, ""))]


def _line(title: str, groups: str, found: dict[str, float]) -> str:
    return (
        f"| {title} | {groups} | {found['psnr_to_float']:.2f} | {found['psnr']:.3f} | "
        f"{found['ssim']:.4f} | {found['gmsd']:.4f} | {found['spectrum_distance_db']:.2f} | "
        f"{found['high_frequency_ratio']:.3f} |"
    )


def _recovered(document: dict[str, Any], name: str) -> str:
    """Say how much of what the naive method loses against float ours takes away."""
    best = document["sets"][name]["rounded"]["psnr_to_float"]
    found = {row["name"]: row["figures"][name]["psnr_to_float"] for row in document["rows"]}
    naive, ours = found.get("W8A8: naive: minmax, one grid"), found.get("W8A8: ours, all parts")
    if naive is None or ours is None:
        return ""
    low, mine, all_of_it = (10 ** (-one / 10) for one in (best, ours, naive))
    share, avoidable = (100.0 * (all_of_it - mine) / (all_of_it - one) for one in (0.0, low))
    return (
        f"Of the naive method's squared error against float, ours takes {share:.0f} % away; of "
        f"what is left of it without the rounding of the images, {avoidable:.0f} %."
    )


def _parts(document: dict[str, Any], name: str) -> str:
    """Say what the squared error of ours consists of."""
    found = dict(document.get("parts", {}).get(name, {}))
    if not found:
        return ""
    total = found.pop("all")
    listed = ", ".join(f"{part} {error:.3f}" for part, error in found.items())
    return (
        f"The squared error of ours, all parts, before its result is rounded: {total:.3f} grey "
        f"levels squared. With one part rounded and the rest in float: {listed}; together "
        f"{sum(found.values()):.3f}."
    )


def _disturbances(rows: Sequence[dict[str, Any]]) -> list[str]:
    ways = ("folded", "quantized", "reconstructed", "cached")
    lines = [
        _TIMESTEP,
        "",
        f"| layer | | {' | '.join(ways)} |",
        f"|---|---|{'---:|' * len(ways)}",
    ]
    for layer in dict.fromkeys(row["layer"] for row in rows):
        for part in ("gain", "shift"):
            cells = []
            for way in ways:
                errors = [row[part][way] for row in rows if row["layer"] == layer]
                cells.append(f"{sum(errors) / len(errors):.1e} ({max(errors):.1e})")
            lines.append(f"| {layer} | {part} | {' | '.join(cells)} |")
    return [*lines, ""]
