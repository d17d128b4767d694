"""Which images teach and which are measured on, so that neighbours are never on both sides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

SAME_PLACE = 0.75  # correlation of thumbnails, above which two images may show the same place
GAP = 2.0  # seconds around a cut in time, whose images are on neither side

_STRETCH = 10  # views in a row that are never parted


class Split(NamedTuple):
    """Numbers of views on either side, in order.

    Attributes:
        left_out: of those that are too near to the other side.
        how: it was made, in words.
    """

    train: list[int]
    val: list[int]
    left_out: list[int]
    how: str


def split(stamps: Sequence[int], thumbnails: np.ndarray, share: float) -> Split:
    """Part views by place if the recording has several, or else by time.

    Stretches of the recording that show the same place belong together. The places seen last are
    measured on, as many as make up the share.

    Args:
        stamps: of the views in nanoseconds, increasing.
        thumbnails: (N, h, w), of mean 0 and deviation 1.
        share: of views to measure on, 0 to 1.
    """
    count = len(stamps)
    wanted = round(share * count)
    if not wanted or wanted == count:
        everything = list(range(count))
        return Split(
            *((everything, []) if not wanted else ([], everything)), [], f"a share of {share:g}"
        )
    places = _places(thumbnails)
    last_first = sorted(set(places), key=lambda place: max(np.flatnonzero(places == place)))[::-1]
    val: np.ndarray = np.zeros(count, bool)
    for place in last_first:
        if val.sum() + (places == place).sum() <= 1.5 * wanted:
            val |= places == place
        if val.sum() >= wanted:
            break
    how = f"by place: {len(last_first)} places, those seen last are measured on"
    if val.sum() < wanted / 2:
        val = np.arange(count) >= count - wanted
        how = (
            "by time, as most of the recording shows one place: what is measured shows it again, "
            "and will look better than another place would"
        )
    near = _near_the_other(np.asarray(stamps), val)
    return Split(
        np.flatnonzero(~val & ~near).tolist(),
        np.flatnonzero(val).tolist(),
        np.flatnonzero(near).tolist(),
        how,
    )


def _places(thumbnails: np.ndarray) -> np.ndarray:
    """(N,) int: the place of each view; stretches with views that are alike are one."""
    count = len(thumbnails)
    flat = thumbnails.reshape(count, -1)
    stretch = np.arange(count) // _STRETCH
    places = np.arange(stretch[-1] + 1)
    for number in range(len(places)):
        rows = flat[stretch == number]
        alike = (rows @ flat.T / flat.shape[1] > SAME_PLACE).any(axis=0)
        joined = np.unique(places[np.unique(stretch[alike])])
        places[np.isin(places, joined)] = joined.min()
    return places[stretch]


def _near_the_other(stamps: np.ndarray, val: np.ndarray) -> np.ndarray:
    """(N,) bool: views to learn from that were seen within ``GAP`` of one to measure on."""
    measured = stamps[val]
    after = np.searchsorted(measured, stamps).clip(0, len(measured) - 1)
    before = (after - 1).clip(0)
    distance = np.minimum(np.abs(measured[after] - stamps), np.abs(measured[before] - stamps))
    return ~val & (distance < GAP * 1e9)
