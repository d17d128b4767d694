"""Batches: the same for the same seed, epoch and place, whoever makes them."""

import dataclasses
import itertools
import subprocess
import sys

import pytest
import torch
from tiny_training import assert_same_batch

from training.data import loader, nyuv2
from training.data.errors import DataError
from training.data.loader import TrainingBatches, evaluation_batches

DATA = nyuv2.data_set()
SIZE = (32, 64)


class Samples:
    """Some of a split's samples over and over, under names of their own."""

    def __init__(self, root, count):
        self.samples = DATA.open(root, "train")
        self.names = [f"{number:02d}" for number in range(count)]

    def __len__(self):
        return len(self.names)

    def __getitem__(self, index):
        return self.samples[index % len(self.samples)]


@pytest.fixture
def samples(nyuv2_root):
    return Samples(nyuv2_root, 11)


def batches(samples, workers=0, **share):
    return TrainingBatches(samples, DATA, SIZE, 4, seed=5, workers=workers, **share)


def test_an_epoch_has_every_sample_at_most_once(samples):
    """In another order each time; the incomplete batch at the end is left out."""
    epochs = [list(batches(samples).epoch(number)) for number in (0, 1)]
    orders = [[name for batch in epoch for name in batch.names] for epoch in epochs]
    assert len(batches(samples)) == len(epochs[0]) == 2
    assert all(len(set(order)) == 8 for order in orders)
    assert orders[0] != orders[1]
    assert epochs[0][0].images.shape == (4, *SIZE, 3)


def test_batches_do_not_depend_on_workers(samples):
    """Nor on their number, nor on epochs that they made before."""
    alone, helped = batches(samples), batches(samples, workers=2)
    for epoch in (0, 1):
        for one, other in zip(alone.epoch(epoch), helped.epoch(epoch), strict=True):
            assert_same_batch(one, other)


@pytest.mark.parametrize("workers", [0, 2])
def test_mixed_samples_are_the_same_from_any_worker(samples, workers):
    """With the same seed; and all are mixed if the chance is 1."""
    data = dataclasses.replace(DATA, cutmix=1.0)
    mixed = TrainingBatches(samples, data, SIZE, 4, seed=5, workers=workers).epoch(0)
    plain = batches(samples).epoch(0)
    again = TrainingBatches(samples, data, SIZE, 4, seed=5, workers=0).epoch(0)
    for one, other, unmixed in zip(mixed, again, plain, strict=True):
        assert torch.equal(one.images, other.images)
        assert all(not torch.equal(a, b) for a, b in zip(one.images, unmixed.images, strict=True))


def test_samples_need_not_pickle(samples):
    """Workers are forked on every Python; from 3.14 on, that is not what they do by themselves."""
    samples.file = (line for line in ())  # as an open file, it has no pickle
    assert len(list(batches(samples, workers=1).epoch(0))) == 2


@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_can_be_entered_in_the_middle(samples, workers):
    """The rest is what it would have been."""
    whole = list(batches(samples, workers).epoch(3))
    (rest,) = batches(samples, workers).epoch(3, start=1)
    assert_same_batch(whole[1], rest)


def test_processes_share_every_batch(samples):
    """Their shares, one after the other, are the batch that one process has alone."""
    parts = [batches(samples, rank=rank, processes=2).epoch(0) for rank in (0, 1)]
    for whole, first, second in zip(batches(samples).epoch(0), *parts, strict=True):
        halves = whole.split(2)
        assert_same_batch(halves[0], first)
        assert_same_batch(halves[1], second)


def test_loading_leaves_torchs_random_numbers_alone(samples):
    """So that going on from a checkpoint finds them where they were."""
    before = torch.get_rng_state()
    list(itertools.chain(batches(samples).epoch(0), evaluation_batches(samples, 2, workers=0)))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_sample_that_cannot_be_read_is_an_error_without_a_workers_traceback(samples, workers):
    """The error of the data set, word for word."""

    class Damaged(Samples):
        def __getitem__(self, index):
            raise DataError("a.png cannot be decoded; copy it again")

    samples.__class__ = Damaged
    for stream in (batches(samples, workers).epoch(0), evaluation_batches(samples, 2, workers=0)):
        with pytest.raises(DataError) as error:
            next(stream)
        assert str(error.value) == "a.png cannot be decoded; copy it again"


