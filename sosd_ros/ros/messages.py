"""ROS messages to and from NumPy arrays, without needless copies.

Reading uses views where it can; writing fills a message's ``data`` through its buffer, because
rclpy checks every single byte of an assigned array, bytes or list.
"""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Callable
from typing import Any, NamedTuple

import cv2
import numpy as np
from sensor_msgs.msg import CompressedImage, Image, PointCloud2, PointField
from std_msgs.msg import Header

from .. import kernels
from ..labels import UNLABELLED

MAX_PIXELS = 2**24  # 4096 x 4096: as rgba16, with all outputs, 2.8 GB in the node
MAX_ASPECT = 64  # a line camera's strip; the network scales it to as many pixels as a square
MAX_FRAME_ID = 255  # characters, as every output carries it
MAX_DEPTH_16UC1 = 65.535  # metres, as many millimetres as 16 bits hold


class MessageError(ValueError):
    """A message that cannot be used.

    Attributes:
        cause: the kind of fault, in a word; faults are counted by it.
    """

    def __init__(self, cause: str, reason: str) -> None:
        super().__init__(reason)
        self.cause = cause


class _Layout(NamedTuple):
    """The memory layout of an encoding, and OpenCV's conversion from it to RGB."""

    channels: int  # interleaved values a pixel
    to_rgb: int | None  # the conversion code; None if it is RGB already
    value_bytes: int = 1
    subsampling: tuple[int, int] = (1, 1)  # pixels (across, down) that share their colour

    def row_bytes(self, width: int) -> int:
        return width * self.channels * self.value_bytes

    def rows(self, height: int) -> int:
        # 4:2:0 keeps colour in a plane below the luma, half as high, with the same step.
        return height * 3 // 2 if self.subsampling[1] == 2 else height


# ROS names a Bayer pattern by its first two rows, read from the top left pixel. OpenCV's old names,
# the only ones in Humble's 4.5, read it from the second row's second pixel: RGGB is their BG.
_LAYOUTS = {
    "rgb8": _Layout(3, None),
    "rgba8": _Layout(4, cv2.COLOR_RGBA2RGB),
    "bgr8": _Layout(3, cv2.COLOR_BGR2RGB),
    "bgra8": _Layout(4, cv2.COLOR_BGRA2RGB),
    "mono8": _Layout(1, cv2.COLOR_GRAY2RGB),
    "rgb16": _Layout(3, None, 2),
    "rgba16": _Layout(4, cv2.COLOR_RGBA2RGB, 2),
    "bgr16": _Layout(3, cv2.COLOR_BGR2RGB, 2),
    "bgra16": _Layout(4, cv2.COLOR_BGRA2RGB, 2),
    "mono16": _Layout(1, cv2.COLOR_GRAY2RGB, 2),
    # These name no colours. Their publishers send OpenCV arrays, and RViz shows them as such.
    "8UC1": _Layout(1, cv2.COLOR_GRAY2RGB),
    "8UC3": _Layout(3, cv2.COLOR_BGR2RGB),
    "8UC4": _Layout(4, cv2.COLOR_BGRA2RGB),
    "bayer_rggb8": _Layout(1, cv2.COLOR_BayerBG2RGB),
    "bayer_bggr8": _Layout(1, cv2.COLOR_BayerRG2RGB),
    "bayer_gbrg8": _Layout(1, cv2.COLOR_BayerGR2RGB),
    "bayer_grbg8": _Layout(1, cv2.COLOR_BayerGB2RGB),
    "bayer_rggb16": _Layout(1, cv2.COLOR_BayerBG2RGB, 2),
    "bayer_bggr16": _Layout(1, cv2.COLOR_BayerRG2RGB, 2),
    "bayer_gbrg16": _Layout(1, cv2.COLOR_BayerGR2RGB, 2),
    "bayer_grbg16": _Layout(1, cv2.COLOR_BayerGB2RGB, 2),
    "uyvy": _Layout(2, cv2.COLOR_YUV2RGB_UYVY, subsampling=(2, 1)),
    "yuv422": _Layout(2, cv2.COLOR_YUV2RGB_UYVY, subsampling=(2, 1)),
    "yuyv": _Layout(2, cv2.COLOR_YUV2RGB_YUY2, subsampling=(2, 1)),
    "yuv422_yuy2": _Layout(2, cv2.COLOR_YUV2RGB_YUY2, subsampling=(2, 1)),
    "nv12": _Layout(1, cv2.COLOR_YUV2RGB_NV12, subsampling=(2, 2)),
    "nv21": _Layout(1, cv2.COLOR_YUV2RGB_NV21, subsampling=(2, 2)),
}

