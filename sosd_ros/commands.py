"""What all commands share: what the values of their options mean, and errors as a sentence."""

from __future__ import annotations

import argparse
import math
import re
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from .share import DEFAULT_WEIGHTS, share

PICTURE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}  # in a folder of pictures


def main(
    parser: argparse.ArgumentParser,
    run: Callable[[argparse.Namespace], None],
    *errors: type[Exception],
) -> None:
    """Run a command; what the user can fix ends in a sentence and exit status 1.

    Args:
        parser: of its options.
        run: takes them.
        errors: whose message is such a sentence, besides those of values and files.
    """
    arguments = parser.parse_args()
    fixable: tuple[type[Exception], ...] = (ValueError, OSError, *errors)
    try:
        run(arguments)
    except fixable as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)  # as a shell reports it


def end_in_order() -> None:
    """Have Ctrl-C and SIGTERM raise KeyboardInterrupt, once.

    Who started a process may tell it to end after the terminal has; that should not interrupt
    how it ends.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, interrupt)


def pictures_in(folder: Path) -> list[Path]:
    """The pictures of a folder, in the order of their names.

    Raises:
        ValueError: if it has none.
    """
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES)
    if not paths:
        raise ValueError(
            f"folder {folder} has no images; expected files that end in "
            f"{', '.join(sorted(PICTURE_SUFFIXES))}"
        )
    return paths


def say(sentence: str) -> None:
    """To people, apart from what a command answers."""
    print(sentence, file=sys.stderr, flush=True)


def parser(module: str, description: str | None, example: str) -> argparse.ArgumentParser:
    """One for ``python -m module``.

    Args:
        description: what it does; one that has lines, such as a module's, keeps them.
        example: arguments that show how it is used.
    """
    description = description or ""
    kind = argparse.RawDescriptionHelpFormatter if "\n" in description else argparse.HelpFormatter
    return argparse.ArgumentParser(
        prog=f"python -m {module}",
        description=description,
        epilog=f"Example: python -m {module} {example}",
        formatter_class=kind,
    )


def add_size_option(
    parser: argparse.ArgumentParser,
    help: str,
    default: tuple[int, int] | None = None,
    **others: Any,
) -> None:
    """``--size`` of images, the height first; ``others`` are argparse's."""
    parser.add_argument(
        "--size", type=size, default=default, metavar="HEIGHTxWIDTH", help=help, **others
    )


def add_weights_option(parser: argparse.ArgumentParser) -> None:
    """``--weights``, a path; the shipped ones if it is not given."""
    parser.add_argument(
        "--weights",
        type=Path,
        default=share("weights", DEFAULT_WEIGHTS),
        help="a weights file instead of the shipped one",
    )


def add_device_option(parser: argparse.ArgumentParser) -> None:
    """``--device``: the GPU where torch finds one, as for all commands."""
    import torch  # takes a second, which commands without this option need not wait for

    parser.add_argument(
        "--device",
        default="cuda" if torch.cuda.is_available() else "cpu",
        help="cuda, cuda:N or cpu (here: %(default)s)",
    )


def size(text: str) -> tuple[int, int]:
    """HEIGHTxWIDTH in pixels, as the paper and the configurations write sizes, to (height, width).

    A portrait size is warned of: whoever writes it has most likely put the width first.
    """
    numbers = re.fullmatch(r"(\d+)x(\d+)", text, re.ASCII)
    height, width = map(int, numbers.groups()) if numbers else (0, 0)
    if min(height, width) < 1:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no size; expected HEIGHTxWIDTH in pixels, such as 480x640"
        )
    if height > width:
        print(
            f"warning: size {text} is {height} high and {width} wide; the height comes first, so "
            f"write {width}x{height} if that is not meant",
            file=sys.stderr,
        )
    return height, width


def positive(text: str) -> float:
    """A number above 0, and below infinity."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"is {text!r}, expected a number above 0")
    return number


def count(text: str) -> int:
    """A whole number of things, at least one."""
    if not (text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"is {text!r}, expected a whole number from 1")
    return int(text)


def count_from_0(text: str) -> int:
    """A whole number of things, which may be none."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"is {text!r}, expected a whole number from 0")
    return int(text)


def check_out(option: str, path: Path, *, folder: bool = False) -> None:
    """Refuse a place that nothing can be written to, before anything that takes time.

    Args:
        option: that names the place.
        path: of a file, in a folder that is there; or of a ``folder``, which may yet be made.

    Raises:
        ValueError: naming the option, the path and what to do.
    """
    if path.exists() and path.is_dir() != folder:
        found, wanted = ("file", "folder") if folder else ("folder", "file")
        raise ValueError(f"{option} is {path}, which is a {found}; name a {wanted}")
    if not folder and not path.parent.is_dir():
        raise ValueError(f"{option} is {path}, but the folder does not exist; make it first")
    above = path.absolute() if folder else path.absolute().parent
    present = next(place for place in (above, *above.parents) if place.exists())
    try:
        tempfile.TemporaryFile(dir=present).close()
    except OSError as error:
        raise ValueError(
            f"{option} is {path}, but nothing can be written to {present}: {error.strerror}; "
            "choose another place"
        ) from error
