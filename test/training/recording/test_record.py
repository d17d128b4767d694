"""The command that makes a data set of a recording, where there is no ROS."""

import json

import cv2
import numpy as np
import pytest
import yaml
from support import peak, run_here, run_without_ros

pytest.importorskip("rosbags", reason="no rosbags: install the extra 'bags'")

import recorded

from sosd_ros.recordings import RecordingError
from training import record
from training.data.errors import DataError
from training.recording import hiding

SECOND = 10**9
IMAGES, DEPTH = "/cam/image_raw", "/cam/depth_registered/image_raw"
WORLD = cv2.resize(
    np.random.default_rng(1).integers(0, 255, (24, 400, 3), np.uint8), (1600, 96), None, 0, 0, 2
)


def seen(place):
    """What the camera sees that looks at a column of the world."""
    return np.ascontiguousarray(WORLD[:64, place : place + 96])


def drive(places, depth=2.0, late=0, d=(), start=1):
    """Two images a second, with depth of millimetres that grows by a millimetre an image."""
    messages = []
    for number, place in enumerate(places):
        time = start * SECOND + number * SECOND // 2
        messages.append((IMAGES, time, recorded.image(time, seen(place))))
        messages.append(("/cam/camera_info", time, recorded.camera_info(time, d=d)))
        if depth:
            pixels = np.full((64, 96), round(1000 * depth) + number, np.uint16)
            pixels[:16] = 0
            deep = recorded.image(time + late, pixels, "16UC1")
            messages.append((DEPTH, time + late, deep))
    return sorted(messages, key=lambda message: message[1])


WAY = [*range(0, 800, 40), *[800] * 20, *range(800, 1500, 40)]


@pytest.fixture
def make(tmp_path):
    """The command in this process; what it has written."""

    def run(messages, *arguments, out="out"):
        source = tmp_path / "bag"
        if not source.exists():
            recorded.write(source, messages)
        run_here(record, source, "--out", tmp_path / out, *arguments)
        return tmp_path / out

    return run


def frames(out):
    """Names of both lists, after a check that their files are there."""
    names = {side: (out / f"{side}.txt").read_text().split() for side in ("train", "val")}
    for name in [*names["train"], *names["val"]]:
        assert (out / "rgb" / f"{name}.jpg").is_file()
    return names


