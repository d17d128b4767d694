"""What is compiled before the node is active is all that images of any kind need."""

import itertools
import sys

import numba
import numpy as np
import pytest
from image_encodings import PIXEL_BYTES, rows_of
from numba.core.dispatcher import Dispatcher
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from support import reload_kernels

from sosd_ros import encodings, kernels, weights
from sosd_ros.camera import Intrinsics
from sosd_ros.engine import Range, Request, load
from sosd_ros.engine.answers import USUAL_RANGE
from sosd_ros.ros import messages

# Sizes of 4:2:0 are even; the others' are not, and a single row or column is one's own layout.
SIZES = {encoding: [(6, 8)] for encoding in PIXEL_BYTES}
SIZES["rgb8"] = [(6, 8), (5, 7), (1, 8), (8, 1)]
PADDINGS = (0, 1, 5)  # bytes after each row


@pytest.fixture
def fresh_kernels():
    reload_kernels()


@pytest.fixture(params=["small_weights", "sharp_weights"])
def engine(fresh_kernels, request):
    """The network with what surrounds it, on a CPU."""
    file = weights.read(request.getfixturevalue(request.param))
    frame = np.zeros((64, 96, 3), np.uint8)
    return load(file, frame, "cpu", Request("torch", "fp32"))


def compiled():
    """Of which arrays each kernel, and each function that it calls, has been compiled for."""
    modules = [m for name, m in sys.modules.items() if name.startswith(kernels.__name__)]
    found = {k for module in modules for k in vars(module).values() if isinstance(k, Dispatcher)}
    return {kernel.__name__: set(map(str, kernel.signatures)) for kernel in found}


def image_messages():
    """Every encoding, of rows with and without padding and of either byte order."""
    for encoding, pixel_bytes in PIXEL_BYTES.items():
        for (height, width), padding in itertools.product(SIZES[encoding], PADDINGS):
            for is_bigendian in range(2 if encoding.endswith("16") else 1):
                step = pixel_bytes * width + padding
                message = Image(encoding=encoding, height=height, width=width, step=step)
                message.is_bigendian = is_bigendian
                message.data.frombytes(bytes(step * rows_of(encoding, height)))
                yield message


def read_only(array):
    """A view that must not be written to, as of memory that others own."""
    view = array.view()
    view.flags.writeable = False
    return view


def answer(engine, image, answers, step, limits=USUAL_RANGE):
    """The way of a frame, from its picture to its cloud."""
    height, width = image.shape[:2]
    rays = Intrinsics(100.0, 100.0, 0.0, 0.0, width, height).rays()
    depth, labels, _, doubt = (
        None if a is None else a[0] for a in engine(image[None], [100.0], answers, limits)
    )
    if depth is not None:
        for form in (rays, np.broadcast_arrays(*rays)):  # of a pinhole, and of a lens
            messages.cloud_message(Header(), depth, form, image, labels, step, uncertainty=doubt)


def test_no_image_needs_what_is_not_compiled_yet(engine):
    """Every encoding, padded and not, writable and not, in batches, whatever is asked of it."""
    engine.warm_up(2)
    messages.warm_up()
    before = compiled()
    assert all(before[name] for name in ("prepare", "metres", "classify", "cloud"))
    # Kernels see but the array's size and type, and what is alike need not be answered twice.
    images = [encodings.to_rgb(message) for message in image_messages()]
    images = {(image.shape, str(numba.typeof(image))): image for image in images}
    for image in images.values():
        answer(engine, image, {"depth", "semantic"}, 1)
        answer(engine, read_only(image), {"depth", "semantic"}, 2)
    image = np.zeros((48, 64, 3), np.uint8)
    for answers in ({"depth"}, {"semantic"}, {"confidence"}, {"depth", "semantic", "confidence"}):
        for step in (1, 3):
            answer(engine, image, answers, step)
    engine(np.stack([image, image]), [100.0] * 2, engine.answers)
    for answers in ({"depth"}, {"uncertainty"}, {"depth", "semantic", "uncertainty"}):
        answer(engine, image, answers, 1, Range(0.2, 5.0, 0.1))
    assert compiled() == before


def test_a_cloud_is_the_same_from_memory_of_any_layout(fresh_kernels, random):
    """Strided, transposed, read-only or unaligned; nothing is compiled for it."""
    messages.warm_up()
    before = compiled()
    depth = random.uniform(1, 9, (4, 6)).astype(np.float32)
    rgb, labels = (random.integers(0, 256, shape, np.uint8) for shape in ((4, 6, 3), (4, 6)))
    rays = np.float32([range(6)]), np.float32([range(4)]).T

    def others(array):
        unaligned = np.frombuffer(b"." + array.tobytes(), array.dtype, offset=1)
        return [
            np.repeat(array, 2, -1)[..., ::2],
            np.asfortranarray(array),
            read_only(array),
            unaligned.reshape(array.shape),
        ]

    expected = messages.cloud_message(Header(), depth, rays, rgb, labels)
    for arrays in zip(*map(others, (depth, *rays, rgb, labels)), strict=True):
        cloud = messages.cloud_message(Header(), arrays[0], arrays[1:3], *arrays[3:])
        assert cloud == expected
    assert compiled() == before
