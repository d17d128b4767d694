"""Frames in a GPU's memory, through the real pipeline: a stand-in has the interface of cuda_buffer.

Its device memory is the CPU's. At the end of a handle it does the worst that real buffers may do
from then on: what was read is overwritten, and what was not written by then is not seen by readers.
"""

import sys
import time
from array import array
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from rclpy.lifecycle import LifecycleNode
from rclpy.node import Node
from robot import camera_info, picture
from sensor_msgs.msg import Image, PointCloud2
from std_msgs.msg import Header

import sosd_ros.engine.engine
from sosd_ros.camera_info import CameraInfoBuffer
from sosd_ros.engine import Request, load
from sosd_ros.engine.on_gpu import GpuProgram, Lane
from sosd_ros.ros import device_buffers, parameters
from sosd_ros.ros.device_buffers import SUBSCRIBED, DeviceBuffers, missing
from sosd_ros.ros.pipeline import Frame, Pipeline
from sosd_ros.ros.statistics import Statistics
from sosd_ros.ros.topics import OUTPUTS, CameraTopics
from sosd_ros.stamps import AgeLimit

CPU = torch.device("cpu")
STAYING = {"depth", "camera_info", "depth_uncertainty", "semantic", "confidence", "points"}
DATA = ("depth", "depth_uncertainty", "semantic", "confidence", "points")
BEING_WRITTEN = 0xAA


class Buffer:
    """A ``rosidl_buffer.Buffer``, whose memory only handles show."""

    backend_type = "cuda"

    def __init__(self, memory):
        self.memory = memory
        self.written = None  # what was there when its writer left the handle

    def __len__(self):
        return len(self.memory)

    def to_bytes(self):
        assert self.written is not None, "it was read before its writer had left the handle"
        return self.written


class CudaBuffer:
    """What ``cuda_buffer.CudaBuffer`` has of which the node makes use."""

    def __init__(self):
        self.by_pointer = {}

    def from_cpu(self, content):
        buffer = self._made(np.frombuffer(content, np.uint8).copy())
        buffer.written = content
        return buffer

    def allocate_buffer(self, size):
        return self._made(np.full(size, BEING_WRITTEN, np.uint8))

    def _made(self, content):
        buffer = Buffer(torch.from_numpy(content))
        self.by_pointer[buffer.memory.data_ptr()] = buffer.memory
        return buffer

    @contextmanager
    def from_input_buffer(self, buffer, stream):
        assert isinstance(stream, int) and buffer.written is not None
        yield SimpleNamespace(device_ptr=buffer.memory.data_ptr(), buffer=buffer)
        buffer.memory.fill_(BEING_WRITTEN)

    @contextmanager
    def from_output_buffer(self, buffer, stream):
        assert isinstance(stream, int) and buffer.written is None
        yield SimpleNamespace(device_ptr=buffer.memory.data_ptr(), buffer=buffer)
        buffer.written = buffer.memory.numpy().tobytes()

    def memory(self, pointer, size, device):
        memory = self.by_pointer[pointer]
        assert (len(memory), device) == (size, CPU)
        return memory


@pytest.fixture
def cuda(monkeypatch):
    """The stand-in, as if it were installed, and messages that hold buffers as Lyrical's do."""
    cuda = CudaBuffer()
    monkeypatch.setitem(sys.modules, "cuda_buffer", SimpleNamespace(CudaBuffer=cuda))
    monkeypatch.setattr(device_buffers, "_memory", cuda.memory)
    for kind in (Image, PointCloud2):
        accepting = property(lambda m: m._data, lambda m, value: setattr(m, "_data", value))
        monkeypatch.setattr(kind, "data", accepting)
    return cuda


