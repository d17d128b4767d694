"""ROS messages to and from arrays: real messages, and values worked out by hand.

Conversions that only move bytes are compared exactly. Chroma and Bayer ones are compared on areas
of one colour, where interpolation has nothing to do; YUV within 2 of 255, for BT.601 in integers.
"""

import struct
import tracemalloc
import zlib
from array import array
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from image_encodings import PIXEL_BYTES, rows_of
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CompressedImage, Image, PointField
from std_msgs.msg import Header

from sosd_ros import encodings
from sosd_ros.ros import messages
from sosd_ros.ros.diagnostics import Health, Thresholds, statuses
from sosd_ros.ros.statistics import Statistics

HEADER = Header(stamp=Time(sec=12, nanosec=345), frame_id="camera_optical_frame")

SIXTEEN_BIT = [encoding for encoding in PIXEL_BYTES if encoding.endswith("16")]
BAYER = [encoding for encoding in PIXEL_BYTES if encoding.startswith("bayer")]


def image(encoding, rows, width, height=None, **changes):
    """A message of ``rows``, (rows, bytes) uint8, as it would come from a camera."""
    rows = np.asarray(rows, np.uint8)
    message = Image(
        header=HEADER, encoding=encoding, width=width, height=height or len(rows), **changes
    )
    message.step = message.step or rows.shape[1]
    message.data.frombytes(rows.tobytes())
    return message


def random_image(encoding, random, width=8, height=6):
    """A message of random bytes."""
    rows = rows_of(encoding, height)
    content = random.integers(0, 256, (rows, PIXEL_BYTES[encoding] * width), np.uint8)
    return image(encoding, content, width, height)


def memory(message):
    return np.frombuffer(message.data, np.uint8)


# Images to arrays


@pytest.mark.parametrize(
    ("encoding", "pixel"),
    [
        ("rgb8", [10, 20, 30]),
        ("rgba8", [10, 20, 30, 99]),
        ("bgr8", [30, 20, 10]),
        ("bgra8", [30, 20, 10, 99]),
        ("8UC3", [30, 20, 10]),
        ("8UC4", [30, 20, 10, 99]),
        ("rgb16", [1, 10, 2, 20, 3, 30]),
        ("rgba16", [1, 10, 2, 20, 3, 30, 4, 99]),
        ("bgr16", [3, 30, 2, 20, 1, 10]),
        ("bgra16", [3, 30, 2, 20, 1, 10, 4, 99]),
    ],
)
def test_a_pixel_of_every_colour_encoding(encoding, pixel):
    """Red 10, green 20, blue 30: channels find their place, alpha and the lesser bytes go."""
    other = [7] * len(pixel)  # in another place, so that order matters
    rgb = encodings.to_rgb(image(encoding, [pixel + other, other + pixel], width=2))
    expected = [[[10, 20, 30], [7, 7, 7]], [[7, 7, 7], [10, 20, 30]]]
    np.testing.assert_array_equal(rgb, expected)
    assert rgb.dtype == np.uint8


@pytest.mark.parametrize("encoding", ["mono8", "8UC1", "mono16"])
def test_grey_becomes_three_equal_channels(encoding):
    """Of mono16, 0x0A01 little endian, the byte 0x0A counts."""
    row = [1, 10, 2, 200] if encoding == "mono16" else [10, 200]
    rgb = encodings.to_rgb(image(encoding, [row], width=2))
    np.testing.assert_array_equal(rgb, [[[10, 10, 10], [200, 200, 200]]])


@pytest.mark.parametrize("encoding", BAYER)
def test_a_bayer_pattern_is_named_from_the_top_left_pixel(encoding):
    """A mosaic of one colour, laid out as the letters say, is that colour everywhere.

    OpenCV's names for the patterns start one pixel further right and down: taken literally, red
    and blue (or the greens with both) change places.
    """
    value = {"r": 200, "g": 120, "b": 40}
    letters = encoding[len("bayer_") : len("bayer_rggb")]
    tile = np.array([value[letter] for letter in letters], np.uint8).reshape(2, 2)
    mosaic = np.tile(tile, (3, 4))
    if encoding.endswith("16"):
        mosaic = (mosaic.astype("<u2") << 8 | 77).view(np.uint8)
    rgb = encodings.to_rgb(image(encoding, mosaic, width=8))
    np.testing.assert_array_equal(rgb, np.full((6, 8, 3), (200, 120, 40)))


