"""The canvas on which an image is brought to the scale of the training, and its parts."""

import math

import pytest
import torch
from torch.nn import functional

from sosd_ros.network import canvas_size, in_parts

SIZES = [(384, 512), (416, 480), (64, 96), (32, 640), (32, 32)]
MAGNIFICATIONS = [0.01, 0.2, 1 / 3, 0.5, 0.8, 0.95, 1.05, 1.2, 1.5, 2, 2.7, 5]


class Means:
    """Answers the mean of each cell, of as many channels as asked; keeps what it was given.

    All answers lie in the same memory, as those of some backends do.
    """

    def __init__(self, stride=8):
        self.stride, self.inputs = stride, []
        self.memory = None

    def __call__(self, inputs):
        self.inputs.append(inputs)
        means = functional.avg_pool2d(inputs, self.stride)
        self.memory = means if self.memory is None else self.memory.copy_(means)
        return [self.memory[:, 0], self.memory, None]


@pytest.mark.parametrize("most", range(1, 17))
@pytest.mark.parametrize("size", SIZES)
def test_an_image_takes_no_more_inputs_than_it_may(size, most):
    """Each of a size that networks take, and none larger than the usual."""
    for magnification in MAGNIFICATIONS:
        canvas = canvas_size(size, magnification, most)
        network = Means()
        in_parts(network, torch.zeros(1, 3, *canvas), size)
        assert len(network.inputs) <= most
        shapes = {tuple(inputs.shape) for inputs in network.inputs}
        assert shapes == {(1, 3, min(canvas[0], size[0]), min(canvas[1], size[1]))}
        assert all(side % 32 == 0 for side in canvas)


@pytest.mark.parametrize("magnification", [1.0, 1.09, 0.92, math.nan])
def test_an_image_that_is_near_enough_or_of_an_unknown_scale_stays_whole(magnification):
    assert canvas_size((384, 512), magnification, 16) == (384, 512)


@pytest.mark.parametrize("magnification", MAGNIFICATIONS)
def test_without_inputs_to_take_all_stay_whole(magnification):
    assert canvas_size((384, 512), magnification, 0) == (384, 512)


@pytest.mark.parametrize(
    ("magnification", "most", "expected"),
    [
        (0.5, 1, (192, 256)),
        (0.1, 4, (128, 160)),  # a third, however long the lens is
        (2.0, 1, (384, 512)),
        (2.0, 4, (736, 960)),  # what four inputs cover that overlap
        (2.0, 8, (736, 960)),
        (2.0, 9, (768, 1024)),
        (1.5, 9, (576, 768)),
    ],
)
def test_a_canvas_is_as_near_to_the_scale_as_its_inputs_allow(magnification, most, expected):
    assert canvas_size((384, 512), magnification, most) == expected


@pytest.mark.parametrize("stride", [4, 8])
@pytest.mark.parametrize("size", [(64, 96), (32, 64), (96, 96)])
@pytest.mark.parametrize("canvas", [(64, 96), (96, 160), (160, 224), (64, 128), (32, 32)])
def test_what_parts_answer_lies_where_it_was_seen(random, canvas, size, stride):
    """A network that sees one cell at a time answers parts as it does the whole."""
    pixels = torch.from_numpy(random.uniform(0, 9, (2, 3, *canvas)))
    answers = in_parts(Means(stride), pixels, size)
    expected = Means(stride)(pixels)
    assert answers[2] is None
    for answer, wanted in zip(answers[:2], expected[:2], strict=True):
        torch.testing.assert_close(answer, wanted)


def test_answers_pass_into_each_other_where_parts_overlap():
    """From the one's to the other's, evenly: no seam."""
    count = iter(range(2))

    def network(inputs):
        return [torch.full((1, 4, 16), float(next(count)))]

    [answer] = in_parts(network, torch.zeros(1, 3, 32, 192), (32, 128))
    rising = torch.arange(1, 9) / 9
    expected = torch.cat([torch.zeros(8), rising, torch.ones(8)])
    torch.testing.assert_close(answer, expected.expand(1, 4, 24))
