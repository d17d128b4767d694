"""16-bit images of cameras that have fewer bits: read as told, and noticed where nobody told."""

import time
from types import SimpleNamespace

import numpy as np
import pytest
from sensor_msgs.msg import Image

from sosd_ros import encodings
from sosd_ros.ros import parameters
from sosd_ros.ros.bit_depth import LONGEST_GAP, MINUTE, BitDepth
from sosd_ros.ros.pipeline import Frame, Pipeline
from sosd_ros.ros.statistics import Statistics
from sosd_ros.stamps import AgeLimit

PIXELS = np.array([[[10, 20, 30], [7, 200, 255]], [[0, 1, 2], [3, 4, 5]]])  # of 8 bits


def image(encoding, values, is_bigendian=0, padding=0):
    """A message of (H, W, channels) values of 16 bits."""
    order = ">" if is_bigendian else "<"
    rows = values.astype(f"{order}u2").reshape(len(values), -1).view(np.uint8)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=255)
    message = Image(encoding=encoding, height=len(values), width=values.shape[1])
    message.step, message.is_bigendian = rows.shape[1], is_bigendian
    message.data.frombytes(rows.tobytes())
    return message


@pytest.mark.parametrize("bits", range(8, 17))
@pytest.mark.parametrize("padding", [0, 1, 6])
@pytest.mark.parametrize("is_bigendian", [0, 1])
def test_the_upper_eight_of_the_significant_bits_are_the_picture(bits, padding, is_bigendian):
    """Whatever lies below them, between the rows, and in which order their bytes are."""
    values = (PIXELS << bits - 8) + (1 << bits - 8) - 1
    message = image("rgb16", values, is_bigendian, padding)
    rgb = encodings.to_rgb(message, significant_bits=bits)
    np.testing.assert_array_equal(rgb, PIXELS)


@pytest.mark.parametrize("encoding", ["mono16", "bayer_rggb16"])
def test_one_channel_too(encoding):
    """Grey, and a mosaic of it."""
    message = image(encoding, np.full((6, 8, 1), 77 << 4))
    rgb = encodings.to_rgb(message, significant_bits=12)
    np.testing.assert_array_equal(rgb, np.full((6, 8, 3), 77))


def test_what_is_beyond_the_significant_bits_is_white():
    """And does not begin anew with black."""
    message = image("mono16", np.array([[[1023], [1024], [4096], [65535]]]))
    rgb = encodings.to_rgb(message, significant_bits=10)
    np.testing.assert_array_equal(rgb[0, :, 0], 255)


@pytest.mark.parametrize("encoding", ["rgba16", "bgra16"])
def test_alpha_is_no_brightness(encoding):
    """It is at its greatest in every picture."""
    peaks = []
    values = np.full((2, 2, 4), (1, 2, 3, 65535))
    encodings.to_rgb(image(encoding, values), on_peak=peaks.append)
    assert peaks == [3]


def test_images_of_8_bits_have_no_peak():
    """Nothing is looked for where nothing can be found."""
    message = Image(encoding="mono8", height=1, width=1, step=1, data=b"\1")
    encodings.to_rgb(message, on_peak=lambda peak: pytest.fail("looked at"))


def play(depth, peaks, bits=16, period=1.0, start=0.0):
    """What is doubtful after each of the images of these peaks, a period of seconds apart."""
    return [depth.see(peak, start + number * period, bits) for number, peak in enumerate(peaks)]


@pytest.mark.parametrize(
    ("peak", "fits"), [(200, 8), (1023, 10), (2000, 12), (4095, 12), (4096, 14)]
)
def test_a_minute_of_dark_images_raises_a_doubt(peak, fits):
    """It names the parameter and the depth of a camera that would fit."""
    doubts = play(BitDepth(), [peak] * 200)
    minute = int(MINUTE)
    assert not any(doubts[:minute]) and len({*doubts[minute:]}) == 1
    assert f"set significant_bits to {fits};" in doubts[-1]
    assert f"more than {fits} of 16 bits" in doubts[-1]


def test_one_bright_image_in_a_minute_is_enough():
    """Be it the last; and one that comes later takes the doubt away at once."""
    depth = BitDepth()
    assert not any(play(depth, [4095] * 59 + [40000] + [4095] * 60))
    assert all(play(depth, [4095], start=120))
    assert not any(play(depth, [40000, 4095], start=121))


def test_the_parameter_settles_it():
    """With the value that it named, there is no doubt any more."""
    depth = BitDepth()
    assert "set significant_bits to 12" in play(depth, [4000] * 61)[-1]
    assert not any(play(depth, [4000] * 200, bits=12, start=61))


def test_too_few_significant_bits_are_known_at_once():
    """Until a minute has passed without such an image."""
    depth = BitDepth()
    doubts = play(depth, [1000, 1500, 1600], bits=10)
    assert not doubts[0] and doubts[1] == doubts[2]
    assert doubts[1].endswith("clipped to white: set significant_bits to 12")
    assert all(play(depth, [1000] * 60, bits=10, start=3))
    assert not play(depth, [1000] * 60, bits=10, start=63)[-1]


def test_an_odd_number_of_bits_may_be_set():
    """Cameras have even ones, but nobody is told to correct what fits."""
    assert not any(play(BitDepth(), [2**11 - 1] * 200, bits=11))


def test_a_pause_is_no_minute():
    """Three images in a month say little."""
    assert not any(play(BitDepth(), [4095] * 3, period=1e6))
    doubts = play(BitDepth(), [4095] * 7, period=LONGEST_GAP)
    assert doubts[6] and not any(doubts[:6])


def test_black_images_say_nothing():
    """A lens cap has no bits."""
    assert not any(play(BitDepth(), [0] * 200))


class Stream:
    """A camera's images through the pipeline; what is doubtful is in ``doubts``."""

    def __init__(self):
        self.statistics = Statistics(("front",), time.monotonic)
        self.warned = []
        settings = parameters.read(None, {p.name: p.default for p in parameters.PARAMETERS})
        self.pipeline = Pipeline(
            SimpleNamespace(answers=set()),
            {
                "front": SimpleNamespace(
                    name="front",
                    age=AgeLimit(time.time_ns, lambda: False),
                    due=lambda rates, now: {"semantic"},
                    take_turn=lambda now: None,
                )
            },
            self.statistics,
            lambda: settings,
            lambda camera, message, cause, what, is_ours: self.warned.append(what),
            pytest.fail,
        )

    def send(self, message, arrived):
        self.pipeline({"front": Frame(message, arrived)})

    @property
    def doubts(self):
        return self.statistics.snapshot().cameras["front"].doubts


def test_a_camera_whose_stamps_stand_still_is_warned_of():
    """Stamp 0, or a paused clock: a minute is one of this computer."""
    stream, dark = Stream(), image("mono16", np.full((6, 8, 1), 4095))
    for seconds in range(60):
        stream.send(dark, float(seconds))
    assert not stream.doubts
    stream.send(dark, 60.0)
    assert "set significant_bits to 12" in stream.doubts[0]
    assert len(stream.warned) == 1


def test_a_doubt_ends_with_the_16_bit_images():
    """The driver has been set to another encoding."""
    stream = Stream()
    for seconds in range(61):
        stream.send(image("mono16", np.full((6, 8, 1), 4095)), float(seconds))
    assert stream.doubts
    stream.send(Image(encoding="mono8", height=1, width=1, step=1, data=b"\1"), 61.0)
    assert not stream.doubts
