"""NYU Depth v2's training scenes in two parts: four fifths to fit, and one to choose by.

Frames of one room are neighbours, so that a part is made of whole scenes. The official numbers are
in the order of scenes, and the official test set takes whole scenes: numbers of ``train.txt`` that
follow one another are one or several whole scenes, a run. Of every five runs that are next to each
other in length, longest first, one is held back, drawn at random; of the few shortest that make no
five, none. So both parts have long runs and short ones: 157 samples in 24 runs are held back, of
795 in 123. Their names are in ``nyuv2_held_back.txt``, which lies beside this file.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .errors import DataError

SPLITS = ("fit", "held_back")
_FILE = Path(__file__).with_name("nyuv2_held_back.txt")


def part(split: str, listing: Path, names: Sequence[str]) -> list[str]:
    """The names of one part, ``fit`` or ``held_back``, in their order.

    Args:
        listing: the file that ``names``, those of all training samples, stand in.

    Raises:
        DataError: if samples to hold back are not among them.
    """
    held_back = _FILE.read_text().split()
    missing = set(held_back) - set(names)
    if missing:
        raise DataError(
            f"{listing} lacks {len(missing)} of the {len(held_back)} samples that split {split} "
            f"goes by, {min(missing)} first; it is for the official 795 training samples under "
            "their official numbers: use split train or val here"
        )
    apart = set(held_back)
    return [name for name in names if (name in apart) == (split == "held_back")]