# In the ``format`` of a CompressedImage, which drivers write in any case.
_COMPRESSED_LAYOUTS = {encoding.lower(): layout for encoding, layout in _LAYOUTS.items()}
_CODECS = {"", "jpeg", "jpg", "png"}
_COLOURS = {"rgb8", "rgba8", "bgr8", "bgra8", "rgb16", "rgba16", "bgr16", "bgra16"}

_POINT_FIELDS = (
    ("x", PointField.FLOAT32),
    ("y", PointField.FLOAT32),
    ("z", PointField.FLOAT32),
    ("rgb", PointField.FLOAT32),
    ("label", PointField.UINT32),
    ("uncertainty", PointField.FLOAT32),
)

# A marker, the length of its segment and, in a frame's header, precision, height and width.
_JPEG_SEGMENT = re.compile(rb"\xff+([^\x00\xff])(..).(..)(..)", re.DOTALL)
_JPEG_FRAMES = {bytes([marker]) for marker in range(0xC0, 0xD0)} - {b"\xc4", b"\xc8", b"\xcc"}


# Messages to arrays


def check_header(header: Header) -> None:
    """Refuse a header that outputs should not carry.

    Raises:
        MessageError: if ``frame_id`` is longer than ``MAX_FRAME_ID``.
    """
    if len(header.frame_id) > MAX_FRAME_ID:
        raise MessageError(
            "frame_id",
            f"frame_id {_short(header.frame_id)} is {len(header.frame_id)} characters long, "
            f"expected at most {MAX_FRAME_ID}; fix the camera driver",
        )


def to_rgb(
    message: Image | CompressedImage,
    max_pixels: int = MAX_PIXELS,
    significant_bits: int = 16,
    on_peak: Callable[[int], None] = lambda peak: None,
) -> np.ndarray:
    """The picture in a message of either kind, as (H, W, 3) uint8 RGB.

    Args:
        message: raw or compressed.
        max_pixels: how many a picture may have.
        significant_bits: 8 to 16, how many of the lower bits of 16-bit values the camera uses.
        on_peak: called with the greatest value of a 16-bit picture, its alpha left out.

    Raises:
        MessageError: as ``_image_to_rgb`` and ``_compressed_to_rgb`` do.
    """
    read = _image_to_rgb if isinstance(message, Image) else _compressed_to_rgb
    return read(message, max_pixels, significant_bits, on_peak)


def _image_to_rgb(
    message: Image, max_pixels: int, significant_bits: int, on_peak: Callable[[int], None]
) -> np.ndarray:
    """The picture in a message, as (H, W, 3) uint8 RGB.

    For ``rgb8`` this is a view of the message's memory, strided where rows are padded: do not
    write to it. All other encodings are converted into new memory. 16-bit values keep the upper
    eight of the significant bits; YUV is read as BT.601 with luma 16..235, as V4L2 cameras send it;
    ``8UC1``, ``8UC3`` and ``8UC4`` are read as mono8, bgr8 and bgra8. The arguments are those of
    ``to_rgb``.

    Raises:
        MessageError: if the encoding is not supported, or its sizes do not fit together. As
            sensor_msgs/Image defines it, ``data`` must be exactly ``step`` times the number
            of rows, with the last row's padding; cv_bridge is as strict. The cause is
            ``encoding``, ``size``, ``step`` or ``data``.
    """
    layout = checked_layout(message, max_pixels)
    rows = np.frombuffer(_in_memory(message.data), np.uint8).reshape(-1, message.step)
    rows = rows[:, : layout.row_bytes(message.width)]
    if layout.value_bytes == 2:
        rows = np.ascontiguousarray(rows).view(">u2" if message.is_bigendian else "<u2")
        rows = rows.astype(np.uint16, copy=False)  # in this machine's byte order
    pixels: np.ndarray = rows.reshape(-1, message.width, layout.channels)
    if layout.value_bytes == 2 and layout.channels == 1:
        pixels = _narrowed(pixels, significant_bits, on_peak)  # before there are three
    pixels = pixels if layout.to_rgb is None else cv2.cvtColor(pixels, layout.to_rgb)
    if pixels.dtype == np.uint16:
        pixels = _narrowed(pixels, significant_bits, on_peak)  # without alpha, which is no light
    return pixels


