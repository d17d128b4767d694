"""Which frames teach, and which are measured on."""

import numpy as np
import pytest

from training.recording.split import GAP, split

SECOND = 10**9


def pictures(places, random=None):
    """A thumbnail a view: those of one place are alike."""
    random = random or np.random.default_rng(5)
    worlds = {place: random.normal(0, 1, (24, 32)) for place in dict.fromkeys(places)}
    made = [worlds[place] + random.normal(0, 0.2, (24, 32)) for place in places]
    return np.stack([(m - m.mean()) / m.std() for m in made]).astype(np.float32)


def test_places_are_never_parted():
    """Though the robot comes back to the kitchen."""
    places = ["kitchen"] * 40 + ["hall"] * 40 + ["kitchen"] * 40 + ["office"] * 30
    sides = split([i * SECOND for i in range(150)], pictures(places), 0.2)
    sides_of = {side: {places[i] for i in getattr(sides, side)} for side in ("train", "val")}
    assert sides_of == {"train": {"kitchen", "hall"}, "val": {"office"}}
    assert "by place" in sides.how
    assert sorted(sides.train + sides.val + sides.left_out) == list(range(150))


def test_neighbours_in_time_are_on_neither_side():
    places = ["kitchen"] * 100 + ["office"] * 30
    stamps = [i * SECOND // 2 for i in range(130)]
    sides = split(stamps, pictures(places), 0.2)
    assert sides.left_out
    distance = min(abs(stamps[t] - stamps[v]) for t in sides.train for v in sides.val)
    assert distance >= GAP * SECOND


def test_one_place_is_cut_in_time_and_that_is_said():
    sides = split([i * SECOND for i in range(100)], pictures(["hall"] * 100), 0.2)
    assert sides.val == list(range(80, 100))
    assert max(sides.train) < 79 and "one place" in sides.how


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_all_may_be_on_one_side(share):
    sides = split(range(10), pictures(["hall"] * 10), share)
    assert len(sides.train) == 10 * (1 - share) and len(sides.val) == 10 * share
    assert not sides.left_out