# BT.601, luma 16..235: (Y, U, V) of full red, of full blue, and of white.
RED, BLUE, WHITE = (81, 90, 240), (41, 240, 110), (235, 128, 128)
YUV_COLOURS = [RED, BLUE, WHITE]
RGB_COLOURS = [(255, 0, 0), (0, 0, 255), (255, 255, 255)]


@pytest.mark.parametrize("encoding", ["uyvy", "yuv422", "yuyv", "yuv422_yuy2"])
def test_422_colours(encoding):
    """Pairs of red, blue and white pixels; yuv422 is UYVY, yuv422_yuy2 is YUYV."""
    is_uyvy = encoding in ("uyvy", "yuv422")
    row = [b for y, u, v in YUV_COLOURS for b in ((u, y, v, y) if is_uyvy else (y, u, y, v))]
    rgb = encodings.to_rgb(image(encoding, [row, row, row], width=6))
    expected = np.tile(np.repeat(RGB_COLOURS, 2, axis=0), (3, 1, 1))
    np.testing.assert_allclose(rgb, expected, atol=2)


@pytest.mark.parametrize("encoding", ["nv12", "nv21"])
def test_420_colours(encoding):
    """2x2 blocks of red, blue and white: luma rows, then U and V (nv12) or V and U (nv21)."""
    luma = [y for y, _, _ in YUV_COLOURS for _ in range(2)]
    chroma = [b for _, u, v in YUV_COLOURS for b in ((u, v) if encoding == "nv12" else (v, u))]
    rows = [luma] * 4 + [chroma] * 2
    rgb = encodings.to_rgb(image(encoding, rows, width=6, height=4))
    expected = np.tile(np.repeat(RGB_COLOURS, 2, axis=0), (4, 1, 1))
    np.testing.assert_allclose(rgb, expected, atol=2)


def test_the_refusal_of_an_encoding_lists_those_supported():
    """They are the ones that this file tests."""
    with pytest.raises(ValueError, match="'jpeg' is not supported") as refusal:
        encodings.to_rgb(Image(encoding="jpeg"))
    listed = str(refusal.value).partition("publish one of ")[2].split(", ")
    assert sorted(listed) == sorted(PIXEL_BYTES)


@pytest.mark.parametrize("padding", [1, 6, 32])
@pytest.mark.parametrize("encoding", PIXEL_BYTES)
def test_bytes_between_rows_do_not_count(encoding, padding, random):
    """A picture is the same with rows padded by junk, odd numbers of bytes included."""
    message = random_image(encoding, random)
    rows = memory(message).reshape(-1, message.step)
    junk = random.integers(0, 256, (len(rows), padding), np.uint8)
    padded = image(encoding, np.hstack([rows, junk]), message.width, message.height)
    assert padded.step == message.step + padding
    np.testing.assert_array_equal(encodings.to_rgb(padded), encodings.to_rgb(message))


@pytest.mark.parametrize("encoding", SIXTEEN_BIT)
def test_big_endian_pictures_are_the_same_pictures(encoding, random):
    """Bytes swapped and ``is_bigendian`` set: the same RGB."""
    little = random_image(encoding, random)
    swapped = memory(little).view(np.uint16).byteswap().view(np.uint8).reshape(6, -1)
    big = image(encoding, swapped, little.width, is_bigendian=1)
    np.testing.assert_array_equal(encodings.to_rgb(big), encodings.to_rgb(little))


@pytest.mark.parametrize("encoding", ["rgb8", "bgr8", "yuyv", "nv12"])
def test_endianness_means_nothing_to_bytes(encoding, random):
    """Some drivers set ``is_bigendian`` on 8 bit images."""
    message = random_image(encoding, random)
    expected = encodings.to_rgb(message).copy()
    message.is_bigendian = 1
    np.testing.assert_array_equal(encodings.to_rgb(message), expected)


@pytest.mark.parametrize("padding", [0, 5])
def test_rgb8_is_looked_at_not_copied(padding, random):
    """With and without padding, the picture is the message's own memory."""
    rows = random.integers(0, 256, (4, 6 * 3 + padding), np.uint8)
    message = image("rgb8", rows, width=6)
    rgb = encodings.to_rgb(message)
    assert np.shares_memory(rgb, memory(message))
    assert rgb.flags.c_contiguous == (padding == 0)
    message.data[3] = 123  # second pixel of the first row, red
    assert rgb[0, 1, 0] == 123


