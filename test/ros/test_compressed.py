"""Compressed images as image_transport writes them, and as drivers do that know better.

What image_transport's ``compressed`` plugin hands to its encoder, and what it writes into
``format``, is done here with OpenCV: the encoder takes BGR, or one channel.
"""

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage

from sosd_ros import encodings

RED_GREEN_BLUE = (200, 120, 40)
OPENCV_BAYER = {"rggb": "BG", "bggr": "RG", "gbrg": "GR", "grbg": "GB"}


def compressed(format_, pixels):
    """``pixels`` as they are handed to the encoder that ``format_`` names."""
    extension = ".jpg" if "jpeg" in format_.lower() else ".png"
    data = cv2.imencode(extension, pixels)[1].tobytes()
    return CompressedImage(format=format_, data=data)


def mosaic(pattern, dtype=np.uint8, shift=0):
    """What a sensor of that pattern sees of one colour, 16x24."""
    value = dict(zip("rgb", RED_GREEN_BLUE, strict=True))
    tile = np.array([value[letter] for letter in pattern], dtype).reshape(2, 2)
    return np.tile(tile << shift, (8, 12))


def area(*values, dtype=np.uint8):
    return np.full((16, 24, len(values)), values, dtype)


@pytest.mark.parametrize("pattern", OPENCV_BAYER)
@pytest.mark.parametrize(
    ("format_", "tolerance"),
    [
        ("bayer_{}8; png compressed ", 0),
        ("bayer_{}8; jpeg compressed bgr8", 6),
        ("bayer_{}8; jpeg compressed ", 6),  # ROS 1's, and Foxy's
        ("BAYER_{}8;PNG compressed", 0),
        ("bayer_{}8", 0),
        # Written as a driver likes.
        *(("bayer_{}8 png", 0), ("bayer_{}8/png", 0), ("png; Bayer_{}8", 0)),
        *(("jpeg; bayer_{}8", 6), ("image/jpeg, bayer_{}8", 6), ("jpeg bayer_{}8", 6)),
    ],
)
def test_a_mosaic_is_debayered(pattern, format_, tolerance):
    """And not taken for a grey picture of a checkerboard."""
    rgb = encodings.to_rgb(compressed(format_.format(pattern), mosaic(pattern)))
    np.testing.assert_allclose(rgb, np.full((16, 24, 3), RED_GREEN_BLUE), atol=tolerance)


@pytest.mark.parametrize("pattern", OPENCV_BAYER)
def test_a_mosaic_of_16_bits_is_debayered(pattern):
    """As PNG keeps them; of a 12-bit sensor with the parameter for it."""
    format_ = f"bayer_{pattern}16; png compressed "
    full = compressed(format_, mosaic(pattern, np.uint16, 8))
    twelve = compressed(format_, mosaic(pattern, np.uint16, 4))
    expected = np.full((16, 24, 3), RED_GREEN_BLUE)
    np.testing.assert_array_equal(encodings.to_rgb(full), expected)
    np.testing.assert_array_equal(encodings.to_rgb(twelve, significant_bits=12), expected)


def test_a_mosaic_in_three_equal_channels_is_one():
    """Some encoders take nothing but colour; an alpha channel changes nothing."""
    for channels in (cv2.COLOR_GRAY2BGR, cv2.COLOR_GRAY2BGRA):
        pixels = cv2.cvtColor(mosaic("rggb"), channels)
        rgb = encodings.to_rgb(compressed("bayer_rggb8; png compressed bgr8", pixels))
        np.testing.assert_array_equal(rgb, np.full((16, 24, 3), RED_GREEN_BLUE))


@pytest.mark.parametrize("pattern", OPENCV_BAYER)
def test_what_image_transport_has_debayered_is_not_debayered_again(pattern):
    """In colour; and since Humble, in grey, as JPEG."""
    raw, name = mosaic(pattern), OPENCV_BAYER[pattern]
    bgr = cv2.cvtColor(raw, getattr(cv2, f"COLOR_Bayer{name}2BGR"))
    colour = compressed(f"bayer_{pattern}8; png compressed bgr8", bgr)
    np.testing.assert_array_equal(encodings.to_rgb(colour), bgr[..., ::-1])
    grey = cv2.cvtColor(raw, getattr(cv2, f"COLOR_Bayer{name}2GRAY"))
    rgb = encodings.to_rgb(compressed(f"bayer_{pattern}8; jpeg compressed mono8", grey))
    np.testing.assert_allclose(rgb, np.repeat(grey[..., None], 3, axis=2), atol=3)


@pytest.mark.parametrize(
    "format_",
    [
        *("", "jpeg", "jpg", "JPEG", "image/jpeg", "mjpeg", "rgb8", "rgb8; jpeg", "bgr8;jpeg"),
        *("bgr8; jpeg compressed bgr8", "RGB8; JPEG compressed BGR8", "8UC3; jpeg compressed "),
        *("yuv422; jpeg compressed bgr8", "nv12; jpeg compressed bgr8", "jpeg; rgb8"),
        *("rgba8; jpeg compressed bgr8", "rgb16; jpeg compressed bgr8", "mono8; jpeg"),
        *("mystery; jpeg compressed bgr8", "jpeg, debayered"),
    ],
)
def test_a_colour_jpeg_has_the_colours_that_any_viewer_shows(format_):
    """Handed to the encoder as BGR, whatever it was before."""
    rgb = encodings.to_rgb(compressed(format_, area(40, 120, 200)))
    np.testing.assert_allclose(rgb, np.full((16, 24, 3), RED_GREEN_BLUE), atol=3)


