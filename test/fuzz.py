"""Generated messages for the conversion layer and for the running node.

Whatever comes, it is answered or refused by a known cause, the node's counts are those that the
conversion layer foresees of the very messages, and memory does not grow. The environment's
``SOSD_FUZZ`` says how many messages a test sends, and ``SOSD_FUZZ_SEED`` which.
"""

from __future__ import annotations

import contextlib
import gc
import math
import os
import sys
from array import array
from collections import Counter, deque

import cv2
import hypothesis
import numpy as np
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st
from image_encodings import PIXEL_BYTES, rows_of
from rcl_interfaces.msg import Log
from rclpy.qos import DurabilityPolicy, QoSProfile
from robot import Camera, camera_info, picture
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from sosd_ros.camera_info import check_info, doubts_of, for_image, intrinsics_of
from sosd_ros.encodings import MAX_FRAME_ID, MessageError, check_header, to_rgb
from sosd_ros.lens import MODELS
from sosd_ros.testbed.process import own_memory

SEED = int(os.environ.get("SOSD_FUZZ_SEED", 20240607))
CAUSES = {"encoding", "size", "step", "data", "compressed", "frame_id"}
CAUSES |= {"uncalibrated", "intrinsics", "camera_info_size", "distortion"}
LONGEST_SENTENCE = 700  # characters, the list of all encodings included
# Bytes that a process may take on after a tenth of the messages, whatever their number. Over DDS,
# pools and allocators took up to 28 MiB while the first 3,000 came, and almost nothing after that;
# 2,500 messages that were kept would be hundreds, as many of the images carry 1 MiB.
ALLOWANCE = 40 * 2**20
UINT32 = st.integers(0, 2**32 - 1)
SIZE = (32, 24)  # width and height that CameraInfos and many images agree on


def messages_of(usual):
    """How many messages a test sends that usually sends so many; it prints that and the seed."""
    count = int(os.environ.get("SOSD_FUZZ", usual))
    print(f"{count} messages, seed {SEED}")
    return count


# What cannot travel as a string is left out: surrogates and zeros.
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=400)
frames = st.sampled_from(["camera"] * 9 + ["x" * (MAX_FRAME_ID + 1)])
headers = st.builds(Header, frame_id=st.one_of(frames, texts))
encodings = st.sampled_from(sorted(PIXEL_BYTES))
numbers = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([0.0, -0.0, 1e-308, 1e308, 1e6, 500.0]),
)


@st.composite
def images(draw):
    """Images that are right, wrong in one or two fields, or all wrong."""
    encoding = draw(encodings)
    even = st.integers(1, 16).map(lambda half: 2 * half)
    width, height = draw(st.one_of(st.just(SIZE), st.tuples(even, even)))
    message = Image(header=draw(headers), encoding=encoding, width=width, height=height)
    message.step = PIXEL_BYTES[encoding] * width + draw(st.sampled_from([0, 0, 1, 13]))
    size = message.step * rows_of(encoding, height)
    faults = {
        "encoding": texts,
        "width": st.one_of(st.integers(0, 40), UINT32),
        "height": st.one_of(st.integers(0, 40), UINT32),
        "step": st.one_of(st.integers(0, 200), UINT32),
        "is_bigendian": st.integers(0, 255),
    }
    for name in draw(st.lists(st.sampled_from(sorted(faults)), max_size=3)):
        setattr(message, name, draw(faults[name]))
    length = draw(st.one_of(st.just(size), st.integers(0, 2 * size), st.just(2**20)))
    message.data = array("B", bytes([draw(st.integers(0, 255))]) * length)
    return message


def _encoded(suffix):
    pixels = np.random.default_rng(0).integers(0, 256, (*SIZE[::-1], 3), np.uint8)
    return cv2.imencode(suffix, pixels)[1].tobytes()


def _grey(suffix, dtype):
    pixels = np.random.default_rng(0).integers(0, 256, SIZE[::-1], np.uint8)
    return cv2.imencode(suffix, pixels.astype(dtype) << (8 * np.dtype(dtype).itemsize - 8))[
        1
    ].tobytes()


PICTURES = [_encoded(".jpg"), _encoded(".png")]
PICTURES += [_grey(".jpg", np.uint8), _grey(".png", np.uint8), _grey(".png", np.uint16)]
# As image_transport writes them, of every encoding.
formats = st.builds(
    "{}; {} compressed {}".format,
    st.one_of(encodings, st.sampled_from(["16UC1", "32FC1", "mono12"])),
    st.sampled_from(["jpeg", "png"]),
    st.sampled_from(["", "bgr8", "bgr16", "rgb8", "mono8"]),
)