def _narrowed(
    values: np.ndarray, significant_bits: int, on_peak: Callable[[int], None]
) -> np.ndarray:
    """(H, W, channels) uint16 as uint8; values beyond the significant bits become white."""
    peak = int(values.max())
    on_peak(peak)
    values = values >> (significant_bits - 8)
    if peak >> significant_bits:
        np.minimum(values, 255, out=values)
    return values.astype(np.uint8)


def checked_layout(message: Image, max_pixels: int) -> _Layout:
    """The layout of a message's encoding; checks that width, height, step and data fit it.

    Raises:
        MessageError: if they do not.
    """
    if message.encoding not in _LAYOUTS:
        raise MessageError(
            "encoding",
            f"image encoding {_short(message.encoding)} is not supported; let the camera publish "
            f"one of {', '.join(_LAYOUTS)}",
        )
    layout = _LAYOUTS[message.encoding]
    width, height = message.width, message.height
    _check_size(width, height, max_pixels)
    across, down = layout.subsampling
    if width % across or height % down:
        raise MessageError(
            "size",
            f"{message.encoding} image is {width}x{height}, expected a width divisible by {across} "
            f"and a height divisible by {down}; crop it in the camera driver",
        )
    row_bytes = layout.row_bytes(width)
    if message.step < row_bytes:
        raise MessageError(
            "step",
            f"image step is {message.step} bytes, expected at least {row_bytes} for {width} pixels "
            f"of {message.encoding}; fix step or encoding in the camera driver",
        )
    expected = message.step * layout.rows(height)
    if len(message.data) != expected:
        raise MessageError(
            "data",
            f"image data is {len(message.data)} bytes, expected {expected} for {height} lines of "
            f"{message.encoding} with step {message.step}; fix the camera driver",
        )
    return layout


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if not 0 < width * height <= max_pixels:
        raise MessageError(
            "size",
            f"image size is {width}x{height}, expected 1 to {max_pixels} pixels; fix the camera "
            "driver or lower its resolution",
        )
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise MessageError(
            "size",
            f"image size is {width}x{height}, expected one side to be at most {MAX_ASPECT} times "
            "the other; crop it in the camera driver",
        )


def _in_memory(data: Any) -> array | bytes:
    """The bytes of a message's ``data``, in the CPU's memory.

    From Lyrical on they may be a ``rosidl_buffer.Buffer`` in a device's memory, which NumPy cannot
    read. A subscription gets one only if it asks with ``acceptable_buffer_backends``, as ours do
    with the parameter ``device_buffers``; else it gets an ``array``, as in every distribution.
    """
    return data if isinstance(data, array) else bytes(data.to_bytes())


def _short(text: str) -> str:
    """A message's text, quoted for a sentence: strings on the wire may have any length."""
    return repr(text if len(text) <= 40 else f"{text[:40]}...")


