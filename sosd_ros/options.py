"""What the values of commands' options mean, wherever one appears."""

from __future__ import annotations

import argparse
import math
import re
import sys


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
    number = float(text)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return number
