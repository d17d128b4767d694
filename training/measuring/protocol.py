"""How a set is measured: where, how far, and in which views."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Literal

import torch

from sosd_ros.labels import UNLABELLED

from ..data.loader import Batch
from ..data.sample import DataSet
from ..networks.predictor import View

# Where Eigen et al. (NIPS 2014) measure in the 480x640 pixels of NYU Depth v2.
_EIGEN_SIZE = (480, 640)
_EIGEN_CROP = (slice(45, 471), slice(41, 601))


@dataclass(frozen=True)
class Protocol:
    """How a set is measured. The defaults are those of our comparison with the paper.

    Attributes:
        crop: where; ``eigen`` is rows 45 to 470 and columns 41 to 600 of NYU Depth v2's 480x640,
            for both tasks.
        cap: metres; truth beyond them is left out.
        flip: answer with the mean over every image and its mirror image.
        scales: answer with the mean over these sizes of the network's input, relative to its own.
        focal_length: the images as if by a camera with so many times the focal length
            (``training.data.zoomed``).
        corrects: whether depth is corrected for the focal length.
        fit: how many inputs an image may take to be seen at the scale of the training; 0: it is
            seen whole, in one.

    Raises:
        ValueError: if ``cap``, a scale or the focal length is not positive, there is no scale, or
            an image is to be fitted to a focal length that is not told.
    """

    crop: Literal["none", "eigen"] = "none"
    cap: float | None = None
    flip: bool = False
    scales: tuple[float, ...] = (1.0,)
    focal_length: float = 1.0
    corrects: bool = True
    fit: int = 0

    def __post_init__(self) -> None:
        if self.cap is not None and not self.cap > 0:
            raise ValueError(f"cap is {self.cap:g}, expected a positive number of metres")
        if not self.scales or not all(0 < scale < math.inf for scale in self.scales):
            raise ValueError(f"scales are {self.scales}, expected one or more positive numbers")
        if not 0 < self.focal_length < math.inf:
            raise ValueError(
                f"focal_length is {self.focal_length:g}, expected a positive number of times that "
                "of the data's camera"
            )
        if self.fit and not self.corrects:
            raise ValueError(
                f"fit is {self.fit}, but without a correction the focal length is not told; leave "
                "out one of both"
            )

    def __str__(self) -> str:
        parts = ["full frame" if self.crop == "none" else "Eigen crop [45:471, 41:601]"]
        if self.cap is not None:
            parts.append(f"depth up to {self.cap:g} m")
        scales = "+".join(f"{scale:g}" for scale in self.scales)
        parts.append("single scale" if self.scales == (1.0,) else f"scales {scales}")
        if self.focal_length != 1:
            parts.append(f"{self.focal_length:g} times the focal length")
        if not self.corrects:
            parts.append("depth not corrected")
        if self.fit:
            parts.append(f"fitted by up to {self.fit} inputs")
        return ", ".join(parts) + (" with mirror images" if self.flip else "")

    def views(self) -> list[View]:
        """All in which the network gets to see an image."""
        both = (False, True) if self.flip else (False,)
        return [View(*view) for view in itertools.product(self.scales, both)]

    @property
    def averages(self) -> bool:
        """Whether answers are means over views: of probabilities, and not of scores."""
        return len(self.views()) > 1

    def check(self, data_set: DataSet) -> None:
        """Refuse what means nothing for this data.

        Raises:
            ValueError: if it has disparity, and crop, cap or focal length are set.
        """
        limited = self.crop != "none" or self.cap is not None or self.focal_length != 1
        if limited and data_set.depth.kind != "metres":
            raise ValueError(
                f"crop, cap and focal_length are for depth in metres, but {data_set.title} has "
                "disparity; leave them out"
            )

    def truth(self, batch: Batch) -> Batch:
        """The batch, with all that is not to be measured made unknown.

        Raises:
            ValueError: if the crop is not of images of this size.
        """
        if self.crop == "none" and self.cap is None:
            return batch
        outside = torch.tensor(False)
        if self.crop == "eigen":
            outside = ~_eigen_crop(tuple(batch.labels.shape[1:]))
        too_far = batch.depth > (self.cap or math.inf)
        return batch._replace(
            depth=batch.depth.masked_fill(outside | too_far, math.nan),
            labels=batch.labels.masked_fill(outside, UNLABELLED),
        )


COMPARISON = Protocol()  # with the paper


def _eigen_crop(size: tuple[int, ...]) -> torch.Tensor:
    """True inside the crop: ``size``, bool."""
    if size != _EIGEN_SIZE:
        raise ValueError(
            f"crop eigen is defined for images of 480x640, but these are {size[0]}x{size[1]}; "
            "use crop none"
        )
    inside = torch.zeros(size, dtype=torch.bool)
    inside[_EIGEN_CROP] = True
    return inside
