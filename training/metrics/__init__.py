"""Metrics, from sums that add up exactly over images and shards; one measure a file."""

from .calibration import Calibration
from .depth import DEPTH_ERRORS, DEPTH_METRICS, DepthErrors, ErrorsByDistance, Scale
from .edges import DepthEdges
from .flicker import Flicker, Matches, matches
from .measure import Measure, Values
from .points import ScaledByPoints
from .semantic import SEMANTIC_METRICS, ConfusionMatrix, Trimap
from .spread import Spread

__all__ = [
    "DEPTH_ERRORS",
    "DEPTH_METRICS",
    "SEMANTIC_METRICS",
    "Calibration",
    "ConfusionMatrix",
    "DepthEdges",
    "DepthErrors",
    "ErrorsByDistance",
    "Flicker",
    "Matches",
    "Measure",
    "Scale",
    "ScaledByPoints",
    "Spread",
    "Trimap",
    "Values",
    "matches",
]
