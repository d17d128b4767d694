"""Camera images as messages carry them, to NumPy arrays: encoding, step, endianness in, RGB out.

Knows no ROS: it takes whatever has the fields of sensor_msgs/Image or sensor_msgs/CompressedImage,
from a subscription or from a recording.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import cv2
import numpy as np

MAX_PIXELS = 2**24  # 4096 x 4096: as rgba16, with all outputs, 2.8 GB in the node
MAX_ASPECT = 64  # a line camera's strip; the network scales it to as many pixels as a square
MAX_FRAME_ID = 255  # characters, as every output carries it


class MessageError(ValueError):
    """A message that cannot be used.

    Attributes:
        cause: the kind of fault, in a word; faults are counted by it.
    """

    def __init__(self, cause: str, reason: str) -> None:
        super().__init__(reason)
        self.cause = cause


class RawImage(Protocol):
    """The fields of sensor_msgs/Image; ``data`` are bytes, in an array of either kind."""

    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: Any


class EncodedImage(Protocol):
    """The fields of sensor_msgs/CompressedImage."""

    format: str
    data: Any


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

# A marker, the length of its segment and, in a frame's header, precision, height and width.
_JPEG_SEGMENT = re.compile(rb"\xff+([^\x00\xff])(..).(..)(..)", re.DOTALL)
_JPEG_FRAMES = {bytes([marker]) for marker in range(0xC0, 0xD0)} - {b"\xc4", b"\xc8", b"\xcc"}


def check_header(header: Any) -> None:
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
    message: Any,
    max_pixels: int = MAX_PIXELS,
    significant_bits: int = 16,
    on_peak: Callable[[int], None] = lambda peak: None,
) -> np.ndarray:
    """The picture in a message of either kind, as (H, W, 3) uint8 RGB.

    Args:
        message: a ``RawImage`` or an ``EncodedImage``.
        max_pixels: how many a picture may have.
        significant_bits: 8 to 16, how many of the lower bits of 16-bit values the camera uses.
        on_peak: called with the greatest value of a 16-bit picture, its alpha left out.

    Raises:
        MessageError: as ``_image_to_rgb`` and ``_compressed_to_rgb`` do.
    """
    read = _image_to_rgb if hasattr(message, "encoding") else _compressed_to_rgb
    return read(message, max_pixels, significant_bits, on_peak)


def _image_to_rgb(
    message: RawImage, max_pixels: int, significant_bits: int, on_peak: Callable[[int], None]
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
    rows = np.frombuffer(in_memory(message.data), np.uint8).reshape(-1, message.step)
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


def checked_layout(message: RawImage, max_pixels: int) -> _Layout:
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
    check_size(width, height, max_pixels)
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


def check_size(width: int, height: int, max_pixels: int = MAX_PIXELS) -> None:
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


def in_memory(data: Any) -> Any:
    """The bytes of a message's ``data``, in the CPU's memory.

    From Lyrical on they may be a ``rosidl_buffer.Buffer`` in a device's memory, which NumPy cannot
    read. A subscription gets one only if it asks with ``acceptable_buffer_backends``, as ours do
    with the parameter ``device_buffers``; else it gets an ``array``, as in every distribution.
    """
    is_here = isinstance(data, array | np.ndarray | bytes)
    return data if is_here else bytes(data.to_bytes())


def _short(text: str) -> str:
    """A message's text, quoted for a sentence: strings on the wire may have any length."""
    return repr(text if len(text) <= 40 else f"{text[:40]}...")


def _compressed_to_rgb(
    message: EncodedImage, max_pixels: int, significant_bits: int, on_peak: Callable[[int], None]
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
    data = in_memory(message.data)
    size = declared_size(bytes(data))
    if size is not None:
        # A few kilobytes can declare gigabytes: look before decoding.
        check_size(*size, max_pixels)
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


def declared_size(data: bytes) -> tuple[int, int] | None:
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