@st.composite
def compressed_images(draw):
    """JPEG and PNG with bytes changed, cut or inserted, and bytes of no meaning."""
    data = bytearray(draw(st.sampled_from(PICTURES)))
    for _ in range(draw(st.sampled_from([0, 0, 1, 2, 6]))):
        place = draw(st.integers(0, len(data) - 1))
        kind = draw(st.sampled_from(["change", "insert", "cut"]))
        if kind == "change":
            data[place] = draw(st.integers(0, 255))
        elif kind == "insert":
            data[place:place] = draw(st.binary(max_size=8))
        elif place:
            del data[place:]
    content = draw(st.one_of(st.just(bytes(data)), st.binary(max_size=64)))
    message = CompressedImage(
        header=draw(headers), format=draw(st.one_of(st.just("jpeg"), formats, texts))
    )
    message.data = array("B", content)
    return message


@st.composite
def camera_infos(draw):
    """CameraInfos with numbers, sizes and regions of any value."""
    models = st.one_of(st.sampled_from(MODELS), texts)
    info = CameraInfo(header=draw(headers), distortion_model=draw(models))
    info.width, info.height = SIZE
    k, p = [500.0, 0.0, 16.0, 0.0, 500.0, 12.0, 0.0, 0.0, 1.0], [0.0] * 12
    for matrix in (k, p):
        for place in draw(st.lists(st.integers(0, len(matrix) - 1), max_size=3)):
            matrix[place] = draw(numbers)
    info.k, info.p = k, p
    weak = st.lists(st.floats(-1, 1), max_size=8)
    info.d = draw(st.one_of(weak, st.lists(numbers, max_size=100)))
    for name in ("width", "height", "binning_x", "binning_y"):
        if draw(st.booleans()):
            setattr(info, name, draw(st.one_of(st.integers(0, 200), UINT32)))
    for name in ("x_offset", "y_offset", "width", "height"):
        if draw(st.booleans()):
            setattr(info.roi, name, draw(UINT32))
    return info


everything = st.one_of(images(), compressed_images(), camera_infos())


def look(info, size, rectified):
    """See an image through what a CameraInfo says of its lens; a MessageError if it cannot be."""
    reading = "sensor", rectified, "/image"
    view = for_image(info, info.header, size, *reading)
    doubts = doubts_of(info, view, size, *reading)
    assert all(len(doubt) <= LONGEST_SENTENCE for doubt in doubts.values())
    if math.prod(size) > 10_000:
        return
    if view.lens:
        x, y = view.lens.rays()
        points = np.stack([x, y, np.ones_like(x)], axis=-1)[~np.isnan(x)]
        assert np.isfinite(view.lens.project(points)).all()
    if view.rectification:
        maps = view.rectification.maps()
        shown = maps.places[maps.outside == 0]
        assert (shown >= 0).all() and (shown < size).all()


def outcome(message):
    """``accepted``, or the cause of a refusal; an AssertionError for anything else."""
    try:
        check_header(message.header)
        if isinstance(message, CameraInfo):
            check_info(message)
            rays = intrinsics_of(message)
            assert np.isfinite([rays.fx, rays.fy, rays.cx, rays.cy, rays.focal]).all()
            assert min(rays.width, rays.height) > 0
            size = rays.width, rays.height
            assert for_image(message, message.header, size).camera == rays
            for rectified in ("assumed", "rectify", "rays"):
                look(message, size, rectified)
        else:
            rgb = to_rgb(message)
            assert rgb.dtype == np.uint8 and rgb.ndim == 3 and rgb.shape[2] == 3
            if isinstance(message, Image):
                assert rgb.shape[:2] == (message.height, message.width)
    except MessageError as error:
        assert error.cause in CAUSES, error.cause
        assert len(str(error)) <= LONGEST_SENTENCE, len(str(error))
        return error.cause
    return "accepted"


