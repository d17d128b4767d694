"""``classify`` of ``finishing.py`` as one Triton kernel: no score is ever written at full size.

Importing it needs Triton, and calling it what Triton compiles with.
"""

# What Triton compiles has no types of Python.
# mypy: disable-error-code="no-untyped-def, untyped-decorator"

from __future__ import annotations

import torch
import triton
import triton.language as tl

_BLOCK = 128  # pixels of a program
_NUMBERS = ("classes", "h", "w", "height", "width", "of_image", "of_class", "of_row", "of_column")


def classify(
    scores: torch.Tensor, size: tuple[int, int], with_probability: bool
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """The best class of each pixel, as of bilinearly upsampled scores.

    Args:
        scores: (N, C, h, w) float32 logits, in any order in memory.
        size: (height, width) of the answers.
        with_probability: whether the second answer is wanted.

    Returns:
        (N, *size) uint8 classes, and the float32 softmax probability of these, or ``None``.
    """
    count, *source = scores.shape
    labels = scores.new_empty((count, *size), dtype=torch.uint8)
    probability = scores.new_empty((count, *size)) if with_probability else None
    grid = (triton.cdiv(size[0] * size[1], _BLOCK), count)
    with torch.cuda.device_of(scores):
        _classify[grid](
            *(scores, labels, labels if probability is None else probability),
            *(*source, *size, *scores.stride()),
            WITH_PROBABILITY=with_probability,
            BLOCK=_BLOCK,
        )
    return labels, probability


# A size that is new must not be compiled for: its image would wait.
@triton.jit(do_not_specialize=_NUMBERS)
def _classify(
    scores,
    labels,
    probability,
    classes,
    h,
    w,
    height,
    width,
    of_image,
    of_class,
    of_row,
    of_column,
    WITH_PROBABILITY: tl.constexpr,  # noqa: N803
    BLOCK: tl.constexpr,  # noqa: N803
):
    """Some pixels of an image, class by class: the best so far, and the sum of exponentials."""
    image = tl.program_id(1)
    pixel = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    is_inside = pixel < height * width
    top, bottom, down = _neighbours(pixel // width, h, height)
    left, right, along = _neighbours(pixel % width, w, width)
    plane = scores + image * of_image
    best = tl.full([BLOCK], float("-inf"), tl.float32)
    label = tl.zeros([BLOCK], tl.int32)
    total = tl.zeros([BLOCK], tl.float32)  # of exponentials, over that of the best
    for number in range(classes):
        top_left = tl.load(plane + top * of_row + left * of_column, is_inside)
        top_right = tl.load(plane + top * of_row + right * of_column, is_inside)
        bottom_left = tl.load(plane + bottom * of_row + left * of_column, is_inside)
        bottom_right = tl.load(plane + bottom * of_row + right * of_column, is_inside)
        upper = top_left + along * (top_right - top_left)
        lower = bottom_left + along * (bottom_right - bottom_left)
        score = upper + down * (lower - upper)
        most = tl.maximum(best, score)
        if WITH_PROBABILITY:
            total = total * tl.exp(best - most) + tl.exp(score - most)
        label = tl.where(score > best, number, label)  # of equal ones the first
        best = most
        plane += of_class
    out = image * height * width + pixel
    tl.store(labels + out, label.to(tl.uint8), is_inside)
    if WITH_PROBABILITY:
        tl.store(probability + out, 1.0 / total, is_inside)


@triton.jit
def _neighbours(position, source, target):
    """What bilinear upsampling blends at a row or column: two of the source's, and how far on."""
    exact = tl.maximum((position + 0.5) * (source / target) - 0.5, 0.0)
    before = tl.minimum(exact.to(tl.int32), source - 1)
    return before, tl.minimum(before + 1, source - 1), exact - before