def _compressed_to_rgb(
    message: CompressedImage, max_pixels: int, significant_bits: int, on_peak: Callable[[int], None]
) -> np.ndarray:
    """The picture in a JPEG or PNG message, as (H, W, 3) uint8 RGB.

    EXIF orientation is ignored: CameraInfo describes the stored pixels. Grey becomes RGB, alpha is
    dropped. The number of channels and bits comes from the JPEG or PNG itself, since drivers
    disagree on how to write ``format``. What ``format`` says in image_transport's notation counts:
    a mosaic named as a Bayer pattern is debayered, colours that were compressed in RGB order are
    read as such, and 8 bits named as a 16-bit encoding are its upper ones. The arguments are those
    of ``to_rgb``.

    Raises:
        MessageError: if ``data`` is not a whole JPEG or PNG (cause ``compressed``), its picture
            is too large (cause ``size``), or its ``format`` is that of no picture, such as depth
            (cause ``encoding``).
    """
    encoding, target = _format(message.format)
    pixels = None
    data = _in_memory(message.data)
    size = _declared_size(bytes(data))
    if size is not None:
        # A few kilobytes can declare gigabytes: look before decoding.
        _check_size(*size, max_pixels)
        flags = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if pixels is None:
        raise MessageError(
            "compressed",
            f"compressed image of {len(message.data)} bytes and format {_short(message.format)} "
            "cannot be decoded, expected a whole JPEG or PNG; let the camera driver send one",
        )
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    if encoding.startswith("bayer") and (pixels == pixels[..., :1]).all():
        pixels = np.ascontiguousarray(pixels[..., :1])  # a mosaic, even if stored as colour
    to_rgb = _decoded_to_rgb(message.format, encoding, target, pixels.shape[2])
    if encoding.endswith("16") and pixels.dtype == np.uint8:
        pixels = np.multiply(pixels, 257, dtype=np.uint16)  # 255 becomes 65535
        # The encoder rounded them, and JPEG overshoots.
        pixels = _narrowed(pixels, significant_bits, lambda peak: on_peak(max(peak - 2 * 257, 0)))
    elif pixels.dtype == np.uint16:
        pixels = _narrowed(pixels, significant_bits, on_peak)
    return pixels if to_rgb is None else cv2.cvtColor(pixels, to_rgb)


def _format(text: str) -> tuple[str, str | None]:
    """The image's encoding, and the one it was compressed in, from a CompressedImage's format.

    image_transport writes ``rgb8; jpeg compressed bgr8``: the encoding of the image, and the one
    that it was converted to for the encoder, empty if it was not converted. Both are returned in
    lower case: the first is empty if unknown, the second ``None`` if the text has another form. A
    Bayer pattern is found anywhere in the text: a missed one makes a grey checkerboard.

    Raises:
        MessageError: if the format is that of a depth image.
    """
    encoding, semicolon, rest = (part.strip() for part in text.lower().partition(";"))
    if "compresseddepth" in (encoding, *rest.split()):
        raise MessageError(
            "encoding",
            f"compressed image of format {_short(text)} is a depth image, expected colour or grey; "
            "remap image to the topic of the camera's colour images",
        )
    if encoding not in _COMPRESSED_LAYOUTS:
        if bayer := re.search(r"bayer\w*", text.lower()):
            encoding = bayer[0]
        elif encoding in _CODECS or not semicolon:
            encoding = ""
    compressed = re.search(r"\bcompressed\b\s*(\S*)", rest)
    return encoding, compressed[1] if compressed else None


def _decoded_to_rgb(text: str, encoding: str, target: str | None, channels: int) -> int | None:
    """OpenCV's code to convert what its decoder returns to RGB; ``None`` if it is RGB already.

    Raises:
        MessageError: if there is one channel, but its encoding is no picture of one channel.
    """
    if channels == 3:
        # The encoder expects BGR. If it was given RGB, the decoder returns RGB.
        was_given_rgb = target is not None and not target.startswith("bgr")
        return None if was_given_rgb and encoding in _COLOURS else cv2.COLOR_BGR2RGB
    if target and target.startswith("mono"):
        return cv2.COLOR_GRAY2RGB  # as image_transport converts all but colour for JPEG
    layout = _COMPRESSED_LAYOUTS.get(encoding)
    if layout is not None and encoding.startswith("bayer_"):
        return layout.to_rgb
    if not encoding or (layout is not None and layout.subsampling == (1, 1)):
        return cv2.COLOR_GRAY2RGB
    raise MessageError(
        "encoding",
        f"compressed image of format {_short(text)} has one channel, which cannot be converted to "
        f"RGB from encoding {_short(encoding)}; let the camera compress one of "
        f"{', '.join(_LAYOUTS)}",
    )


def _declared_size(data: bytes) -> tuple[int, int] | None:
    """Width and height in the header of a JPEG (ITU-T T.81, B.2.2) or PNG; ``None`` otherwise.

    A JPEG without its end counts as neither, since OpenCV 4 would fill it up with grey.
    """
    if data.startswith(b"\x89PNG\r\n\x1a\n") and len(data) >= 24:
        return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    position = 2 if data.startswith(b"\xff\xd8") else len(data)
    while (segment := _JPEG_SEGMENT.match(data, position)) is not None:
        length, height, width = (int.from_bytes(number, "big") for number in segment.groups()[1:])
        if segment[1] in _JPEG_FRAMES:
            return (width, height) if data.find(b"\xff\xd9", position) > 0 else None
        position = segment.end(1) + length
    return None


