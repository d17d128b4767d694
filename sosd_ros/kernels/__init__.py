"""What surrounds the network on a CPU, compiled by numba: each frame is gone through once.

One job a file; ``compiled.py`` says what numba needs of them.
"""

from .alignment import align, displace
from .classification import classify
from .compiled import in_bands, plain
from .interpolation import neighbours
from .metric_depth import metres
from .point_cloud import cloud
from .resizing import prepare, resampling
from .steadying import compare_depth, multiply, steady_labels

__all__ = [
    "align",
    "classify",
    "cloud",
    "compare_depth",
    "displace",
    "in_bands",
    "metres",
    "multiply",
    "neighbours",
    "plain",
    "prepare",
    "resampling",
    "steady_labels",
]