@pytest.mark.parametrize("encoding", sorted(set(PIXEL_BYTES) - {"rgb8"}))
def test_converted_pictures_are_their_own(encoding, random):
    """All others do not share the message's memory, and lie in one piece."""
    message = random_image(encoding, random)
    rgb = encodings.to_rgb(message)
    assert not np.shares_memory(rgb, memory(message))
    assert rgb.flags.c_contiguous
    assert (rgb.shape, rgb.dtype) == ((6, 8, 3), np.uint8)


@pytest.mark.parametrize(
    ("encoding", "changes", "sentence"),
    [
        ("32FC1", {}, "encoding '32FC1' is not supported; let the camera publish one of rgb8, "),
        ("16UC1", {}, "encoding '16UC1' is not supported"),
        ("nv24", {}, "encoding 'nv24' is not supported"),
        ("RGB8", {}, "encoding 'RGB8' is not supported"),
        ("", {}, "encoding '' is not supported"),
        ("rgb8", {"width": 0}, "size is 0x6, expected 1 to 16777216 pixels; fix"),
        ("rgb8", {"height": 0}, "size is 8x0, expected 1 to"),
        ("rgb8", {"width": 2**32 - 1, "height": 2**32 - 1}, "size is 4294967295x4294967295, "),
        ("mono8", {"width": 4096, "height": 4097}, "size is 4096x4097, expected 1 to 16777216"),
        ("rgb8", {"step": 0}, "step is 0 bytes, expected at least 24 for 8 pixels of rgb8; fix"),
        ("rgb8", {"step": 23}, "step is 23 bytes, expected at least 24"),
        ("rgb16", {"step": 47}, "step is 47 bytes, expected at least 48 for 8 pixels of rgb16"),
        ("yuyv", {"step": 15}, "step is 15 bytes, expected at least 16"),
        ("rgb8", {"step": 2**32 - 1}, "data is 144 bytes, expected 25769803770 for 6 lines"),
        ("rgb8", {"height": 5}, "data is 144 bytes, expected 120 for 5 lines of rgb8 with step 24"),
        ("rgb8", {"height": 7}, "data is 144 bytes, expected 168"),
        ("rgb8", {"step": 25}, "data is 144 bytes, expected 150"),
        ("nv12", {"height": 8}, "data is 72 bytes, expected 96 for 8 lines of nv12 with step 8"),
        ("uyvy", {"width": 7}, "uyvy image is 7x6, expected a width divisible by 2"),
        ("nv12", {"width": 7}, "nv12 image is 7x6, expected a width divisible by 2 and a height"),
        ("nv21", {"height": 5}, "nv21 image is 8x5, .* a height divisible by 2; crop it"),
    ],
)
def test_malformed_images_are_refused_in_a_sentence(encoding, changes, sentence, random):
    """It names what is wrong, its value, what was expected and what to do."""
    message = random_image("rgb8", random)
    if encoding in PIXEL_BYTES:
        message = random_image(encoding, random)
    message.encoding = encoding
    for name, value in changes.items():
        setattr(message, name, value)
    with pytest.raises(ValueError, match=sentence) as refusal:
        encodings.to_rgb(message)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("encoding", PIXEL_BYTES)
@pytest.mark.parametrize("change", [-1, 1])
def test_data_is_as_long_as_the_header_says(encoding, change, random):
    """A byte too few or too many is refused, in every encoding."""
    message = random_image(encoding, random)
    if change < 0:
        message.data.pop()
    else:
        message.data.append(0)
    with pytest.raises(ValueError, match=f"data is {len(message.data)} bytes, expected"):
        encodings.to_rgb(message)


def test_a_header_alone_costs_no_memory():
    """4096x4096 pixels are allowed, but must have come before anything is made of them."""
    message = Image(encoding="bgr8", width=4096, height=4096, step=4096 * 3)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="data is 0 bytes, expected 50331648"):
            encodings.to_rgb(message)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def real_cv_bridge():
    """The robot's own cv_bridge; never the ROS 1 namesake from PyPI, which ament does not know."""
    index = pytest.importorskip("ament_index_python", reason="needs a robot's ROS 2")
    try:
        prefix = Path(index.get_package_prefix("cv_bridge")).resolve()
    except (LookupError, OSError):  # no such package, or no environment sourced
        pytest.skip("the ROS 2 cv_bridge is not installed")
    cv_bridge = pytest.importorskip("cv_bridge", reason="the ROS 2 cv_bridge does not import here")
    if prefix not in Path(cv_bridge.__file__).resolve().parents:
        pytest.skip("another cv_bridge hides the one of ROS 2")
    return cv_bridge.CvBridge()