def plane(message: Image) -> np.ndarray:
    """The pixels of an image of one channel, as the functions below write them; a view.

    Returns:
        (H, W) float32 of ``32FC1``, uint16 of ``16UC1``, or uint8.
    """
    dtype = {"32FC1": np.float32, "16UC1": np.uint16}.get(message.encoding, np.uint8)
    return np.frombuffer(_in_memory(message.data), dtype).reshape(message.height, message.width)


# Arrays to messages. A message shares the header passed in.


def depth_message(header: Header, depth: np.ndarray) -> Image:
    """A depth image as REP 118 prefers it, ``32FC1``.

    Args:
        header: stamp and optical frame of the camera's image.
        depth: (H, W) float32 metres along z; NaN invalid, +inf beyond the range (REP 117).

    Raises:
        ValueError: for another type or shape; so do all functions below.
    """
    _check_array("depth", depth, np.float32, ("H", "W"))
    return _image_message(header, "32FC1", depth)


def depth_message_mm(header: Header, depth: np.ndarray) -> Image:
    """A depth image as REP 118 also allows, ``16UC1`` in millimetres, rounded.

    Args:
        header: stamp and optical frame of the camera's image.
        depth: (H, W) float32 metres along z. NaN, infinite and negative depth, and depth beyond
            65.535 m, becomes 0, which means invalid.
    """
    _check_array("depth", depth, np.float32, ("H", "W"))
    fits = (depth > 0) & (depth <= MAX_DEPTH_16UC1)  # false for NaN
    millimetres = np.where(fits, depth, 0)
    millimetres *= 1000
    np.rint(millimetres, out=millimetres)
    return _image_message(header, "16UC1", millimetres.astype(np.uint16))


def mono_message(header: Header, labels: np.ndarray) -> Image:
    """An image of (H, W) uint8 values, such as class ids, ``mono8``."""
    _check_array("labels", labels, np.uint8, ("H", "W"))
    return _image_message(header, "mono8", labels)


def rgb_message(header: Header, rgb: np.ndarray) -> Image:
    """A picture for people, of (H, W, 3) uint8 RGB, ``rgb8``."""
    _check_array("rgb", rgb, np.uint8, ("H", "W", 3))
    return _image_message(header, "rgb8", rgb)


