"""Recordings read and written in parts."""

import numpy as np
import pytest

pytest.importorskip("rosbags", reason="no rosbags: install the extra 'bags'")

import recorded

from sosd_ros.recordings import Parts, Recording, RecordingError, Types, is_whole

MADE_OF = {"recording": "this"}
PIXELS = np.zeros((2, 3, 3), np.uint8)


def some(count=6):
    return [("/image", 10**9 * i, recorded.image(10**9 * i, PIXELS)) for i in range(1, count + 1)]


def copy(source, out, most=1, stop=None):
    """Copy a recording in parts of one message, or a few; up to a message, if it is interrupted."""
    recording = Recording(source)
    parts = Parts(out, recording.storage, MADE_OF, most)
    done = parts.facts.setdefault("read", 0)
    for number, message in enumerate(recording.messages(), 1):
        if number == stop:
            return  # as if the process had been killed
        if number > done:
            parts.write(*message)
            parts.facts["read"] = number
            if parts.is_full():
                parts.end_part()
    parts.finish()
    recording.close()


@pytest.mark.parametrize("storage", recorded.STORAGES)
def test_a_copy_in_parts_is_the_same_recording(tmp_path, storage):
    """Byte for byte, in either format; and what is in parts can be read and copied again."""
    source = recorded.write(tmp_path / "in", some(), storage)
    for out, most in (("a", 1), ("b", 150), ("c", 10**9)):
        copy(source, tmp_path / out, most)
        assert recorded.read(tmp_path / out) == recorded.read(source)
        assert is_whole(tmp_path / out, MADE_OF)
    files = [p.suffix for p in (tmp_path / "a").iterdir()]
    assert len(files) == 7 and not (tmp_path / "a" / "partial").exists()
    copy(tmp_path / "a", tmp_path / "again")
    assert recorded.read(tmp_path / "again") == recorded.read(source)


@pytest.mark.parametrize("storage", recorded.STORAGES)
def test_a_single_file_is_a_recording_too(tmp_path, storage):
    """As somebody may have taken it out of its folder."""
    source = recorded.write(tmp_path / "in", some(), storage)
    (file,) = (p for p in source.iterdir() if p.suffix != ".yaml")
    recording = Recording(file)
    assert recording.storage == storage and recording.count == 6
    assert [m.time for m in recording.messages()] == [10**9 * i for i in range(1, 7)]
    recording.close()


@pytest.mark.parametrize("stop", range(1, 7))
def test_what_was_whole_is_kept_when_a_copy_is_killed(tmp_path, stop):
    """At any message; until then it is no recording that anybody would take for whole."""
    source = recorded.write(tmp_path / "in", some())
    copy(source, tmp_path / "out", 100, stop)
    assert not (tmp_path / "out" / "metadata.yaml").exists()
    assert not is_whole(tmp_path / "out", MADE_OF)
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").glob("*.mcap")}
    copy(source, tmp_path / "out", 100)
    assert recorded.read(tmp_path / "out") == recorded.read(source)
    assert all(p.stat().st_mtime_ns == time for p, time in before.items())
    assert bool(before) == (stop > 2)


def test_a_copy_of_something_else_is_not_continued(tmp_path):
    """Neither of another recording, nor over one that was not ours."""
    source = recorded.write(tmp_path / "in", some())
    copy(source, tmp_path / "out", 1, stop=4)
    with pytest.raises(RecordingError, match="was made with recording this, not with that"):
        Parts(tmp_path / "out", "mcap", {"recording": "that"})
    copy(source, tmp_path / "out", 1)
    with pytest.raises(RecordingError, match="was made with recording this, not with that"):
        is_whole(tmp_path / "out", {"recording": "that"})
    with pytest.raises(RecordingError, match="that this command has not written"):
        is_whole(source, MADE_OF)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "holiday.jpg").touch()
    with pytest.raises(RecordingError, match="is not empty"):
        Parts(tmp_path / "full", "mcap", MADE_OF)


def test_what_is_no_recording_is_named(tmp_path):
    """With what to do where a recorder was killed."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(RecordingError, match="ros2 bag reindex"):
        Recording(tmp_path / "empty")
    (tmp_path / "a.mcap").write_bytes(b"no recording")
    for path in (tmp_path / "a.mcap", tmp_path / "missing"):
        with pytest.raises(RecordingError, match=f"{path} cannot be read as a recording: "):
            Recording(path)


def test_a_file_that_is_broken_says_where(tmp_path):
    """After the last message that could be read."""
    large = np.zeros((600, 600, 3), np.uint8)  # of a chunk each
    messages = [("/image", 10**9 * i, recorded.image(10**9 * i, large)) for i in range(1, 6)]
    source = recorded.write(tmp_path / "in", messages)
    file = source / "in.mcap"
    content = bytearray(file.read_bytes())
    middle = len(content) // 2
    content[middle - 600_000 : middle + 600_000] = b"\xff" * 1_200_000
    file.write_bytes(content)
    recording, read = Recording(source), []
    with pytest.raises(RecordingError, match=r"is broken after /image at [12]\.000000000 \("):
        for message in recording.messages():
            read.append(message.data)
    assert read[0] == recorded.encode(messages[0][2])
    recording.close()


def test_bytes_that_are_no_message_are_refused():
    """Whatever they are."""
    whole = recorded.encode(recorded.image(1, PIXELS))
    types = Types()
    assert types.decode(recorded.IMAGE, whole).width == 3
    for data in (b"", b"\0" * 4, whole[:20], whole[:-3], b"\xff" * len(whole)):
        with pytest.raises(RecordingError, match="it is no sensor_msgs/msg/Image"):
            types.decode(recorded.IMAGE, data)