def test_cv_bridge_sees_the_same_picture(random):
    """Within 1 of 255, as cv_bridge rounds 16 bits to 8 where we cut them."""
    bridge = real_cv_bridge()
    unknown_to_it = {"8UC1", "8UC3", "8UC4", "uyvy", "yuyv", "nv12", "nv21"}
    for encoding in sorted(set(PIXEL_BYTES) - unknown_to_it):
        message = random_image(encoding, random)
        theirs = bridge.imgmsg_to_cv2(message, "rgb8").astype(int)
        ours = encodings.to_rgb(message)
        np.testing.assert_allclose(ours, theirs, atol=1, err_msg=encoding)


# Compressed images to arrays


def compressed(picture, extension=".png", format_="png"):
    """``picture`` as OpenCV has it: BGR, or grey."""
    return CompressedImage(format=format_, data=cv2.imencode(extension, picture)[1].tobytes())


def test_png_comes_back_exactly(random):
    """PNG loses nothing; OpenCV's BGR becomes RGB."""
    bgr = random.integers(0, 256, (6, 8, 3), np.uint8)
    rgb = encodings.to_rgb(compressed(bgr))
    np.testing.assert_array_equal(rgb, bgr[..., ::-1])


def test_jpeg_keeps_its_colours():
    """An area of one colour survives JPEG within 3 of 255."""
    bgr = np.full((16, 24, 3), (40, 120, 200), np.uint8)
    rgb = encodings.to_rgb(compressed(bgr, ".jpg", "bgr8; jpeg compressed bgr8"))
    np.testing.assert_allclose(rgb, np.full((16, 24, 3), (200, 120, 40)), atol=3)


@pytest.mark.parametrize("value", [np.uint8(77), np.uint16(77 << 8 | 77)])
def test_grey_and_deep_pngs_become_8_bit_rgb(value):
    """A grey PNG of 8 or 16 bits gives three equal channels of 8."""
    rgb = encodings.to_rgb(compressed(np.full((4, 6), value)))
    np.testing.assert_array_equal(rgb, np.full((4, 6, 3), 77))


def test_alpha_is_dropped():
    """A PNG with alpha 0 everywhere keeps its colour."""
    rgb = encodings.to_rgb(compressed(np.full((4, 6, 4), (30, 20, 10, 0), np.uint8)))
    np.testing.assert_array_equal(rgb, np.full((4, 6, 3), (10, 20, 30)))


def with_segment(message, segment):
    """A JPEG with one more segment after its start."""
    data = message.data.tobytes()
    return CompressedImage(format="jpeg", data=data[:2] + segment + data[2:])


def test_the_pixels_of_the_camera_count_not_its_exif_orientation():
    """A JPEG of 16x24 that asks to be shown on its side stays 16x24, as CameraInfo has it."""
    tiff = struct.pack("<2sHI HHHIHH I", b"II", 42, 8, 1, 0x0112, 3, 1, 6, 0, 0)
    exif = struct.pack(">HH", 0xFFE1, 2 + 6 + len(tiff)) + b"Exif\0\0" + tiff
    message = with_segment(compressed(np.zeros((16, 24, 3), np.uint8), ".jpg"), exif)
    turned = cv2.imdecode(memory(message), cv2.IMREAD_COLOR)
    assert turned.shape == (24, 16, 3), "OpenCV should have heeded the orientation of this test"
    assert encodings.to_rgb(message).shape == (16, 24, 3)


def test_a_jpeg_inside_a_comment_is_not_the_picture():
    """A thumbnail's header in an earlier segment, after a fill byte, does not hide the size."""
    thumbnail = cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    comment = b"\xff\xff\xfe" + struct.pack(">H", 2 + len(thumbnail)) + thumbnail
    message = with_segment(compressed(np.zeros((16, 24, 3), np.uint8), ".jpg"), comment)
    assert encodings.to_rgb(message).shape == (16, 24, 3)


def png_chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind))


def png_that_declares(width, height):
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IEND", b"")


def jpeg_that_declares(width, height):
    data = cv2.imencode(".jpg", np.zeros((24, 16, 3), np.uint8))[1].tobytes()
    size = struct.pack(">HH", 24, 16)
    assert data.count(b"\x08" + size) == 1
    return data.replace(b"\x08" + size, b"\x08" + struct.pack(">HH", height, width))


