"""Labels and probabilities by pieces: what upsampling all scores at once gives."""

import pytest
import torch
from torch.nn import functional

from sosd_ros.engine import finishing

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("source", "size"),
    [
        ((6, 8), (48, 64)),
        ((6, 8), (45, 70)),
        ((1, 1), (3, 5)),
        ((6, 8), (6, 8)),
        ((9, 5), (4, 3)),
        ((12, 16), (48, 64)),
        ((12, 16), (51, 61)),
        ((24, 32), (192, 256)),  # in two pieces
        ((12, 100), (51, 3001)),  # in pieces of twelve rows
        ((2, 3000), (7, 40000)),  # row by row
        ((9, 5), (4, 40000)),
    ],
)
def test_pieces_give_what_the_whole_gives(source, size):
    """Exactly the same labels, and probabilities to float's precision, at any size."""
    generator = torch.Generator().manual_seed(20240607)
    scores = 3 * torch.randn(2, 7, *source, generator=generator)
    rows = finishing.rows_on(CPU, source[0], size[0])
    for memory_format in (torch.contiguous_format, torch.channels_last):
        given = scores.contiguous(memory_format=memory_format)
        labels, probability = finishing.classify(given, rows, size[1], with_probability=True)
        whole = functional.interpolate(scores, size=size, mode="bilinear").softmax(1)
        expected, classes = whole.max(1)
        first, second = whole.topk(2, dim=1).values.unbind(1)
        is_tie = first - second < 1e-6
        assert labels.dtype == torch.uint8
        assert ((labels == classes) | is_tie).all()
        torch.testing.assert_close(probability, expected, rtol=1e-5, atol=1e-6)
        assert finishing.classify(given, rows, size[1], with_probability=False)[1] is None