def generate(strategy, examples, part, use, shrink=True):
    """Call ``use`` with so many messages of a part; a failing one is reduced to its least form."""

    @hypothesis.seed(SEED + part)
    @hypothesis.settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink] if shrink else [Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @hypothesis.given(strategy)
    def run(message):
        use(message)

    run()


@contextlib.contextmanager
def silent_decoders():
    """OpenCV's libraries write to the error stream what we put into sentences."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def fuzz_conversion(examples):
    """Outcomes by kind of message, and memory after a tenth and at the end."""
    counts, memory = Counter(), []

    def use(message):
        counts[type(message).__name__, outcome(message)] += 1

    for part in range(10):  # each forgets what hypothesis remembers of the one before
        with silent_decoders():
            generate(everything, -(-examples // 10), part, use)
        gc.collect()
        memory.append(own_memory(os.getpid()))
    return counts, memory[0], memory[-1]


def _good_jpeg(header):
    data = cv2.imencode(".jpg", picture())[1].tobytes()
    return CompressedImage(header=header, format="jpeg", data=array("B", data))


def _compressed_camera():
    return Camera(CompressedImage, _good_jpeg)


# By the node's image_transport, a camera and what it sends.
TRANSPORTS = {"raw": (Camera, images), "compressed": (_compressed_camera, compressed_images)}


def listen(camera):
    """Wait for the node, and listen to all that ``Conversation`` needs."""
    camera.wait_until_active()
    camera.listen_diagnostics()
    camera.listen("depth", "semantic")
    # Then all frames before this one have come.
    stamp = camera.send(camera.make_image(camera.header()), camera_info())
    camera.answers(stamp, "depth", "semantic")


def _text(stamp):
    return f"{stamp.sec}.{stamp.nanosec:09d}"


class Conversation:
    """Sends messages to a running node one by one, and foresees what it counts.

    The node keeps the newest image only, so each is sent when the one before has been handled:
    labels have come, or the node's log, which it also publishes, says that it was dropped.

    Args:
        node: a ``robot.NodeProcess`` with ``robot.RELIABLE``, which logs at level debug.
        camera: a ``robot.Camera`` that hears depth and labels, and the diagnostics.

    Attributes:
        foreseen: what the node should count, by the keys of its diagnostics.
    """

    def __init__(self, node, camera):
        self.foreseen = Counter()
        self._node, self._camera = node, camera
        self._info = None
        self._log = deque(maxlen=100)
        # Deep, and with what was said before: no line may be missed.
        qos = QoSProfile(depth=1000, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        camera.node.create_subscription(Log, "/rosout", self._note, qos)

    def _note(self, line):
        self._log.append(line.msg)

    def send(self, message):
        """Send an image or a CameraInfo under a stamp of its own."""
        message.header.stamp = self._camera.header().stamp
        if isinstance(message, CameraInfo):
            self._send_info(message)
        else:
            self._send_image(message)

    def send_good_pair(self):
        """Send a CameraInfo and an image that are right: all that was sent before is handled."""
        self.send(camera_info())
        self.send(self._camera.make_image(self._camera.header()))

    def _send_info(self, info):
        self._publish_info(info)
        # The order of two topics is not kept: it must have come before the next image is sent. The
        # node is silent on a CameraInfo that it takes, but says that it refuses the one behind it.
        refused = CameraInfo(header=self._camera.header())
        refused.header.frame_id = "x" * (MAX_FRAME_ID + 1)
        self._publish_info(refused)
        line = f"CameraInfo {_text(refused.header.stamp)} refused"
        self._camera.wait(lambda: self._is_told(line), "a CameraInfo to be refused")

    def _publish_info(self, info):
        try:
            check_info(info)
            self._info = info
        except MessageError as error:
            self.foreseen[f"without scale: {error.cause}"] += 1
        self._camera.infos.publish(info)

    def _send_image(self, image):
        self.foreseen["received"] += 1
        if (cause := outcome(image)) == "accepted":
            self.foreseen["answered"] += 1
            if without_scale := self._without_scale(image):
                self.foreseen[f"without scale: {without_scale}"] += 1
        else:
            self.foreseen[f"dropped: {cause}"] += 1
        self._camera.images.publish(image)
        self._camera.wait(lambda: self._is_handled(image.header.stamp), "an image's answer or end")

    def _without_scale(self, image):
        """Why an image that is accepted has no depth in metres; empty if it has."""
        height, width = to_rgb(image).shape[:2]
        try:
            for_image(self._info, image.header, (width, height))
        except MessageError as error:
            return error.cause
        return ""

    def _is_handled(self, stamp):
        labels = self._camera.heard["semantic"]
        if any(message.header.stamp == stamp for message in labels):
            labels.clear()
            return True
        frame = f"frame {_text(stamp)}"
        return self._is_told(f"{frame} dropped", f"{frame} lost")

    def _is_told(self, *beginnings):
        assert self._node.process.poll() is None, self._node.log[-2000:]
        return any(line.startswith(beginnings) for line in self._log)

    def counted(self):
        """What the node has counted, when each image that it received is accounted for."""

        def settled():
            counts = Counter()
            for key, value in self._camera.fresh_values("camera").items():
                if key.startswith(("received", "answered", "dropped: ", "without scale: ")):
                    counts[key] = int(value)
            ends = sum(n for key, n in counts.items() if key.startswith(("answered", "dropped")))
            return ends >= counts["received"] > 0 and counts

        return self._camera.wait(settled, "an account of every image")


def fuzz_node(node, camera, images, examples):
    """Send images and CameraInfos to a running node.

    Args:
        node: see ``Conversation``.
        camera: see ``Conversation``.
        images: makes the strategy of the images, between which CameraInfos are sent.
        examples: how many messages, at least ten.

    Returns:
        What was foreseen and what the node has counted, by the keys of its diagnostics, and its
        memory after a tenth and at the end.
    """
    conversation = Conversation(node, camera)
    conversation.send_good_pair()
    start = conversation.counted()
    conversation.foreseen.clear()
    strategy = st.one_of(images(), images(), camera_infos())
    memory = []
    for count in (examples // 10, examples - examples // 10):
        # Each is sent once: to reduce one, the node would have to be the same each time.
        with silent_decoders():
            generate(strategy, count, count, conversation.send, shrink=False)
        memory.append(own_memory(node.process.pid))
    conversation.send_good_pair()
    return conversation.foreseen, conversation.counted() - start, *memory
