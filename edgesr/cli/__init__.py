"""The command line. Each command is a file here; a command is imported when it is called.

Exit codes: 0 ok, 1 a check failed, 2 usage, 3 bad data or configuration, 4 a missing optional
dependency or device, 130 interrupted.
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from cyclopts import App, CycloptsError

from edgesr import __version__
from edgesr.cli.config import train_config_files
from edgesr.errors import EdgesrError

if TYPE_CHECKING:
    from collections.abc import Iterable

INTERRUPTED = 130
_USAGE = 2
_BAD_DATA = 3

app = App(
    name="edgesr",
    help="Train, quantize, export and measure small image super-resolution networks.",
    version=__version__,
    help_on_error=False,
    suppress_keyboard_interrupt=False,
)
app.command("edgesr.cli.upscale:upscale", help="Enlarge photographs.")
app.command("edgesr.cli.train:train", config=train_config_files, help="Train a network.")
app.command("edgesr.cli.eval:eval_", name="eval", help="Measure PSNR and SSIM.")
app.command("edgesr.cli.export:export", help="Write a verified INT8 or float TFLite file.")
app.command("edgesr.cli.models:models", help="List networks and shipped weights.")
app.command("edgesr.cli.data:data", help="List, verify and download image sets.")
app.command("edgesr.cli.bench:bench", help="Time models against each other.")
app.command("edgesr.cli.demo:demo", help="Show the whole path on sample photographs.")


def main(arguments: "Sequence[str] | None" = None) -> NoReturn:
    """Run one command and exit with its code."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: "Iterable[str]") -> int:
    """Run one command and return its exit code; an expected error prints one line on stderr."""
    try:
        app(
            list(arguments),
            exit_on_error=False,
            print_error=False,
            result_action="return_value",
        )
    except EdgesrError as error:
        return _fail(str(error), error.exit_code)
    except CycloptsError as error:
        return _fail(str(error), _BAD_DATA if _is_from_file(error) else _USAGE)
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has gone: nothing is left to say
        return 0
    except OSError as error:
        if error.filename is None and error.strerror is None:
            raise
        where = f"{error.filename}: " if error.filename else ""
        return _fail(f"{where}{error.strerror}; check the path, rights and free space", _BAD_DATA)
    return 0


def _is_from_file(error: CycloptsError) -> bool:
    token = getattr(error, "token", None)
    return token is not None and token.source not in {"", "cli"}


def _fail(message: str, code: int) -> int:
    from edgesr.cli.console import say

    say(f"error: {' '.join(message.split())}")
    return code
