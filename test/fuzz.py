"""Generated messages against the conversion layer and against the running node.

``python test/fuzz.py`` prints what was sent, what was refused by which cause, and memory before and
after; it fails on anything but an answer or a refusal that is counted.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import secrets
import sys
import tempfile
import time
from array import array
from collections import Counter
from pathlib import Path

import cv2
import hypothesis
import numpy as np
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from sosd_ros import messages
from sosd_ros.messages import MessageError
from sosd_ros.process import own_memory, use_local_middleware

CAUSES = {"encoding", "size", "step", "data", "compressed", "frame_id"}
CAUSES |= {"uncalibrated", "intrinsics"}
LONGEST_SENTENCE = 700  # characters, the list of all encodings included
ALLOWANCE = 48 * 2**20  # bytes that allocators may take on after warm-up, whatever the number
BURST = 40  # messages on their way over DDS: fewer than the depth of robot.RELIABLE
UINT32 = st.integers(0, 2**32 - 1)

# What cannot travel as a string is left out: surrogates and zeros.
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=400)
headers = st.builds(Header, frame_id=st.one_of(st.just("camera"), texts))
encodings = st.sampled_from(sorted(messages._LAYOUTS))
numbers = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([0.0, -0.0, 1e-308, 1e308, 1e6, 500.0]),
)


@st.composite
def images(draw):
    """Images that are right, wrong in one or two fields, or all wrong."""
    encoding = draw(encodings)
    layout = messages._LAYOUTS[encoding]
    width, height = (2 * draw(st.integers(1, 16)) for _ in "wh")
    message = Image(header=draw(headers), encoding=encoding, width=width, height=height)
    message.step = layout.row_bytes(width) + draw(st.sampled_from([0, 0, 1, 13]))
    size = message.step * layout.rows(height)
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
    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    return cv2.imencode(suffix, pixels)[1].tobytes()


PICTURES = [_encoded(".jpg"), _encoded(".png")]


@st.composite
def compressed_images(draw):
    """JPEG and PNG with bytes changed, cut or inserted, and bytes of no meaning."""
    data = bytearray(draw(st.sampled_from(PICTURES)))
    for _ in range(draw(st.integers(0, 6))):
        place = draw(st.integers(0, len(data) - 1))
        kind = draw(st.sampled_from(["change", "insert", "cut"]))
        if kind == "change":
            data[place] = draw(st.integers(0, 255))
        elif kind == "insert":
            data[place:place] = draw(st.binary(max_size=8))
        elif place:
            del data[place:]
    content = draw(st.one_of(st.just(bytes(data)), st.binary(max_size=64)))
    message = CompressedImage(header=draw(headers), format=draw(st.one_of(st.just("jpeg"), texts)))
    message.data = array("B", content)
    return message


@st.composite
def camera_infos(draw):
    """CameraInfos with numbers, sizes and regions of any value."""
    info = CameraInfo(header=draw(headers), width=96, height=64, distortion_model=draw(texts))
    k, p = [500.0, 0.0, 48.0, 0.0, 500.0, 32.0, 0.0, 0.0, 1.0], [0.0] * 12
    for matrix in (k, p):
        for place in draw(st.lists(st.integers(0, len(matrix) - 1), max_size=3)):
            matrix[place] = draw(numbers)
    info.k, info.p = k, p
    info.d = draw(st.lists(numbers, max_size=100))
    for name in ("width", "height", "binning_x", "binning_y"):
        if draw(st.booleans()):
            setattr(info, name, draw(st.one_of(st.integers(0, 200), UINT32)))
    for name in ("x_offset", "y_offset", "width", "height"):
        if draw(st.booleans()):
            setattr(info.roi, name, draw(UINT32))
    return info


everything = st.one_of(images(), compressed_images(), camera_infos())


def outcome(message):
    """``accepted``, or the cause of a refusal; an AssertionError for anything else."""
    try:
        messages.check_header(message.header)
        if isinstance(message, CameraInfo):
            messages.check_info(message)
            rays = messages.intrinsics_of(message)
            assert np.isfinite([rays.fx, rays.fy, rays.cx, rays.cy, rays.focal]).all()
            assert min(rays.width, rays.height) > 0
        else:
            raw = isinstance(message, Image)
            rgb = (messages.image_to_rgb if raw else messages.compressed_to_rgb)(message)
            assert rgb.dtype == np.uint8 and rgb.ndim == 3 and rgb.shape[2] == 3
            assert not raw or rgb.shape[:2] == (message.height, message.width)
    except MessageError as error:
        assert error.cause in CAUSES, error.cause
        assert len(str(error)) <= LONGEST_SENTENCE, len(str(error))
        return error.cause
    return "accepted"


def generate(strategy, examples, seed, use):
    """Call ``use`` with so many messages; a failing one is reduced to its least form."""

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
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


def fuzz_conversion(examples, seed):
    """Outcomes by kind of message, and memory after a tenth and at the end."""
    counts, memory = Counter(), []

    def use(message):
        counts[type(message).__name__, outcome(message)] += 1

    for part in range(10):  # each forgets what hypothesis remembers of the one before
        with silent_decoders():
            generate(everything, -(-examples // 10), seed + part, use)
        gc.collect()
        memory.append(own_memory(os.getpid()))
    return counts, memory[0], memory[-1]


def fuzz_node(node, camera, examples, seed):
    """Send images and CameraInfos to a running node; what was sent, and the node's account.

    Args:
        node: a ``robot.NodeProcess`` with ``robot.RELIABLE``.
        camera: a ``robot.Camera`` that hears depth and labels, and the diagnostics.

    Returns:
        Outcomes of the images as the conversion foresees them, the node's values, and its memory
        after a tenth and at the end.
    """
    foreseen = Counter()
    received = int(camera.fresh_values("camera")["received"])
    memory = []

    def caught_up():
        # Silence would be an error of the node's: it must have heard of every image.
        values = camera.values("camera")
        return int(values["received"]) == received + foreseen.total()

    def use(message):
        stamp = camera.header().stamp
        message.header.stamp = stamp
        if isinstance(message, CameraInfo):
            camera.infos.publish(message)
            return
        foreseen[outcome(message)] += 1
        camera.images.publish(message)
        if foreseen.total() % BURST == 0:
            camera.wait(caught_up, "the node to have heard all images")
            assert node.process.poll() is None, node.log

    for part in (examples // 10, examples - examples // 10):
        generate(st.one_of(images(), images(), camera_infos()), part, seed + part, use)
        camera.wait(caught_up, "the node to have heard all images")
        memory.append(own_memory(node.process.pid))

    def settled():
        values = camera.values("camera")
        dropped = sum(int(n) for key, n in values.items() if key.startswith("dropped: "))
        return caught_up() and int(values["received"]) == int(values["answered"]) + dropped

    camera.wait(settled, "an account of every image")
    return foreseen, camera.values("camera"), *memory


def _show(title, counts, before, after):
    print(f"\n{title}")
    for key, count in sorted(counts.items()):
        print(f"  {key if isinstance(key, str) else ' '.join(key):<34}{count:>9}")
    print(f"  {'memory after a tenth':<34}{before / 2**20:>9.1f} MiB")
    print(f"  {'memory at the end':<34}{after / 2**20:>9.1f} MiB")
    if after > before + ALLOWANCE:
        sys.exit(f"failed: memory grew by more than {ALLOWANCE >> 20} MiB")


def _fuzz_running_node(examples, seed):
    import rclpy
    from robot import RELIABLE, Camera, NodeProcess, camera_info
    from support import write_small_weights

    use_local_middleware()
    os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))
    rclpy.init()
    with tempfile.TemporaryDirectory() as folder:
        weights = write_small_weights(Path(folder) / "small.safetensors")
        node = NodeProcess(Path(folder) / "log", weights=weights, device="cpu", **RELIABLE)
        camera = Camera()
        try:
            camera.wait_until_active()
            camera.listen_diagnostics()
            camera.listen("depth", "semantic")
            stamp = camera.send(camera.make_image(camera.header()), camera_info())
            camera.answers(stamp, "depth")  # then all those before have come
            foreseen, values, before, after = fuzz_node(node, camera, examples, seed)
            camera.listen("points")  # a good frame is answered
            status = node.end()
        finally:
            node.process.kill()
            camera.close()
            rclpy.shutdown()
    _show(f"{examples} messages over DDS: as foreseen", foreseen, before, after)
    print("  the node's account:")
    for key, value in values.items():
        print(f"  {key:<34}{value:>9}")
    if status != 0:
        sys.exit(f"failed: the node ended with status {status}")


def main():
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000, help="conversion (%(default)s)")
    parser.add_argument("--dds", type=int, default=5_000, help="over DDS (%(default)s)")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}")
    started = time.monotonic()
    if arguments.messages:
        counts, before, after = fuzz_conversion(arguments.messages, arguments.seed)
        _show(f"{counts.total()} messages to the conversion layer", counts, before, after)
    if arguments.dds:
        _fuzz_running_node(arguments.dds, arguments.seed)
    print(f"\npassed in {time.monotonic() - started:.0f} s: every message was answered or refused")


if __name__ == "__main__":
    main()
