"""What the live view shows: arrays in, logged to a stream of rerun's. No ROS."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import cv2
import numpy as np
import rerun as rr
import rerun.blueprint as rrb

from ..camera import Intrinsics
from ..contact_sheet import farthest_of, most_frequent
from ..labels import UNLABELLED, LabelSet

LONGEST = 320  # pixels of the longer side, and points of the cloud; the image itself stays as it is
JPEG_QUALITY = 85
MOST_NAMES = 8  # of classes, written where they are
TIMELINE = "time"
FRUSTUM = 0.4  # metres from the camera to its image in the cloud
POINT = 0.8  # radius over the distance to the next point: surfaces close, edges do not swell
MOST_LISTED = 12  # classes of the legend, in rows of two
COLUMN = 5  # between two classes in a row, where two rows are 1 apart
UNKNOWN = (110, 110, 110)  # colour of what is unlabelled

# Series of the plots: the diagnostics' values, their names for people, and colours.
LATENCIES = {
    "latency total p95 [ms]": ("total, 95 %", (250, 130, 60)),
    "latency total p50 [ms]": ("total, median", (250, 200, 90)),
    "latency network p50 [ms]": ("network, median", (110, 170, 250)),
}
RATES = {
    "input rate [Hz]": ("images in", (150, 150, 150)),
    "output rate [Hz]": ("answered", (110, 210, 120)),
}


class Frame(NamedTuple):
    """What is known of one image, at one size.

    Attributes:
        camera: of the image.
        image: (H, W, 3) uint8 RGB.
        points: (H, W, 3) float32 metres in the camera's optical frame; NaN where there is none.
        labels: (H, W) uint8 class ids; ``None`` if there are none, as for the rest.
        confidence: (H, W) uint8, 255 for certainty.
        uncertainty: (H, W) float32, one standard deviation of depth in metres.
    """

    camera: Intrinsics
    image: np.ndarray
    points: np.ndarray
    labels: np.ndarray | None = None
    confidence: np.ndarray | None = None
    uncertainty: np.ndarray | None = None


class Scene:
    """Logs frames and figures.

    Args:
        stream: where to.
    """

    def __init__(self, stream: rr.RecordingStream) -> None:
        self._stream = stream
        self._labels: LabelSet | None = None
        self._pictures: Mapping[str, str] = {}
        stream.set_log_tick_enabled(False)
        stream.set_log_time_enabled(False)
        stream.log("world", rr.ViewCoordinates.RDF, static=True)
        for folder, series in (("latency", LATENCIES), ("rate", RATES)):
            for key, (name, colour) in series.items():
                style = rr.SeriesLines(colors=[colour], names=[name], widths=[2])
                stream.log(_series(folder, key), style, static=True)

    def classes(self, labels: LabelSet) -> None:
        """Names and colours of the classes, which later frames have."""
        self._labels = labels
        named = enumerate(zip(labels.names, labels.palette, strict=True))
        context = [(index, name, colour) for index, (name, colour) in named]
        context.append((UNLABELLED, "unlabelled", UNKNOWN))
        self._stream.log("/", rr.AnnotationContext(context), static=True)

    def frame(self, frame: Frame, seconds: float) -> None:
        """Show a frame as that of a time, in seconds since 1970."""
        log = self._stream.log
        self._stream.set_time(TIMELINE, timestamp=seconds)
        self._lay_out(frame)
        every = max(1, math.ceil(max(frame.image.shape[:2]) / LONGEST))
        points, colours = frame.points[::every, ::every], frame.image[::every, ::every]
        labels, confidence, uncertainty = (
            None if plane is None else np.ascontiguousarray(plane[::every, ::every])
            for plane in frame[3:]
        )
        depth = np.ascontiguousarray(points[..., 2])
        log("world/camera", _pinhole(frame.camera))
        log("world/camera/image", _jpeg(frame.image))
        log("world/points", _cloud(points, colours, labels, every / frame.camera.focal))
        log("depth", _metres(depth, rr.components.Colormap.Turbo, is_reversed=True))
        if labels is not None:
            log("classes", rr.SegmentationImage(labels))
            if self._labels is not None:
                log("classes/names", _names(labels, self._labels))
                log("legend", _legend(labels, self._labels))
        if confidence is not None:
            log("confidence", rr.Image(confidence))
        if uncertainty is not None:
            known = np.where(np.isfinite(depth), uncertainty, np.nan)
            log("uncertainty", _metres(known, rr.components.Colormap.Inferno))

    def _lay_out(self, frame: Frame) -> None:
        """Have a view for each picture of a frame, and none without; their titles by origin."""
        has_labels = frame.labels is not None
        pictures = {
            "world/camera/image": "Image",
            "depth": "Depth [m], red is near",
            **({"classes": "Classes", "legend": "Share of the classes"} if has_labels else {}),
            **({"confidence": "Confidence"} if frame.confidence is not None else {}),
            **({"uncertainty": "Uncertainty [m]"} if frame.uncertainty is not None else {}),
        }
        if pictures != self._pictures:
            self._pictures = pictures
            self._stream.send_blueprint(layout(pictures))

    def figures(self, values: Mapping[str, str], seconds: float) -> None:
        """Plot what diagnostics say, of ``LATENCIES`` and ``RATES``; other values are left out."""
        self._stream.set_time(TIMELINE, timestamp=seconds)
        for folder, series in (("latency", LATENCIES), ("rate", RATES)):
            for key in series.keys() & values.keys():
                self._stream.log(_series(folder, key), rr.Scalars(float(values[key])))


def layout(pictures: Mapping[str, str]) -> rrb.Blueprint:
    """Where what is shown: the cloud and the plots at the left, what the camera sees beside it.

    Args:
        pictures: titles by origin.
    """
    cloud = rrb.Spatial3DView(
        origin="world",
        name="Cloud, and the camera that sees it",
        background=(24, 24, 28),
        line_grid=False,
        eye_controls=rrb.EyeControls3D(
            position=(-1.0, -1.0, -1.6), look_target=(0.0, 0.2, 2.5), eye_up=(0.0, -1.0, 0.0)
        ),
    )
    last_minute = rrb.VisibleTimeRange(
        TIMELINE,
        start=rrb.TimeRangeBoundary.cursor_relative(seconds=-60),
        end=rrb.TimeRangeBoundary.cursor_relative(),
    )
    plots = [
        rrb.TimeSeriesView(origin=folder, name=name, time_ranges=last_minute)
        for folder, name in (("latency", "Latency [ms]"), ("rate", "Rate [Hz]"))
    ]
    bounds = rrb.VisualBounds2D(
        x_range=(-COLUMN / 2, 3 * COLUMN / 2), y_range=(-0.7, MOST_LISTED / 2)
    )
    views = [
        rrb.Spatial2DView(
            origin=origin, name=title, visual_bounds=bounds if origin == "legend" else None
        )
        for origin, title in pictures.items()
    ]
    return rrb.Blueprint(
        rrb.Horizontal(
            rrb.Vertical(cloud, rrb.Horizontal(*plots), row_shares=[3, 1]),
            rrb.Grid(*views, grid_columns=2),
            column_shares=[1, 1],
        ),
        rrb.TimePanel(timeline=TIMELINE, state="collapsed", play_state="following"),
        collapse_panels=True,
    )


def _series(folder: str, key: str) -> str:
    return f"{folder}/{key.rpartition(' [')[0].replace(' ', '_')}"


def _pinhole(camera: Intrinsics) -> rr.Pinhole:
    return rr.Pinhole(
        focal_length=(camera.fx, camera.fy),
        principal_point=(camera.cx, camera.cy),
        resolution=(camera.width, camera.height),
        camera_xyz=rr.ViewCoordinates.RDF,
        image_plane_distance=FRUSTUM,
    )


def _jpeg(image: np.ndarray) -> rr.EncodedImage:
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, coded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return rr.EncodedImage(contents=coded.tobytes(), media_type="image/jpeg")


def _cloud(
    points: np.ndarray, colours: np.ndarray, labels: np.ndarray | None, spread: float
) -> rr.Points3D:
    """Points as large as they lie apart: ``spread`` is that distance, over depth."""
    known = np.isfinite(points[..., 2])
    positions = points[known]
    return rr.Points3D(
        positions,
        radii=POINT * spread * positions[:, 2],
        colors=colours[known],
        point_shading=rr.components.PointShading.Flat,
        class_ids=None if labels is None else labels[known],
    )


def _metres(
    values: np.ndarray, colours: rr.components.Colormap, is_reversed: bool = False
) -> rr.DepthImage:
    """Whose colours end at a whole multiple of half a metre, so that they seldom change."""
    ends = (0.0, math.ceil(2 * farthest_of([values])) / 2)
    ends = ends[::-1] if is_reversed else ends
    return rr.DepthImage(values, meter=1.0, colormap=colours, depth_range=ends)


def _shares(labels: np.ndarray, label_set: LabelSet) -> dict[int, float]:
    """Of the pixels, by class, the greatest first; those that would round to 0 % are left out."""
    counts = np.bincount(labels.ravel(), minlength=256)
    shares = {index: counts[index] / labels.size for index in most_frequent(counts, label_set)}
    return {index: share for index, share in shares.items() if share >= 0.005}


def _names(labels: np.ndarray, label_set: LabelSet) -> rr.Points2D:
    """Classes named where they are widest."""
    frequent = [*_shares(labels, label_set)][:MOST_NAMES]
    places = [_widest(labels == index) for index in frequent]
    names = [label_set.names[index] for index in frequent]
    return rr.Points2D(places, labels=names, class_ids=frequent, show_labels=True, radii=1.0)


def _legend(labels: np.ndarray, label_set: LabelSet) -> rr.Points2D:
    """Classes and how much of the image they cover, as a list of two columns."""
    shares = [*_shares(labels, label_set).items()][:MOST_LISTED]
    return rr.Points2D(
        [(COLUMN * (number % 2), number // 2) for number in range(len(shares))],
        labels=[f"{label_set.names[index]} {share:.0%}" for index, share in shares],
        class_ids=[index for index, _ in shares],
        radii=rr.Radius.ui_points(6),
        show_labels=True,
    )


def _widest(mask: np.ndarray) -> tuple[int, int]:
    """Column and row of the pixel that is farthest from where the mask ends."""
    inside = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
    row, column = np.unravel_index(inside.argmax(), inside.shape)
    return int(column), int(row)
