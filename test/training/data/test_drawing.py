"""Drawing from several sources: shares, order, and the same again from anywhere."""

from collections import Counter

import pytest

from training.data.drawing import Mixture, SourceShare, apportioned

BOTH = ("depth", "semantic")
DEPTH, LABELS, ALL = frozenset(["depth"]), frozenset(["semantic"]), frozenset(BOTH)


def alternating(iteration, epoch):
    return (BOTH[iteration % 2],)


def together(iteration, epoch):
    return BOTH


def drawn(mixture, epoch, start=0):
    return [list(batch) for batch in mixture.batches(epoch, start)]


def test_a_step_draws_from_the_sources_that_teach_it():
    """Samples 0 to 19 have depth, 20 to 49 labels, 50 to 59 both, which are drawn half as often."""
    sources = [SourceShare(20, DEPTH, 1), SourceShare(30, LABELS, 1), SourceShare(10, ALL, 0.5)]
    mixture = Mixture(sources, 6, 5, alternating)
    assert len(mixture) == 10  # 60 samples in tens of 6
    for number, batch in enumerate(drawn(mixture, 0)):
        counts = Counter("depth" if i < 20 else "labels" if i < 50 else "both" for i in batch)
        assert counts == {"labels" if number % 2 else "depth": 4, "both": 2}


def test_a_joint_step_draws_from_all_by_their_shares():
    """And every part of a mini-batch has its part of each."""
    sources = [SourceShare(9, DEPTH, 3), SourceShare(9, LABELS, 1)]
    for batch in drawn(Mixture(sources, 8, 5, together), 0):
        for half in (batch[:4], batch[4:]):
            assert sum(i < 9 for i in half) == 3


def test_all_samples_of_a_source_come_before_one_comes_again():
    """Over as many epochs as that takes, and in another order then."""
    sources = [SourceShare(7, DEPTH, 1), SourceShare(21, LABELS, 1)]
    mixture = Mixture(sources, 4, 5, together)
    batches = [batch for epoch in range(4) for batch in drawn(mixture, epoch)]
    assert len(batches) == 28
    small = [i for batch in batches for i in batch if i < 7]
    passes = [small[start : start + 7] for start in range(0, 56, 7)]
    assert all(sorted(one) == list(range(7)) for one in passes)
    assert len({tuple(one) for one in passes}) > 1


@pytest.mark.parametrize("tasks_at", [alternating, together])
def test_a_mixture_is_the_same_from_anywhere(tasks_at):
    """From the middle of an epoch, without those before; another seed draws others."""
    sources = [SourceShare(11, DEPTH, 1), SourceShare(13, LABELS, 2)]
    whole = drawn(Mixture(sources, 5, 5, tasks_at), 3)
    assert drawn(Mixture(sources, 5, 5, tasks_at), 3, start=2) == whole[2:]
    assert drawn(Mixture(sources, 5, 6, tasks_at), 3) != whole


def test_a_source_without_a_place_is_refused():
    """It would never be seen."""
    sources = [SourceShare(9, ALL, 1), SourceShare(9, ALL, 0.01)]
    with pytest.raises(
        ValueError, match=r"data\.sources\.1\.share 0\.01 gives this source no samp"
    ):
        Mixture(sources, 8, 5, together)


@pytest.mark.parametrize(
    ("shares", "total", "counts"),
    [([1, 1], 4, [2, 2]), ([1, 1, 1], 16, [6, 5, 5]), ([0.7, 0.1], 8, [7, 1]), ([3], 5, [5])],
)
def test_shares_become_whole_numbers(shares, total, counts):
    """Of the right sum, and as near as can be."""
    assert apportioned(shares, total) == counts