JPEG = cv2.imencode(".jpg", np.zeros((16, 16, 3), np.uint8))[1].tobytes()
PNG = cv2.imencode(".png", np.zeros((16, 16, 3), np.uint8))[1].tobytes()


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "image of 0 bytes and format 'jpeg' cannot be decoded, expected a whole JPEG or PNG"),
        (b"not a picture", "image of 13 bytes and format 'jpeg' cannot be decoded"),
        (b"\xff\xd8", "image of 2 bytes"),
        (b"\xff\xd8\xff\xe0\x00\x00" * 5, "image of 30 bytes"),
        (JPEG[:-2], "cannot be decoded"),
        (JPEG[:30], "cannot be decoded"),
        (PNG[:-20], "cannot be decoded"),
        (PNG[:20], "cannot be decoded"),
        (b"BM" + bytes(100), "cannot be decoded"),
        (png_that_declares(4096, 4097), "size is 4096x4097, expected 1 to 16777216 pixels"),
        (png_that_declares(2**31 - 1, 2**31 - 1), "size is 2147483647x2147483647"),
        (png_that_declares(2**21, 1), "size is 2097152x1, expected one side to be at most 64"),
        (png_that_declares(0, 5), "size is 0x5"),
        (jpeg_that_declares(65500, 65499), "size is 65500x65499, expected 1 to 16777216"),
    ],
)
def test_what_is_no_picture_is_refused_in_a_sentence(data, sentence):
    """Garbage, damage and sizes that would fill the memory."""
    with pytest.raises(ValueError, match=sentence) as refusal:
        encodings.to_rgb(CompressedImage(format="jpeg", data=data))
    assert "\n" not in str(refusal.value)


class Buffer:
    """What ``rosidl_buffer.Buffer`` of ROS 2 Lyrical has; it is no sequence, nor a buffer."""

    backend_type = "cuda"

    def __init__(self, content):
        self._content = bytes(content)

    def __len__(self):
        return len(self._content)

    def to_bytes(self):
        return self._content


def test_bytes_in_other_memory_than_the_cpus_are_fetched(random):
    """From Lyrical on ``data`` may be a Buffer, if a subscription asks for it: the same picture."""
    raw = random_image("bgr8", random)
    png = compressed(random.integers(0, 256, (6, 8, 3), np.uint8))
    for message in (raw, png):
        expected = encodings.to_rgb(message)
        message._data = Buffer(message.data)  # which older setters would make an array of
        np.testing.assert_array_equal(encodings.to_rgb(message), expected)
    raw._data = Buffer(bytes(7))
    with pytest.raises(encodings.MessageError, match="image data is 7 bytes"):
        encodings.to_rgb(raw)


# Arrays to messages


def values(message, dtype):
    """A message's data as rows, read by its own step."""
    return np.frombuffer(message.data, dtype).reshape(message.height, -1)


def test_depth_in_metres():
    """32FC1, bit for bit, NaN and infinity included."""
    depth = np.array([[0.5, np.nan, np.inf], [1.0, 2.0, 3.0]], np.float32)
    message = messages.depth_message(HEADER, depth)
    assert (message.header, message.encoding, message.is_bigendian) == (HEADER, "32FC1", 0)
    assert (message.height, message.width, message.step) == (2, 3, 12)
    np.testing.assert_array_equal(values(message, "<f4"), depth)


def test_depth_in_millimetres():
    """16UC1, to the nearest; what is invalid or more than 65.535 m is 0."""
    depth = np.array(
        [
            [1.0, 1.2344, 1.2346, 0.0006, 65.535],
            [0.0, 0.0004, -1.0, 65.54, 1e38],
            [np.nan, np.inf, -np.inf, 0.001, 10.0],
        ],
        np.float32,
    )
    message = messages.depth_message_mm(HEADER, depth)
    assert (message.header, message.encoding, message.is_bigendian) == (HEADER, "16UC1", 0)
    assert (message.height, message.width, message.step) == (3, 5, 10)
    expected = [[1000, 1234, 1235, 1, 65535], [0, 0, 0, 0, 0], [0, 0, 0, 1, 10000]]
    np.testing.assert_array_equal(values(message, "<u2"), expected)


def test_labels_are_published_as_they_are():
    """mono8, one byte a pixel, 255 for unlabelled included."""
    labels = np.array([[0, 1, 255], [39, 40, 2]], np.uint8)
    message = messages.mono_message(HEADER, labels)
    assert (message.header, message.encoding, message.is_bigendian) == (HEADER, "mono8", 0)
    assert (message.height, message.width, message.step) == (2, 3, 3)
    np.testing.assert_array_equal(values(message, np.uint8), labels)


