"""The command line. Each command is a file here; a command is imported when it is called.

Exit codes: 0 ok, 1 a check failed, 2 usage, 3 bad data or configuration, 4 a missing optional
dependency or device, 10 to 23 a phone (docs/device.md), 130 interrupted.
"""

import os
import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn

from cyclopts import App, CycloptsError, Parameter

from edgesr import __version__
from edgesr.cli.config import check_whole_numbers, train_config_files
from edgesr.errors import EdgesrError

INTERRUPTED = 130
_USAGE = 2
_BAD_DATA = 3
_MISSING = 4

app = App(
    name="edgesr",
    help="Train, quantize, export and measure small image super-resolution networks.",
    version=__version__,
    config=check_whole_numbers,
    suppress_keyboard_interrupt=False,
)
app.meta.suppress_keyboard_interrupt = False
app.command("edgesr.cli.upscale:upscale", help="Enlarge photographs.")
app.command(
    "edgesr.cli.train:train",
    config=(train_config_files, check_whole_numbers),
    help="Train a network.",
)
app.command(
    "edgesr.cli.ablate:ablate",
    config=(train_config_files, check_whole_numbers),
    help="Measure what each switch of training gives at equal budget.",
)
app.command("edgesr.cli.eval:eval_", name="eval", help="Measure PSNR and SSIM.")
app.command("edgesr.cli.diffusion:diffusion", help="Compare denoisers, steps and students.")
app.command("edgesr.cli.export:export", help="Write a verified INT8 or float TFLite file.")
app.command("edgesr.cli.quantize:quantize", help="Quantize without training, and compare ways.")
app.command("edgesr.cli.mixed:mixed", help="Assign precisions to layers within a budget.")
app.command("edgesr.cli.lint:lint", help="Say what an NPU or delegate refuses in a TFLite file.")
app.command("edgesr.cli.verify:verify", help="Prove that an INT8 file is what was simulated.")
app.command(
    "edgesr.cli.calibrate:calibrate", help="Check ranges, stability and images of an int8 network."
)
app.command("edgesr.cli.debug:debug", help="Find what costs quality in int8, and what helps.")
app.command("edgesr.cli.models:models", help="List networks and trained ones; fetch more.")
app.command("edgesr.cli.publish:publish", help="Make a run ready to ship, with a card.")
app.command("edgesr.cli.data:data", help="List, verify and download image sets.")
app.command("edgesr.cli.bench:bench", help="Time models against each other.")
app.command("edgesr.cli.cost:cost", help="Count parameters, MACs, activations and memory.")
app.command("edgesr.cli.score:score", help="Score results under a challenge's rules.")
app.command("edgesr.cli.check:check", help="Pass or fail a model against limits, for CI.")
app.command("edgesr.cli.report:report", help="Join results into one HTML page.")
app.command("edgesr.cli.device:device", help="Measure models on phones over adb.")
app.command("edgesr.cli.demo:demo", help="Show the whole path on sample photographs.")


@app.meta.default
def _launch(
    *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    quiet: Annotated[bool, Parameter(name=["--quiet", "-q"], negative="")] = False,
) -> None:
    """Run the command that ``tokens`` name.

    Args:
        tokens: the command and its arguments.
        quiet: results and errors only, neither messages nor progress.
    """
    from edgesr.cli.console import hushed

    with hushed(quiet=quiet):
        app(tokens)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command and exit with its code."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:  # noqa: PLR0911 - one return a kind of end
    """Run one command and return its exit code; an expected error prints one line on stderr."""
    try:
        app.meta(
            list(arguments),
            exit_on_error=False,
            print_error=False,
            result_action="return_value",
        )
        sys.stdout.flush()
    except EdgesrError as error:
        return _fail(str(error), error.exit_code)
    except CycloptsError as error:
        return _fail(str(error), _BAD_DATA if _is_from_file(error) else _USAGE)
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output has gone; Python's own flush at exit must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except ModuleNotFoundError as error:
        if (extra := _EXTRAS.get((error.name or "").partition(".")[0])) is None:
            raise
        message = f"the Python package {error.name} is missing; install edgesr[{extra}]"
        return _fail(message, _MISSING)
    except OSError as error:
        if error.filename is None and error.strerror is None:
            raise
        where = f"{error.filename}: " if error.filename else ""
        return _fail(f"{where}{error.strerror}; check the path, rights and free space", _BAD_DATA)
    return 0


_EXTRAS = {
    "accelerate": "train",
    "fastjsonschema": "device",
    "filelock": "device",
    "flatbuffers": "train",
    "safetensors": "train",
    "scipy": "mixed",
    "skimage": "demo",
    "tensorboard": "log",
    "tomli_w": "train",
    "torch": "train",
}
"""Which extra brings a package that the core does without."""


def _is_from_file(error: CycloptsError) -> bool:
    token = getattr(error, "token", None)
    return token is not None and token.source not in {"", "cli"}


def _fail(message: str, code: int) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return code