def test_workers_live_although_opencv_had_threads(nyuv2_root):
    """A forked worker waits for ever for OpenCV's threads, which only its parent has."""
    code = (
        "import cv2, numpy, pathlib\n"
        "from training.data.loader import evaluation_batches\n"
        "from training.data.nyuv2 import data_set\n"
        "cv2.setNumThreads(4)\n"
        "cv2.GaussianBlur(numpy.zeros((2000, 2000, 3), numpy.uint8), (9, 9), 0)\n"
        f"samples = data_set().open(pathlib.Path({str(nyuv2_root)!r}), 'train')\n"
        "print(sum(len(b.images) for b in evaluation_batches(samples, 2, workers=2)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout.strip() == "4", done.stderr


@pytest.mark.parametrize(
    ("workers", "batch", "free", "fitting"),
    [
        (2, 39_321_600, 64 << 20, 0),  # 16 images of 480x640 in Docker's 64 MB
        (2, 39_321_600, 2 << 30, 2),
        (4, 100, 1000, 4),  # two batches of each, and two in use
        (4, 100, 999, 3),
        (8, 100, 400, 1),
        (8, 100, 399, 0),
        (8, 100, 0, 0),
        (0, 100, 0, 0),
        (8, 100, float("inf"), 8),
    ],
)
def test_as_many_workers_as_shared_memory_holds_batches_of(workers, batch, free, fitting):
    """Computed by hand."""
    assert loader.workers_that_fit(workers, batch, free) == fitting


def test_fewer_workers_are_said_with_what_to_do(samples, monkeypatch):
    """In one sentence, and each process takes its part; the batches are the same."""
    batch = 8 * 4 * SIZE[0] * SIZE[1]
    expected = [b.names for b in batches(samples).epoch(0)]
    monkeypatch.setattr(loader, "free_shared_memory", lambda: 8 * batch)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    with pytest.warns(UserWarning, match=r"going on with 1, .*--shm-size=2g or --ipc=host") as said:
        assert [b.names for b in batches(samples, 4).epoch(0)] == expected
    [sentence] = [str(w.message) for w in said if w.category is UserWarning]  # from 3.12 on, forks
    assert sentence.startswith("/dev/shm has 0 MB for this process")  # have a warning of their own
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "1")
    assert [b.names for b in batches(samples, 3).epoch(0)] == expected  # and pytest has no warning


@pytest.mark.slow
def test_a_small_shared_memory_ends_nothing(nyuv2_root):
    """A real one of 128 kB, as small beside the batches as Docker's is beside ours."""
    code = (
        "import pathlib\n"
        "from training.data.loader import evaluation_batches\n"
        "from training.data.nyuv2 import data_set\n"
        f"samples = data_set().open(pathlib.Path({str(nyuv2_root)!r}), 'train')\n"
        "print(sum(len(b.images) for b in evaluation_batches(samples, 4, workers=1)))"
    )
    mounted = "mount -t tmpfs -o size=128k tmpfs /dev/shm && exec"
    command = ["unshare", "--mount", "sh", "-c", f'{mounted} "$@"', "sh"]
    try:
        subprocess.run([*command, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no mount namespace can be made here: {error}")
    done = subprocess.run(
        [*command, sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout.strip() == "4", done.stderr
    assert "/dev/shm has 0 MB for this process" in done.stderr and "--shm-size" in done.stderr


def test_evaluation_sees_every_sample_once(samples):
    """In order, neither padded nor dropped: eleven samples in batches of four."""
    seen = [batch.names for batch in evaluation_batches(samples, 4, workers=0)]
    assert [len(names) for names in seen] == [4, 4, 3]
    assert [*itertools.chain(*seen)] == samples.names