def test_a_picture_comes_back_as_it_went(random):
    """rgb8, also from a view with padded rows, as it comes from a camera."""
    rgb = random.integers(0, 256, (4, 9, 3), np.uint8)[:, :6]
    message = messages.rgb_message(HEADER, rgb)
    assert (message.header, message.encoding, message.is_bigendian) == (HEADER, "rgb8", 0)
    assert (message.height, message.width, message.step) == (4, 6, 18)
    np.testing.assert_array_equal(encodings.to_rgb(message), rgb)


def test_a_single_row_of_a_taller_array_has_its_own_step():
    """NumPy may report the taller array's stride for it."""
    message = messages.mono_message(HEADER, np.zeros((6, 5), np.uint8)[::6])
    assert (message.height, message.step, len(message.data)) == (1, 5, 5)


def cloud_arrays(random, height=3, width=5):
    depth = random.uniform(0.5, 9, (height, width)).astype(np.float32)
    depth[0, 1], depth[1, 2] = np.nan, np.inf
    shapes = (1, width), (height, 1)
    rays = tuple(random.normal(size=shape).astype(np.float32) for shape in shapes)
    rgb = random.integers(0, 256, (height, width, 3), np.uint8)
    labels = random.integers(0, 256, (height, width), np.uint8)
    return depth, rays, rgb, labels


def points_of(depth, rays):
    """The same by plain NumPy."""
    z = np.where(np.isfinite(depth), depth, np.float32(np.nan))
    return np.stack([z * rays[0], z * rays[1], z], axis=-1)


def test_a_point_by_hand():
    """x=1, y=2, z=4, 0x000A141E and label 7: 20 bytes, little endian, blue first."""
    depth, rays = np.array([[4]], np.float32), (np.float32([[0.25]]), np.float32([[0.5]]))
    rgb, labels = np.array([[[10, 20, 30]]], np.uint8), np.array([[7]], np.uint8)
    message = messages.cloud_message(HEADER, depth, rays, rgb, labels)
    assert message.data.tobytes() == struct.pack("<fff4BI", 1, 2, 4, 30, 20, 10, 0, 7)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_depth_without_a_value_is_a_point_without_a_value(value):
    """NaN in x, y and z, on the optical axis as well; colour and label stay."""
    depth, rays = np.array([[value]], np.float32), (np.float32([[0]]), np.float32([[0]]))
    rgb, labels = np.array([[[10, 20, 30]]], np.uint8), np.array([[7]], np.uint8)
    message = messages.cloud_message(HEADER, depth, rays, rgb, labels)
    assert np.isnan(np.frombuffer(message.data, "<f4")[:3]).all()
    assert message.data.tobytes()[12:] == struct.pack("<4BI", 30, 20, 10, 0, 7)


@pytest.mark.parametrize(("value", "x"), [(np.inf, 3.0), (np.nan, np.nan), (4.0, 1.0)])
def test_what_is_beyond_the_range_may_have_a_point_on_its_ray(value, x):
    """At the depth that is asked for, with its colour and unlabelled; invalid depth has none."""
    depth, rays = np.array([[value]], np.float32), (np.float32([[0.25]]), np.float32([[0.5]]))
    rgb, labels = np.array([[[10, 20, 30]]], np.uint8), np.array([[7]], np.uint8)
    message = messages.cloud_message(HEADER, depth, rays, rgb, labels, beyond=12.0)
    np.testing.assert_array_equal(np.frombuffer(message.data, "<f4")[:3], [x, 2 * x, 4 * x])
    label = 255 if np.isinf(value) else 7
    assert message.data.tobytes()[12:] == struct.pack("<4BI", 30, 20, 10, 0, label)


@pytest.mark.parametrize("step", [1, 2, 3, 64])
def test_a_decimated_cloud_has_every_nth_row_and_column(step, random):
    """The first among them, and as many as there are."""
    depth, rays, rgb, labels = cloud_arrays(random, 7, 10)
    message = messages.cloud_message(HEADER, depth, rays, rgb, labels, step)
    cloud = np.frombuffer(message.data, "<f4").reshape(message.height, message.width, 5)
    np.testing.assert_array_equal(cloud[..., :3], points_of(depth, rays)[::step, ::step])
    np.testing.assert_array_equal(cloud.view("<u4")[..., 4], labels[::step, ::step])