@pytest.mark.parametrize(
    ("format_", "dtype"),
    [
        ("rgb8; png compressed ", np.uint8),
        ("rgb8; png compressed rgb8", np.uint8),
        ("bgr8; png compressed rgb8", np.uint8),
        ("rgb16; png compressed ", np.uint16),
        ("RGBA8; PNG Compressed", np.uint8),
    ],
)
def test_colours_that_were_compressed_as_rgb_are_read_as_rgb(format_, dtype):
    """image_transport's subscriber, and RViz with it, goes by ``compressed bgr``."""
    rgb = area(*RED_GREEN_BLUE, dtype=dtype)
    pixels = rgb << 8 if dtype is np.uint16 else rgb
    np.testing.assert_array_equal(encodings.to_rgb(compressed(format_, pixels)), rgb)


@pytest.mark.parametrize(
    "format_",
    [
        *("", "png", "mono8; png compressed ", "MONO8; png", "8UC1; png compressed ", "mono8"),
        *("mono8; jpeg compressed mono8", "rgb8; jpeg compressed bgr8"),
        *("yuv422; jpeg compressed mono8", "mono16; jpeg compressed mono8"),
        *("mono16; png compressed ", "16UC1; jpeg compressed mono8"),
    ],
)
def test_grey_stays_grey(format_):
    """One channel of 8 bits that is a picture; under a 16-bit name these are its upper bits."""
    rgb = encodings.to_rgb(compressed(format_, area(77)))
    np.testing.assert_array_equal(rgb, area(77, 77, 77))


@pytest.mark.parametrize(
    "format_", ["png", "", "mono16; png compressed ", "mono8; png compressed "]
)
def test_16_bits_of_grey_heed_the_significant_bits(format_):
    """The picture says that it has 16, whatever its name."""
    message = compressed(format_, area(77 << 4 | 3, dtype=np.uint16))
    np.testing.assert_array_equal(encodings.to_rgb(message, significant_bits=12), area(77, 77, 77))
    np.testing.assert_array_equal(encodings.to_rgb(message), area(4, 4, 4))


def test_a_jpeg_of_12_bits_is_dark_and_says_so():
    """image_transport keeps the upper 8 of 16 bits, which leaves 4 of 12."""
    peaks = []
    values = np.linspace(0, 4095, 16 * 24, dtype=np.uint16).reshape(16, 24)
    upper = cv2.convertScaleAbs(values, alpha=255 / 65535)  # as cv_bridge does it
    message = compressed("mono16; jpeg compressed mono8", upper)
    assert encodings.to_rgb(message, on_peak=peaks.append).max() <= 17
    assert peaks[0].bit_length() == 12
    bright = encodings.to_rgb(message, significant_bits=12)
    np.testing.assert_allclose(bright[..., 0], values / 16, atol=40)


@pytest.mark.parametrize(
    ("format_", "pixels", "words"),
    [
        ("16UC1; compressedDepth png", area(77), "is a depth image, expected colour or grey"),
        ("32FC1; compressedDepth", area(77), "is a depth image"),
        ("16UC1; compressedDepth rvl", area(77), "'16UC1; compressedDepth rvl' is a depth image"),
        ("16UC1; png compressed ", area(77, dtype=np.uint16), "from encoding '16uc1'"),
        ("32FC1; png compressed ", area(77), "from encoding '32fc1'"),
        ("yuv422; png compressed ", area(77), "from encoding 'yuv422'; let the camera compress"),
        ("nv12; jpeg compressed ", area(77), "from encoding 'nv12'"),
        ("mono12; png compressed ", area(77, dtype=np.uint16), "from encoding 'mono12'"),
        ("bayer_rggb12; png compressed ", area(77, dtype=np.uint16), "encoding 'bayer_rggb12'"),
        ("png; bayer_rggb12", area(77, dtype=np.uint16), "from encoding 'bayer_rggb12'"),
        ("png bayer_grbg32", area(77), "from encoding 'bayer_grbg32'"),
        ("BayerRG8 png", area(77), "from encoding 'bayerrg8'"),
        ("jpeg of a Bayer pattern", area(77, 77, 77), "from encoding 'bayer'"),
        ("x" * 500 + "; png", area(77), "xxx...'; let"),
    ],
)
def test_what_is_no_picture_by_its_format_is_refused_by_name(format_, pixels, words):
    """Though it can be decoded; the sentence says what would do."""
    with pytest.raises(encodings.MessageError, match="compressed image of format '") as refusal:
        encodings.to_rgb(compressed(format_, pixels))
    assert refusal.value.cause == "encoding"
    assert words in str(refusal.value) and len(str(refusal.value)) < 700


@pytest.mark.parametrize("format_", ["rgb8; tiff compressed ", "h264"])
def test_another_codec_is_refused_by_name(format_):
    """image_transport writes TIFF when told to."""
    data = cv2.imencode(".tiff", area(1, 2, 3))[1].tobytes()
    with pytest.raises(encodings.MessageError, match=f"'{format_}' cannot be decoded") as refusal:
        encodings.to_rgb(CompressedImage(format=format_, data=data))
    assert refusal.value.cause == "compressed"