def contents(folder):
    """All files, by their paths in it."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def grey(path):
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def test_a_drive_becomes_a_data_set(make):
    """Each image with the depth of its own moment; standing still is one frame."""
    out = make(drive(WAY))
    names = frames(out)
    times = sorted(int(name) for side in names.values() for name in side)
    standing = [t for t in times if 1 + 10.5 <= t / SECOND < 1 + 19]
    assert len(standing) <= 1 and len(times) > 15
    assert 0.1 < len(names["val"]) / len(times) < 0.4
    for time in times:
        millimetres = grey(out / "depth" / f"{time}.png")
        number = (time - SECOND) // (SECOND // 2)
        assert set(np.unique(millimetres)) == {0, 2000 + number}
        image = cv2.imread(str(out / "rgb" / f"{time}.jpg"))[..., ::-1]
        assert np.abs(image.astype(int) - seen(WAY[number])).mean() < 15


def test_its_camera_is_told_as_drivers_read_it(make):
    camera = yaml.safe_load((make(drive(WAY)) / "camera.yaml").read_text())
    assert (camera["image_width"], camera["image_height"]) == (96, 64)
    assert camera["camera_matrix"]["data"] == [100, 0, 47.5, 0, 100, 31.5, 0, 0, 1]


def test_the_report_tells_what_was_found(make, capsys):
    out = make(drive(WAY))
    facts = json.loads((out / "record.json").read_text())
    assert facts["images"] == len(WAY) and facts["broken_messages"] == 0
    assert facts["depth_known"] == pytest.approx(0.75)
    assert facts["depth_metres"]["p50"] == pytest.approx(2.0, abs=0.1)
    page = (out / "report.html").read_text()
    assert page.count("<img") >= 15 and "http" not in page.replace("http-equiv", "")
    assert "half of it nearer than 2.0" in capsys.readouterr().out


def test_it_goes_on_where_it_was(make, monkeypatch):
    """What is there is not made again; and all is the same as without a stop."""
    out = make(drive(WAY))
    whole = contents(out)
    lost = sorted((out / "rgb").iterdir())[3]
    lost.unlink()
    before = {path: path.stat().st_mtime_ns for path in (out / "rgb").iterdir()}
    make(None)
    assert contents(out) == whole
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())


def test_other_options_need_another_folder(make):
    make(drive(WAY))
    with pytest.raises(DataError, match=r"was begun with same_view 0\.9, not 0\.5; .* another --o"):
        make(None, "--same-view", "0.5")


def test_depth_that_comes_late_is_taken_from_its_moment(make):
    """By ``--late``; without it, depth that is too far in time is of no use."""
    messages = drive(WAY, late=SECOND // 5)
    with pytest.raises(DataError, match="no frame to learn from"):
        make(messages)
    names = frames(make(None, "--late", "0.2", out="late"))
    assert names["train"] and names["val"]


def test_without_depth_there_are_images_only(make, capsys):
    out = make(drive(WAY, depth=0))
    assert frames(out)["train"] and not (out / "depth").exists()
    assert "only a teacher can say what these images show" in capsys.readouterr().err


def test_depth_of_another_camera_is_not_taken(make, capsys):
    """As of a stereo pair, whose depth lies in its infrared camera."""
    messages = drive(WAY)
    other = recorded.camera_info(SECOND, focal=60.0)
    messages.append(("/cam/depth_registered/camera_info", SECOND, other))
    out = make(messages)
    assert not (out / "depth").exists()
    assert f"{DEPTH} is of another camera" in capsys.readouterr().err
    with pytest.raises(DataError, match=r"fx 60\.0, cx 47\.5, where they have 100\.0 and"):
        make(None, "--depth", DEPTH, out="other")


def test_raw_images_and_their_depth_are_rectified_alike(make):
    """Towards the corners both are bent; the edge of depth stays sharp."""
    out = make(drive(WAY, d=(-0.3, 0.1)), "--rectified", "rectify")
    name = frames(out)["train"][0]
    millimetres = grey(out / "depth" / f"{name}.png")
    number = (int(name) - SECOND) // (SECOND // 2)
    assert set(np.unique(millimetres)) <= {0, 2000 + number}
    image = cv2.imread(str(out / "rgb" / f"{name}.jpg"))[..., ::-1].astype(int)
    assert np.abs(image - seen(WAY[number])).mean() > 8


def test_broken_messages_are_named_and_left_out(make, capsys):
    messages = drive(WAY)
    broken = next(i for i, m in enumerate(messages) if m[0] == IMAGES and m[1] > 3 * SECOND)
    messages[broken] = (IMAGES, messages[broken][1], (recorded.IMAGE, b"\0\1\0\0rubbish"))
    out = make(messages)
    assert json.loads((out / "record.json").read_text())["broken_messages"] == 1
    assert f"{IMAGES} at 3.5" in capsys.readouterr().err
    numbers = [(int(n) - SECOND) // (SECOND // 2) for n in frames(out)["train"]]
    for name, number in zip(frames(out)["train"], numbers, strict=True):
        assert grey(out / "depth" / f"{name}.png").max() == 2000 + number


def test_a_camera_that_zooms_is_refused(make):
    messages = drive(WAY)
    later = recorded.camera_info(50 * SECOND, focal=150.0)
    with pytest.raises(DataError, match="changes on the way: fx 100 at 96x64, and 150 at 96x64"):
        make([*messages, ("/cam/camera_info", 50 * SECOND, later)])


def test_topics_that_are_not_there_are_named(make):
    messages = drive(WAY)
    with pytest.raises(
        RecordingError, match=f"no images on /other; topics with images are {IMAGES}"
    ):
        make(messages, "--images", "/other")
    with pytest.raises(DataError, match="--lidar is /points, but"):
        make(None, "--lidar", "/points")


def points(time, cloud):
    data = np.ascontiguousarray(cloud, np.float32).reshape(-1).view(np.uint8)
    fields = [
        recorded.make("sensor_msgs/msg/PointField", name=name, offset=4 * i, datatype=7, count=1)
        for i, name in enumerate("xyz")
    ]
    return recorded.make(
        "sensor_msgs/msg/PointCloud2",
        header=recorded.header(time, "lidar"),
        height=1,
        width=len(cloud),
        fields=fields,
        is_bigendian=False,
        point_step=12,
        row_step=12 * len(cloud),
        data=data,
        is_dense=True,
    )


def transform(parent, child, place):
    x, y, z = place
    vector = recorded.make("geometry_msgs/msg/Vector3", x=x, y=y, z=z)
    # From the axes of a lidar, x forward, to those of a camera, z forward.
    turn = recorded.make("geometry_msgs/msg/Quaternion", x=-0.5, y=0.5, z=-0.5, w=0.5)
    made = recorded.make(
        "geometry_msgs/msg/TransformStamped",
        header=recorded.header(0, parent),
        child_frame_id=child,
        transform=recorded.make("geometry_msgs/msg/Transform", translation=vector, rotation=turn),
    )
    return recorded.make("tf2_msgs/msg/TFMessage", transforms=[made])


def test_a_lidar_is_seen_through_tf(make):
    """A wall three metres ahead of the lidar, which lies a metre behind the camera."""
    messages = drive(WAY, depth=0)
    wall = [[3.0, y / 10, z / 10] for y in range(-10, 11) for z in range(-5, 6)]
    clouds = [
        ("/points", time, points(time, wall)) for topic, time, _ in messages if topic == IMAGES
    ]
    tf = ("/tf_static", SECOND, transform("lidar", "camera", (1.0, 0.0, 0.0)))
    out = make([tf, *sorted([*messages, *clouds], key=lambda m: m[1])], "--lidar", "/points")
    millimetres = grey(out / "depth" / f"{frames(out)['train'][0]}.png")
    assert set(np.unique(millimetres)) == {0, 2000}
    assert 0.8 * 19 * 11 < np.count_nonzero(millimetres) <= 21 * 11


def test_a_lidar_without_tf_is_told(make, capsys):
    messages = drive(WAY, depth=0)
    clouds = [
        ("/points", t, points(t, [[3.0, 0, 0]])) for topic, t, _ in messages if topic == IMAGES
    ]
    with pytest.raises(DataError, match="no frame to learn from"):
        make(sorted([*messages, *clouds], key=lambda m: m[1]), "--lidar", "/points")
    assert "where lidar lies in camera at" in capsys.readouterr().err


def test_what_is_hidden_cannot_be_recognised():
    """A part of the picture is left in a few flat cells, and the rest as it was."""
    image = np.random.default_rng(2).integers(0, 255, (64, 96, 3), np.uint8)
    mask = np.zeros((64, 96), bool)
    mask[8:56, 16:64] = True
    found = hiding.hidden(image, mask)
    np.testing.assert_array_equal(found[~mask], image[~mask])
    assert len(np.unique(found[mask], axis=0)) <= 144
    assert found[mask].std() < image[mask].std() / 2


def test_classes_of_the_network_are_hidden(make, small_weights, monkeypatch):
    """Where it sees them: here nearly everywhere, or nowhere."""
    arguments = ("--weights", small_weights, "--device", "cpu")
    plain = make(drive(WAY))
    found = {}
    for name in ("wall", "floor"):
        where = hiding.classes([name], small_weights, "cpu")
        found[name] = where(seen(0)).mean()
    most = max(found, key=found.get)
    out = make(None, "--hide", most, *arguments, out="hidden")
    name = frames(out)["train"][0]
    picture, original = (cv2.imread(str(f / "rgb" / f"{name}.jpg")) for f in (out, plain))
    changed = np.abs(picture.astype(int) - original).max(axis=2) > 20
    assert bool(changed.mean() > 0.05) == bool(found[most] > 0.1)


def test_unknown_classes_and_files_are_refused(make, small_weights, tmp_path):
    arguments = ("--weights", small_weights, "--device", "cpu")
    with pytest.raises(ValueError, match=r"--hide has 'unicorn', but .* knows no such class"):
        make(drive(WAY), "--hide", "unicorn", *arguments)
    with pytest.raises(ValueError, match=r"--hide-faces is .*none.onnx, which does not exist"):
        make(None, "--hide-faces", tmp_path / "none.onnx")
    (tmp_path / "odd.onnx").write_bytes(b"no network")
    with pytest.raises(ValueError, match=r"odd.onnx, which is no face detector"):
        make(None, "--hide-faces", tmp_path / "odd.onnx")


def test_of_several_recordings_each_is_a_data_set(tmp_path, capsys):
    """The same as alone; what is there already is left as it is."""
    drives = [tmp_path / "a", tmp_path / "b.mcap"]
    recorded.write(drives[0], drive(WAY))
    recorded.write(tmp_path / "folder", drive(WAY[::-1], start=100))
    next((tmp_path / "folder").glob("*.mcap")).rename(drives[1])
    run_here(record, *drives, "--out", tmp_path / "both")
    for source, name in zip(drives, "ab", strict=True):
        run_here(record, source, "--out", tmp_path / "alone" / name)
    whole = contents(tmp_path / "both")
    assert whole == contents(tmp_path / "alone")
    capsys.readouterr()
    run_here(record, *drives, "--out", tmp_path / "both")
    assert capsys.readouterr().err.count("is there already, made of this recording") == 2
    assert contents(tmp_path / "both") == whole


def test_memory_holds_a_few_messages_however_many_there_are(make):
    count = 40

    def large():
        for number in range(count):
            time, pixels = (1 + number) * SECOND, np.zeros((480, 640, 3), np.uint8)
            pixels[:, number * 16 :] = 200  # each shows something else
            yield IMAGES, time, recorded.image(time, pixels)
            yield "/cam/camera_info", time, recorded.camera_info(time, 640, 480)

    make(large(), out="before")  # writes the recording, and loads what is loaded once
    most = peak(lambda: make(None))
    assert most < count * 480 * 640 * 3 / 2


def test_another_share_of_val_parts_anew(make):
    before = frames(make(drive(WAY)))
    after = frames(make(None, "--val", "0.4"))
    assert len(after["val"]) > len(before["val"])


def test_it_needs_no_ros(tmp_path):
    source = recorded.write(tmp_path / "bag", drive(WAY[:12]))
    done = run_without_ros("training.record", source, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out/train.txt").read_text()