def test_an_older_cloud_lends_its_memory(random):
    """If it is of the same size and fields; it is the same message then, with the new content."""
    old = messages.cloud_message(HEADER, *cloud_arrays(random))
    arrays = cloud_arrays(random)
    again = messages.cloud_message(HEADER, *arrays, into=old)
    assert again is old and again == messages.cloud_message(HEADER, *arrays)
    for others in (cloud_arrays(random, 4, 5), (*arrays[:3], None)):
        fresh = messages.cloud_message(HEADER, *others, into=old)
        assert fresh is not old and fresh == messages.cloud_message(HEADER, *others)
    doubt, plain = arrays[0], (*arrays[:3], None)  # five fields either way
    fresh = messages.cloud_message(HEADER, *plain, into=old, uncertainty=doubt)
    assert fresh is not old
    assert fresh == messages.cloud_message(HEADER, *plain, uncertainty=doubt)


def test_a_cloud_is_organised_as_the_image(random):
    """A row of points for a row of pixels, with the fields that PCL and RViz look for."""
    message = messages.cloud_message(HEADER, *cloud_arrays(random))
    assert (message.height, message.width) == (3, 5)
    assert (message.point_step, message.row_step, len(message.data)) == (20, 100, 300)
    assert (message.header, message.is_bigendian, message.is_dense) == (HEADER, False, False)
    fields = [(f.name, f.offset, f.datatype, f.count) for f in message.fields]
    assert fields == [
        ("x", 0, PointField.FLOAT32, 1),
        ("y", 4, PointField.FLOAT32, 1),
        ("z", 8, PointField.FLOAT32, 1),
        ("rgb", 12, PointField.FLOAT32, 1),
        ("label", 16, PointField.UINT32, 1),
    ]


def test_a_cloud_holds_every_pixel(random):
    """Read back by plain NumPy; the picture comes with padded rows."""
    depth, rays, rgb, labels = cloud_arrays(random)
    points = points_of(depth, rays)
    padded = np.concatenate([rgb, rgb], axis=1)[:, : rgb.shape[1]]
    message = messages.cloud_message(HEADER, depth, rays, padded, labels)
    point = np.dtype([("xyz", "<f4", 3), ("bgr0", "u1", 4), ("label", "<u4")])
    cloud = np.frombuffer(message.data, point).reshape(message.height, message.width)
    np.testing.assert_array_equal(cloud["xyz"], points)
    np.testing.assert_array_equal(cloud["bgr0"][..., 2::-1], rgb)
    np.testing.assert_array_equal(cloud["bgr0"][..., 3], 0)
    np.testing.assert_array_equal(cloud["label"], labels)


def test_a_cloud_without_labels_lacks_the_field(random):
    """A network without classes still gives points, of 16 bytes."""
    depth, rays, rgb, _ = cloud_arrays(random)
    points = points_of(depth, rays)
    message = messages.cloud_message(HEADER, depth, rays, rgb, None)
    assert [field.name for field in message.fields] == ["x", "y", "z", "rgb"]
    assert (message.point_step, message.row_step, len(message.data)) == (16, 80, 240)
    cloud = np.frombuffer(message.data, np.dtype("<f4")).reshape(3, 5, 4)
    np.testing.assert_array_equal(cloud[..., :3], points)


def test_a_cloud_may_say_how_uncertain_it_is(random):
    """One more field behind the others, of the pixel that the point is of."""
    depth, rays, rgb, labels = cloud_arrays(random)
    doubt = np.where(np.isfinite(depth), depth / 10, np.float32(np.nan))
    for given, names in ((labels, ["rgb", "label"]), (None, ["rgb"])):
        message = messages.cloud_message(HEADER, depth, rays, rgb, given, uncertainty=doubt)
        assert [f.name for f in message.fields] == ["x", "y", "z", *names, "uncertainty"]
        last = message.fields[-1]
        assert (last.offset, last.datatype) == (message.point_step - 4, PointField.FLOAT32)
        cloud = np.frombuffer(message.data, "<f4").reshape(3, 5, -1)
        np.testing.assert_array_equal(cloud[..., :3], points_of(depth, rays))
        np.testing.assert_array_equal(cloud[..., -1], doubt)
        if given is not None:
            np.testing.assert_array_equal(cloud.view("<u4")[..., 4], labels)


def test_sensor_msgs_py_reads_the_same_points(random):
    """The robot's own reader of clouds as the oracle."""
    reader = pytest.importorskip(
        "sensor_msgs_py.point_cloud2", reason="sensor_msgs_py comes with a robot's ROS 2 only"
    )
    depth, rays, rgb, labels = cloud_arrays(random)
    points = points_of(depth, rays)
    message = messages.cloud_message(HEADER, depth, rays, rgb, labels)
    cloud = reader.read_points(message).reshape(3, 5)
    for i, axis in enumerate("xyz"):
        np.testing.assert_array_equal(cloud[axis], points[..., i])
    red, green, blue = np.moveaxis(rgb.astype(np.uint32), -1, 0)
    colour = np.ascontiguousarray(cloud["rgb"]).view(np.uint32)
    np.testing.assert_array_equal(colour, red << 16 | green << 8 | blue)
    np.testing.assert_array_equal(cloud["label"], labels)