@pytest.fixture(scope="module")
def engine(sharp):
    """With all answers, by the program that a GPU has."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            sosd_ros.engine.engine,
            "CpuProgram",
            lambda *arguments, canvas: GpuProgram(*arguments, Lane(CPU), canvas),
        )
        yield load(sharp, picture(), "cpu", Request("torch", "fp32"))


def image(encoding="rgb8", padding=0):
    """A message in the CPU's memory."""
    pixels = picture()[..., ::-1] if encoding == "bgr8" else picture()
    if encoding == "mono8":
        pixels = pixels[..., :1]
    rows = np.pad(pixels.reshape(len(pixels), -1), [(0, 0), (0, padding)])
    message = Image(header=Header(frame_id="camera"), encoding=encoding, height=64, width=96)
    message.step = rows.shape[1]
    message.data = array("B", rows.tobytes())
    return message


class Robot:
    """A pipeline with a camera for each message; ``answers`` of each by output."""

    def __init__(self, engine, outputs=STAYING, buffers=None, info=None, scaling=None, **changes):
        defaults = {p.name: p.default for p in parameters.PARAMETERS}
        settings = parameters.read(None, defaults | changes)
        self.outputs, self.info = set(outputs), info or camera_info()
        self.problems, self.answers, self.cameras = [], {}, {}
        self.statistics = Statistics(("front", "rear"), time.monotonic)
        self.pipeline = Pipeline(
            engine,
            self.cameras,
            self.statistics,
            lambda: settings,
            lambda camera, message, cause, what, is_ours: self.problems.append((cause, what)),
            pytest.fail,
            buffers,
            scaling,
        )

    def send(self, **sent):
        """Messages by camera, as one batch."""
        for name in sent:
            self.cameras[name] = self._camera(name)
        self.pipeline({name: Frame(message, 0.0) for name, message in sent.items()})
        return self

    def _camera(self, name):
        infos, heard = CameraInfoBuffer(), self.answers.setdefault(name, {})
        infos.add(self.info)

        def publisher(output):
            def publish(message):
                """To a peer in another place, who gets bytes."""
                data = getattr(message, "data", None)
                content = data.to_bytes() if isinstance(data, Buffer) else data
                assert output not in heard
                heard[output] = message, None if content is None else bytes(content)

            return SimpleNamespace(publish=publish)

        return SimpleNamespace(
            name=name,
            age=AgeLimit(time.time_ns, lambda: False),
            due=lambda rates, now: set(self.outputs),
            take_turn=lambda now: None,
            infos=infos,
            rays=lambda camera: camera.rays(),
            maps=lambda rectification: rectification.maps(),
            publishers={output: publisher(output) for output in OUTPUTS},
            image_topic="image",
        )

    def on_device(self, name="front"):
        """The outputs of a camera whose data are in buffers."""
        return {
            output
            for output, (message, _) in self.answers[name].items()
            if isinstance(getattr(message, "data", None), Buffer)
        }


def metres(robot):
    return np.frombuffer(robot.answers["front"]["depth"][1], np.float32)


def test_a_scale_with_a_shift_moves_depth_within_its_range(engine):
    """And what is compared is the network's own answer again."""
    seen = []
    scaling = SimpleNamespace(
        answers={"depth", "semantic"},
        scale=lambda camera: (2.0, 0.5),
        see=lambda camera, answer: seen.append(answer),
    )
    plain = metres(Robot(engine, {"depth"}).send(front=image("rgb8")))
    moved = 2 * plain + np.float32(0.5)
    limit = float(np.median(moved))
    robot = Robot(engine, {"depth"}, scaling=scaling, max_depth=limit)
    found = metres(robot.send(front=image("rgb8")))
    clear = np.abs(moved - limit) > 1e-3
    np.testing.assert_array_equal(np.isinf(found)[clear], (moved > limit)[clear])
    near = np.isfinite(found)
    np.testing.assert_allclose(found[near], moved[near], rtol=1e-5)
    [answer] = seen
    depth, _ = answer.as_answered
    np.testing.assert_allclose(depth.ravel()[near], plain[near], rtol=1e-5)
    assert answer.labels is not None and answer.frame_id == "camera"


def on_device(cuda, message):
    """The same message in the device's memory."""
    message.data = cuda.from_cpu(message.data.tobytes())
    return message


