"""What a run leaves for people stays whole when the run goes on."""

import csv

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from sosd_ros import atomic
from training.learning.log import Log


def write(out, epochs, start):
    log = Log(out, iteration=2 * start)
    for epoch in range(start, epochs):
        for batch in (1, 2):
            log.step(2 * epoch + batch, {"depth": 1.0}, 0.1)
        log.epoch({"epoch": epoch + 1, "depth_loss": 1 / (epoch + 1)})
    log.close()


def shown(out):
    events = EventAccumulator(str(out / "tensorboard"))
    events.Reload()
    return [event.step for event in events.Scalars("loss/depth")], [
        event.step for event in events.Scalars("epoch/depth_loss")
    ]


def test_going_on_hides_nothing_and_doubles_nothing(tmp_path):
    """Three epochs, of which the third is made again after it was lost."""
    write(tmp_path, 3, 0)
    # TensorBoard reads files in the order of their names, which have the second that they are of.
    (first,) = (tmp_path / "tensorboard").iterdir()
    first.rename(first.with_name("events.out.tfevents.1000000000.first"))
    write(tmp_path, 4, 2)
    assert shown(tmp_path) == ([1, 2, 3, 4, 5, 6, 7, 8], [2, 4, 6, 8])
    with (tmp_path / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4"]
    assert rows[3]["depth_loss"] == "0.25"


def test_a_file_that_cannot_be_written_whole_stays_as_it_was(tmp_path):
    """And nothing half-written lies beside it."""
    path = tmp_path / "file"
    atomic.write(path, "old")

    def fail(partial):
        partial.write_text("half of the n")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        atomic.make(path, fail)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