WRITERS = {
    "depth": lambda depth, rays, rgb, labels: messages.depth_message(HEADER, depth),
    "depth in mm": lambda depth, rays, rgb, labels: messages.depth_message_mm(HEADER, depth),
    "labels": lambda depth, rays, rgb, labels: messages.mono_message(HEADER, labels),
    "picture": lambda depth, rays, rgb, labels: messages.rgb_message(HEADER, rgb),
    "cloud": lambda *arrays: messages.cloud_message(HEADER, *arrays),
    "plain cloud": lambda *arrays: messages.cloud_message(HEADER, *arrays[:-1], None),
}


def test_repeated_fields_are_filled_with_sequences(random):
    """Sets, which ROS takes until Lyrical, would be refused from the next generation on."""
    health = Health("sosd", "active", "", "", "", "", None, "", 0.0, [])
    snapshot = Statistics(("front",), lambda: 0.0).snapshot()
    written = [write(*cloud_arrays(random)) for write in WRITERS.values()]
    written.append(DiagnosticArray(status=statuses(health, snapshot, Thresholds())))
    seen = {field for message in written for field in repeated(message)}
    assert seen == {"data", "fields", "status", "values"}


def repeated(message):
    """Names of all repeated fields of a message and of those in it, which hold sequences."""
    for name, kind in message.get_fields_and_field_types().items():
        value = getattr(message, name)
        if kind.startswith("sequence<"):
            assert isinstance(value, (Sequence, array)), f"{name} is a {type(value).__name__}"
            yield name
            value = list(value[:1])
        for inner in value if isinstance(value, list) else [value]:
            if hasattr(inner, "get_fields_and_field_types"):
                yield from repeated(inner)


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS.keys())
def test_messages_survive_the_wire(write, random):
    """What ROS serialises it deserialises to an equal message."""
    message = write(*cloud_arrays(random))
    assert deserialize_message(serialize_message(message), type(message)) == message


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS.keys())
def test_messages_do_not_share_the_arrays_they_were_made_of(write, random):
    """The engine may reuse its buffers while a message waits to be published."""
    arrays = cloud_arrays(random)
    message = write(*arrays)
    depth, rays, rgb, labels = arrays
    assert not any(np.shares_memory(memory(message), a) for a in (depth, *rays, rgb, labels))


F32, U8 = np.float32, np.uint8
RAYS = (np.zeros((1, 3), F32), np.zeros((2, 1), F32))


@pytest.mark.parametrize(
    ("write", "arrays", "sentence"),
    [
        (
            messages.depth_message,
            [np.zeros((2, 3))],
            r"depth is float64 of shape \(2, 3\), expected float32 of shape \(H, W\); convert it",
        ),
        (messages.depth_message, [np.zeros((1, 2, 3), F32)], r"shape \(1, 2, 3\), expected"),
        (messages.depth_message_mm, [np.zeros((2, 3), np.uint16)], "depth is uint16"),
        (messages.mono_message, [np.zeros((2, 3), np.int64)], "labels is int64"),
        (messages.rgb_message, [np.zeros((2, 3, 4), U8)], r"expected uint8 of shape \(H, W, 3\)"),
        (
            messages.cloud_message,
            [np.zeros((2, 3), F32), RAYS, np.zeros((2, 4, 3), U8), None],
            r"rgb is uint8 of shape \(2, 4, 3\), expected uint8 of shape \(2, 3, 3\)",
        ),
        (
            messages.cloud_message,
            [np.zeros((2, 3), F32), RAYS, np.zeros((2, 3, 3), U8), np.zeros((1, 3), U8)],
            r"labels is uint8 of shape \(1, 3\), expected uint8 of shape \(2, 3\)",
        ),
        (
            messages.cloud_message,
            [np.zeros((2, 3), F32), RAYS[::-1], np.zeros((2, 3, 3), U8), None],
            r"x/z is float32 of shape \(2, 1\), expected float32 of shape \(1, 3\)",
        ),
    ],
)
def test_arrays_that_do_not_fit_are_refused_in_a_sentence(write, arrays, sentence):
    """Nothing is broadcast or converted behind the caller's back."""
    with pytest.raises(ValueError, match=sentence):
        write(HEADER, *arrays)
