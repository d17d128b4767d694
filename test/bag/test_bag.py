"""The command that answers a recording, on a machine that has no ROS."""

import json

import numpy as np
import pytest
from support import EAGER_OPTIONS, peak, run_here, run_module, run_without_ros

pytest.importorskip("rosbags", reason="no rosbags: install the extra 'bags'")

import recorded

from sosd_ros import recordings
from sosd_ros.bag import __main__ as bag

SECOND = 10**9
OUTPUTS = ("depth", "camera_info", "semantic", "confidence", "points")


@pytest.fixture
def answer(small_weights):
    """The command in this process."""

    def run(*arguments):
        run_here(bag, *arguments, "--weights", small_weights, *EAGER_OPTIONS)

    return run


def picture(seed, height=64, width=96):
    return np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8)


def drive(camera="/front", count=3, start=1, kind=recorded.image, d=()):
    """Images at 1 s, 2 s and so on, each with its CameraInfo, which comes a little later."""
    messages = []
    for second in range(start, start + count):
        time = second * SECOND
        topic = f"{camera}/image" + "/compressed" * (kind is recorded.compressed)
        info = recorded.camera_info(time, focal=100.0 * second, d=d)
        messages += [(topic, time, kind(time, picture(second)))]
        messages += [(f"{camera}/camera_info", time + SECOND // 20, info)]
    return messages


@pytest.mark.parametrize("storage", recorded.STORAGES)
def test_everything_that_was_recorded_is_there_beside_the_answers(tmp_path, answer, storage):
    """Untouched, with answers that have the stamp and the time of their images."""
    other = ("/text", SECOND + 7, recorded.make("std_msgs/msg/String", data="hello"))
    source = recorded.write(tmp_path / "in", [*drive(), other], storage)
    answer(source, tmp_path / "out")
    found = recorded.read(tmp_path / "out")
    originals = [message for message in found if not message[0].startswith("/sosd/")]
    assert originals == recorded.read(source)
    for output in OUTPUTS:
        ours = [time for topic, time, _ in found if topic == f"/sosd/{output}"]
        assert ours == [SECOND, 2 * SECOND, 3 * SECOND]
        assert list(recorded.decoded(tmp_path / "out", f"/sosd/{output}")) == ours
    depth = recorded.decoded(tmp_path / "out", "/sosd/depth")
    metres = [np.median(message.data.view(np.float32)) for message in depth.values()]
    # Each by its own CameraInfo, though that came after its image.
    np.testing.assert_allclose(np.array(metres) / metres[0], [1, 2, 3], rtol=0.05)
    (names,) = [data for topic, _, data in found if topic == "/sosd/label_info/json"]
    assert b'"refrigerator"' in names


def test_each_camera_has_topics_of_its_own(tmp_path, answer, capfd):
    """Compressed images too; one of two forms of an image is enough, and depth is no picture."""
    deep = recorded.image(SECOND, np.ones((64, 96), np.float32), "32FC1")
    messages = [
        *drive("/front"),
        *drive("/rear", kind=recorded.compressed),
        ("/front/image/compressed", SECOND, recorded.compressed(SECOND, picture(1))),
        ("/front/depth/image", SECOND, deep),
    ]
    source = recorded.write(tmp_path / "in", sorted(messages, key=lambda m: m[1]))
    answer(source, tmp_path / "out", "--answers", "depth,semantic")
    found = {topic for topic, _, _ in recorded.read(tmp_path / "out")} - {m[0] for m in messages}
    assert found == {
        *("/sosd/front/depth", "/sosd/front/semantic", "/sosd/label_info/json"),
        *("/sosd/rear/depth", "/sosd/rear/semantic"),
    }
    front, rear = (
        recorded.decoded(tmp_path / "out", f"/sosd/{c}/depth") for c in ("front", "rear")
    )
    for one, other in zip(front.values(), rear.values(), strict=True):  # PNG loses nothing
        np.testing.assert_array_equal(one.data, other.data)
    assert "/front/depth/image is left out: image encoding '32FC1'" in capfd.readouterr().err
    answer(source, tmp_path / "one", "--topics", "/rear/image/compressed", "--answers", "depth")
    assert recorded.decoded(tmp_path / "one", "/sosd/depth").keys() == rear.keys()


def test_a_broken_image_is_refused_by_topic_and_time_and_the_rest_goes_on(tmp_path, answer, capfd):
    """One that is cut off, one of wrong size, and one without depth for want of a CameraInfo."""
    torn = recorded.image(2 * SECOND, picture(2))
    torn.data = torn.data[:-5]
    whole = recorded.encode(recorded.image(SECOND, picture(1)))
    messages = [
        ("/image", SECOND, recorded.image(SECOND, picture(1))),
        *[("/image", 2 * SECOND, torn), ("/image", 2 * SECOND + 5, (recorded.IMAGE, whole[:40]))],
        ("/camera_info", 3 * SECOND, recorded.camera_info(3 * SECOND)),
        ("/image", 4 * SECOND, recorded.image(4 * SECOND, picture(4))),
    ]
    source = recorded.write(tmp_path / "in", messages)
    with pytest.raises(ValueError, match="2 images were refused"):
        answer(source, tmp_path / "out", "--json")
    said = capfd.readouterr()
    assert "/image at 2.000000000: image data is 18427 bytes, expected 18432" in said.err
    assert "/image at 2.000000005: it is no sensor_msgs/msg/Image (" in said.err
    assert "/image has no metric depth: no CameraInfo has come yet (said once)" in said.err
    told = json.loads(said.out)
    assert told["topics"] == {"/image": {"answered": 2, "refused": 2}}
    assert list(recorded.decoded(tmp_path / "out", "/sosd/depth")) == [4 * SECOND]
    assert list(recorded.decoded(tmp_path / "out", "/sosd/semantic")) == [SECOND, 4 * SECOND]
    assert len(recorded.read(tmp_path / "out")) > len(messages)


def test_a_run_that_was_killed_goes_on_where_it_stopped(tmp_path, answer, monkeypatch, capfd):
    """With the same answers as one that was not, and with nothing answered twice."""
    source = recorded.write(tmp_path / "in", drive(count=5))
    answer(source, tmp_path / "whole")
    monkeypatch.setattr(recordings, "PART_BYTES", 1)
    monkeypatch.setattr(recordings.Parts.__init__, "__defaults__", (1,))
    made, answerer = [], bag.Answerer.__call__

    def until(self, camera, message):
        made.append(message.time // SECOND)
        if made == [1, 2, 3]:
            raise KeyboardInterrupt
        return answerer(self, camera, message)

    monkeypatch.setattr(bag.Answerer, "__call__", until)
    with pytest.raises(KeyboardInterrupt):
        answer(source, tmp_path / "out")
    assert not (tmp_path / "out" / "metadata.yaml").exists()
    answer(source, tmp_path / "out")
    assert made == [1, 2, 3, 3, 4, 5]
    assert recorded.read(tmp_path / "out") == recorded.read(tmp_path / "whole")
    answer(source, tmp_path / "out")
    assert "is there already, made of this recording; nothing to do" in capfd.readouterr().err


def test_memory_holds_a_few_messages_however_many_there_are(tmp_path, answer):
    def large(count):
        for second in range(1, count + 1):
            pixels = np.full((480, 640, 3), second, np.uint8)
            yield "/front/image", second * SECOND, recorded.image(second * SECOND, pixels)

    short = recorded.write(tmp_path / "short", large(2))
    answer(short, tmp_path / "short_answered", "--answers", "semantic")  # all that is loaded once
    count = 80
    long = recorded.write(tmp_path / "long", large(count))
    most = peak(lambda: answer(long, tmp_path / "long_answered", "--answers", "semantic"))
    assert most < count * 480 * 640 * 3 / 2


def test_raw_images_are_rectified_when_that_is_asked_for(tmp_path, answer):
    """As by the node's parameter: what is published beside the depth has no distortion."""
    source = recorded.write(tmp_path / "in", drive(count=1, d=(-0.3, 0.1)))
    infos, depths = [], []
    for rectified in ("true", "rectify"):
        answer(source, tmp_path / rectified, "--rectified", rectified)
        infos += recorded.decoded(tmp_path / rectified, "/sosd/camera_info").values()
        depths += recorded.decoded(tmp_path / rectified, "/sosd/depth").values()
    assert infos[0].d.any() and not infos[1].d.any()
    assert (depths[0].data != depths[1].data).any()


@pytest.mark.parametrize(
    ("messages", "arguments", "words"),
    [
        (drive(), ("--topics", "/left"), "no images on /left; topics with images are /front"),
        (drive()[1:2], (), "has no colour images"),
        (
            [*drive(), *drive("/sosd")],
            ("--answers", "camera_info"),
            "has /sosd/camera_info already",
        ),
    ],
    ids=["topic", "none", "taken"],
)
def test_what_cannot_be_answered_is_said_before_anything_is_written(
    tmp_path, answer, messages, arguments, words
):
    """In a sentence."""
    source = recorded.write(tmp_path / "in", messages)
    with pytest.raises(ValueError, match=words):
        answer(source, tmp_path / "out", *arguments)
    assert not (tmp_path / "out").exists()


def test_it_needs_no_ros(tmp_path, small_weights):
    """Neither rclpy nor messages can be imported; errors are one line, with status 1."""
    source = recorded.write(tmp_path / "in", drive(count=1))
    out = tmp_path / "out"
    done = run_without_ros("sosd_ros.bag", source, out, "--weights", small_weights, *EAGER_OPTIONS)
    assert done.returncode == 0, done.stderr
    assert "/front/image: 1 images answered in " in done.stdout
    assert len(recorded.decoded(tmp_path / "out", "/sosd/depth")) == 1
    done = run_module("sosd_ros.bag", tmp_path / "missing", tmp_path / "other")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: ") and "missing" in done.stderr