def assert_same(robot, expected, camera="front"):
    """The same outputs, in all that messages say and hold."""
    ours, theirs = robot.answers[camera], expected.answers[camera]
    assert ours.keys() == theirs.keys() == robot.outputs
    for output, (message, content) in ours.items():
        other, expected_content = theirs[output]
        assert content == expected_content, output
        if content is None:
            assert message == other
            continue
        for field in message.get_fields_and_field_types().keys() - {"data"}:
            assert getattr(message, field) == getattr(other, field), (output, field)


def bent_info():
    """Of a lens that folds back within the image: the corners see nothing."""
    info = camera_info(focal=60.0)
    info.distortion_model, info.d = "plumb_bob", [-0.25, 0.0, 0.0, 0.0, 0.0]
    return info


FAR = {  # of which some is beyond the range
    "max_depth": 1.8,
    "cloud_decimation": 3,
    "cloud_clearing_margin": 1.0,
    "cloud_uncertainty": True,
}


@pytest.mark.parametrize("encoding", ["rgb8", "bgr8"])
@pytest.mark.parametrize(
    ("padding", "info", "changes"),
    [
        (0, None, {}),
        (5, None, FAR),
        (0, bent_info(), {"rectified": "rays"}),
    ],
    ids=["plain", "clouds", "lens"],
)
def test_a_frame_that_stays_on_the_device_has_the_same_answers(
    engine, cuda, encoding, padding, info, changes
):
    """Byte for byte, in buffers: all outputs but pictures for people."""
    expected = Robot(engine, info=info, **changes).send(front=image(encoding, padding))
    assert not expected.on_device()
    depth = np.frombuffer(expected.answers["front"]["depth"][1], np.float32)
    assert np.isfinite(depth).any() and np.isfinite(depth).all() == (not changes)
    robot = Robot(engine, STAYING, DeviceBuffers(CPU, 1), info, **changes)
    robot.send(front=on_device(cuda, image(encoding, padding)))
    assert robot.on_device() == set(DATA)
    assert_same(robot, expected)
    assert robot.problems == expected.problems
    assert robot.statistics.snapshot().cameras["front"].answered == 1


def test_a_camera_off_the_axis_has_its_points_beside_it(engine, cuda):
    """The right camera of a stereo pair, whose P has a baseline."""
    info = camera_info()
    info.p[3] = -12.0
    expected = Robot(engine, {"points"}, info=info).send(front=image())
    robot = Robot(engine, {"points"}, DeviceBuffers(CPU, 1), info)
    robot.send(front=on_device(cuda, image()))
    assert robot.on_device() == {"points"}
    assert_same(robot, expected)


@pytest.mark.parametrize(
    ("encoding", "outputs", "changes"),
    [
        ("mono8", STAYING, {}),
        ("rgb8", {*STAYING, "overlay"}, {}),
        ("rgb8", {*STAYING, "depth_colored"}, {}),
        ("rgb8", STAYING, {"depth_encoding": "16UC1"}),
        ("rgb8", STAYING, {"confidence_threshold": 0.1}),
        ("rgb8", STAYING, {"rectified": "rectify"}),
        ("rgb8", STAYING, {"scale_from.points": True}),
        ("rgb8", STAYING, {"steady": True}),
    ],
)
def test_other_frames_go_through_arrays(engine, cuda, encoding, outputs, changes):
    """The whole frame, with the answers that it would have had."""
    expected = Robot(engine, outputs, **changes).send(front=image(encoding))
    robot = Robot(engine, outputs, DeviceBuffers(CPU, 1), **changes)
    robot.send(front=on_device(cuda, image(encoding)))
    assert not robot.on_device()
    assert_same(robot, expected)


def test_cameras_of_one_batch_each_go_their_way(engine, cuda):
    """One publishes on the GPU, the other does not."""
    robot = Robot(engine, STAYING, DeviceBuffers(CPU, 2))
    robot.send(front=on_device(cuda, image()), rear=image())
    assert robot.on_device("front") == set(DATA) and not robot.on_device("rear")
    for camera in ("front", "rear"):
        assert_same(robot, Robot(engine).send(**{camera: image()}), camera)