def cloud_message(
    header: Header,
    depth: np.ndarray,
    rays: tuple[np.ndarray, np.ndarray],
    rgb: np.ndarray,
    labels: np.ndarray | None,
    step: int = 1,
    beyond: float = math.nan,
    into: PointCloud2 | None = None,
    centre: tuple[float, float] = (0.0, 0.0),
    uncertainty: np.ndarray | None = None,
) -> PointCloud2:
    """An organised cloud: one point per pixel, or for every ``step``-th row and column.

    Fields are x, y, z, the colour as 0x00RRGGBB in the bits of a float32, as PCL and RViz expect
    it, and the label as uint32, the type of PCL's PointXYZRGBL; alignment to four bytes would make
    a uint8 as big. A point has 16 bytes, 20 with labels, and 4 more with uncertainty, without
    padding.

    Args:
        header: stamp and optical frame of the camera's image.
        depth: (H, W) float32 metres along z; where it is not finite, there is no point: NaN.
        rays: x/z and y/z, float32: of each column, (1, W), and of each row, (H, 1), or of each
            pixel, both (H, W). Where they are NaN, depth has to be so as well.
        rgb: (H, W, 3) uint8.
        labels: (H, W) uint8 class ids; ``None`` leaves the field out.
        beyond: metres along z at which to put points of +inf depth. Nothing was measured there, so
            they keep their colour but are unlabelled. NaN: there are no such points.
        into: an older message, whose memory is reused if it has the same size and fields.
        centre: x and y of the camera's optical centre in the frame, in metres.
        uncertainty: (H, W) float32, one standard deviation of depth in metres, which becomes a
            field of that name; ``None`` leaves it out.
    """
    _check_array("depth", depth, np.float32, ("H", "W"))
    height, width = depth.shape
    bent = all(ray.shape == depth.shape for ray in rays)
    _check_array("x/z", rays[0], np.float32, (height if bent else 1, width))
    _check_array("y/z", rays[1], np.float32, (height, width if bent else 1))
    _check_array("rgb", rgb, np.uint8, (height, width, 3))
    labelled, doubtful = labels is not None, uncertainty is not None
    if labels is None:
        labels = np.empty((0, width), np.uint8)
    else:
        _check_array("labels", labels, np.uint8, (height, width))
    if uncertainty is None:
        uncertainty = np.empty((0, width), np.float32)
    else:
        _check_array("uncertainty", uncertainty, np.float32, (height, width))
    shape = -(-height // step), -(-width // step)
    message = _with_points(cloud_without_points(header, shape, labelled, doubtful), into)
    floats = np.frombuffer(message.data, "<f4").reshape(message.height, message.width, -1)
    arrays = map(kernels.plain, (depth, *rays, rgb, labels, uncertainty))
    inputs = (*arrays, step, np.float32(beyond), UNLABELLED)
    kernels.in_bands(message.height, (kernels.cloud, *inputs, floats, floats.view("<u4")))
    if any(centre):
        floats[..., :2] += np.array(centre, np.float32)
    return message


def warm_up() -> None:
    """Write a cloud, so that the first real one does not wait for compilation."""
    depth, labels = np.zeros((1, 1), np.float32), np.zeros((1, 1), np.uint8)
    cloud_message(Header(), depth, (depth, depth), np.zeros((1, 1, 3), np.uint8), labels)


def cloud_without_points(
    header: Header, shape: tuple[int, int], labelled: bool, doubtful: bool
) -> PointCloud2:
    """The message of a cloud of (height, width) points, whose ``data`` are still to come.

    Args:
        labelled, doubtful: whether it has the fields ``label`` and ``uncertainty``.
    """
    has = {"label": labelled, "uncertainty": doubtful}
    fields = [field for field in _POINT_FIELDS if has.get(field[0], True)]
    height, width = shape
    return PointCloud2(
        header=header,
        height=height,
        width=width,
        fields=[
            PointField(name=name, offset=4 * i, datatype=datatype, count=1)
            for i, (name, datatype) in enumerate(fields)
        ],
        is_bigendian=False,
        point_step=4 * len(fields),
        row_step=4 * len(fields) * width,
        is_dense=False,
    )


def _with_points(message: PointCloud2, into: PointCloud2 | None) -> PointCloud2:
    """A cloud with memory for its points; ``into`` itself if it has that size and these fields."""
    size = message.height, message.width, message.fields
    if into is not None and size == (into.height, into.width, into.fields):
        into.header = message.header
        return into
    message.data.frombytes(bytes(message.row_step * message.height))
    return message


def image_without_pixels(
    header: Header, encoding: str, shape: tuple[int, int], pixel_bytes: int
) -> Image:
    """The message of an image of (height, width) pixels, whose ``data`` are still to come."""
    height, width = shape
    return Image(
        header=header,
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=0,
        step=pixel_bytes * width,
    )


def _image_message(header: Header, encoding: str, pixels: np.ndarray) -> Image:
    pixels = np.ascontiguousarray(pixels)
    pixel_bytes = pixels[:1, :1].nbytes
    message = image_without_pixels(header, encoding, pixels.shape[:2], pixel_bytes)
    message.data.frombytes(pixels.reshape(-1).view(np.uint8).data)
    return message


def _check_array(
    name: str, values: np.ndarray, dtype: type[np.generic], shape: tuple[int | str, ...]
) -> None:
    """Letters in ``shape`` stand for any length."""
    fits = len(shape) == values.ndim and all(
        isinstance(expected, str) or expected == length
        for expected, length in zip(shape, values.shape, strict=False)
    )
    if not fits or values.dtype != dtype:
        raise ValueError(
            f"{name} is {values.dtype} of shape {values.shape}, expected {np.dtype(dtype)} of "
            f"shape ({', '.join(map(str, shape))}); convert it first"
        )