def test_two_cameras_on_the_device_are_one_batch(engine, cuda):
    """As arrays are."""
    expected = Robot(engine).send(front=image(), rear=image("bgr8"))
    robot = Robot(engine, STAYING, DeviceBuffers(CPU, 2))
    robot.send(front=on_device(cuda, image()), rear=on_device(cuda, image("bgr8")))
    for camera in ("front", "rear"):
        assert robot.on_device(camera) == set(DATA)
        assert_same(robot, expected, camera)


def test_an_image_whose_sizes_do_not_fit_is_refused(engine, cuda):
    """In a sentence, before a pointer is read beyond its end."""
    message = on_device(cuda, image())
    message.height += 1
    robot = Robot(engine, STAYING, DeviceBuffers(CPU, 1)).send(front=message)
    ((cause, what),) = robot.problems
    assert cause == "data" and "image data is 18432 bytes, expected 18720" in what
    assert not robot.answers["front"]


def test_what_is_missing_is_said(monkeypatch):
    """The first thing that is, in the order in which one would see to it."""
    device = torch.device("cuda")
    monkeypatch.setitem(sys.modules, "cuda_buffer", None)  # no such module
    assert missing(CPU) == "the engine is on the device cpu, not on cuda"

    def without(self, kind, topic, callback, qos):
        raise NotImplementedError

    monkeypatch.setattr(Node, "create_subscription", without)
    assert missing(device).startswith("this rclpy has no acceptable_buffer_backends")

    def like_lyrical(self, kind, topic, callback, qos, *, acceptable_buffer_backends=""):
        raise NotImplementedError

    monkeypatch.setattr(Node, "create_subscription", like_lyrical)
    assert missing(device).startswith("cuda_buffer of the package cuda_buffer_py cannot be import")
    monkeypatch.setitem(sys.modules, "cuda_buffer", SimpleNamespace(CudaBuffer=CudaBuffer()))
    assert missing(device) == ""


class LyricalNode(LifecycleNode):
    """Takes the keyword of Lyrical's rclpy, and notes for what it was given."""

    def create_subscription(self, kind, topic, *arguments, acceptable_buffer_backends="", **others):
        self.asked = [*getattr(self, "asked", []), (topic, acceptable_buffer_backends)]
        return super().create_subscription(kind, topic, *arguments, **others)


@pytest.mark.parametrize("options", [SUBSCRIBED, {}])
@pytest.mark.parametrize("transport", ["raw", "compressed"])
def test_raw_images_alone_are_asked_for_on_the_device(transport, options):
    """With the parameter; else rclpy is given what every distribution knows."""
    node = LyricalNode("asking")
    try:
        topics = CameraTopics(node, "front", {"depth"}, lambda *_: None)
        topics.subscribe(transport, *[lambda message: None] * 3, **options)
        topics.destroy()
    finally:
        node.destroy_node()
    asked = {topic.split("/")[-1]: backends for topic, backends in node.asked}
    expected = "cuda" if transport == "raw" and options else ""
    name = "image" if transport == "raw" else "compressed"
    assert asked == {"camera_info": "", name: expected}


def test_a_node_that_lacks_something_says_so_and_answers(start_node, camera):
    """In one sentence, at configure."""
    node = start_node(device_buffers=True)
    camera.wait_until_active()
    camera.listen("depth")
    assert camera.answers(camera.send(image(), camera_info()), "depth")
    said = "device_buffers is true, but has no effect: the engine is on the device cpu"
    assert node.log.count(said) == 1


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_on_a_gpu_a_pointer_is_its_memory():
    """Not a copy of it: what is written there is seen."""
    device = torch.device("cuda")
    memory = torch.arange(200, dtype=torch.uint8, device=device)
    seen = device_buffers._memory(memory.data_ptr(), len(memory), device)
    assert (seen.device, seen.dtype) == (memory.device, torch.uint8)
    seen += 1
    assert torch.equal(memory, seen) and memory[0] == 1
