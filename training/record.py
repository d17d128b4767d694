"""Make a data set of each recording of a robot: ``python -m training.record BAG --out DIR``.

One camera's images, rectified, with depth from a sensor that is aligned with it or from a lidar.
Of each view the sharpest image is kept, so that a minute of standing still is one frame, and
neighbours are never on both sides of the split. Given again after a stop, it goes on where it was.
Of several recordings each becomes a data set in a folder of DIR.
"""

from __future__ import annotations

import argparse
import json
from contextlib import closing
from functools import cached_property
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import yaml

from sosd_ros import commands, many
from sosd_ros.camera_info import View as Camera
from sosd_ros.device import checked_device
from sosd_ros.recordings import Recording, seconds

from .data.errors import DataError
from .data.files import begin, write
from .data.own import LISTS
from .recording import hiding, report
from .recording.frames import Writer, write_frames
from .recording.split import Split, split
from .recording.survey import Survey, partners, survey
from .recording.topics import Topics, camera_of, find
from .recording.views import SAME_VIEW

RECTIFIED = ("assumed", "true", "rectify")


def share(text: str) -> float:
    """A number from 0 to 1."""
    number = float(text)
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"is {text}, expected 0 to 1")
    return number


class DataSets(many.Work):
    """Makes a data set of each recording."""

    @property
    def cards(self) -> int:
        return super().cards if self.arguments.hide else 0

    @cached_property
    def hides(self) -> list[hiding.Hide]:
        return _hides(self.arguments)

    def is_there(self, source: Path, out: Path) -> bool:
        """Whether all frames of the lists are there, parted as is asked for."""
        commands.check_out("--out", out, folder=True)
        lists, facts = [out / f"{side}.txt" for side in LISTS], out / "record.json"
        if not all(path.is_file() for path in (*lists, facts)):
            return False
        with closing(Recording(source)) as recording:
            topics, _ = self._find(recording)
            begin(out / "made_of.json", _origin(recording, topics, self.arguments))
        names = [name for path in lists for name in path.read_text().split()]
        return json.loads(facts.read_text()).get("share_of_val") == self.arguments.val and all(
            (out / "rgb" / f"{name}.jpg").is_file() for name in names
        )

    def make(self, source: Path, out: Path) -> dict[str, str]:
        """What was found, in words."""
        arguments, hides = self.arguments, self.hides
        with closing(Recording(source)) as recording:
            topics, said = self._find(recording)
            for sentence in said:
                commands.say(sentence)
            camera = camera_of(recording, topics, arguments.rectified)
            begin(out / "made_of.json", _origin(recording, topics, arguments))
            found = survey(recording, topics, arguments.same_view, commands.say)
            chosen = _with_depth(found, topics, arguments)
            names = {view.number: str(view.stamp) for view in found.views}
            write_frames(
                recording, Writer(topics, camera, found, hides), chosen, names, out, commands.say
            )
        views = [v for v in found.views if (out / "rgb" / f"{v.stamp}.jpg").is_file()]
        if not views:
            raise DataError(f"{source} has no frame to learn from, for the reasons above")
        thumbnails = np.stack([view.thumbnail for view in views])
        sides = split([view.stamp for view in views], thumbnails, arguments.val)
        write(out / "camera.yaml", _calibration(camera).encode())
        return _finish(
            source, out, sides, [str(view.stamp) for view in views], found, topics, arguments
        )

    def report(self, out: Path, made: dict[str, str], stdout: TextIO) -> None:
        for name, fact in made.items():
            print(f"{name}: {fact}", file=stdout)
        print(f"{out / 'report.html'} shows some of the frames", file=stdout, flush=True)

    def _find(self, recording: Recording) -> tuple[Topics, list[str]]:
        asked = self.arguments
        return find(recording, asked.images, asked.depth, asked.lidar)


def run(arguments: argparse.Namespace) -> None:
    many.run(DataSets, arguments, arguments.recordings)


def _with_depth(found: Survey, topics: Topics, arguments: argparse.Namespace) -> dict[int, int]:
    """The number of each image to write, and that of its depth."""
    numbers = [view.number for view in found.views]
    if not (topics.depth or topics.cloud):
        return dict.fromkeys(numbers, -1)
    near = partners(found.views, found.depths, arguments.late, arguments.within)
    return {number: depth for number, depth in zip(numbers, near, strict=True) if depth >= 0}


def _finish(
    source: Path,
    out: Path,
    sides: Split,
    names: list[str],
    found: Survey,
    topics: Topics,
    arguments: argparse.Namespace,
) -> dict[str, str]:
    """Numbers, the page, and last the lists: without them nobody takes it for a data set."""
    lists = {"train": [names[i] for i in sides.train], "val": [names[i] for i in sides.val]}
    deep = report.depths(out, names)
    seen = len(found.views) + found.blurred
    facts = {
        "Recording": source.resolve().name,
        "Images": f"{topics.images.name}: {found.images} of {_plural(seen, 'view')}",
        "Depth": _depth_in_words(deep, topics),
        "Time": _offset_in_words(found, topics, arguments.late),
        "Left out": f"{_plural(found.blurred, 'view')} blurred, "
        f"{len(found.views) - len(names)} without depth, {len(sides.left_out)} next to those that "
        f"are measured on; {found.refused} broken messages",
        "Split": f"{len(sides.train)} to learn from, {len(sides.val)} to measure on; {sides.how}",
    }
    numbers: dict[str, Any] = {
        "images": found.images,
        "views": len(found.views),
        "blurred": found.blurred,
        "broken_messages": found.refused,
        "train": len(sides.train),
        "val": len(sides.val),
        "split": sides.how,
        "share_of_val": arguments.val,
        "depth_is_late_seconds": found.offset and found.offset.seconds,
    }
    write(out / "record.json", json.dumps(report.as_json(numbers, deep), indent=1).encode())
    report.write_page(out, f"Frames of {facts['Recording']}", facts, deep, lists)
    for name, members in lists.items():
        write(out / f"{name}.txt", "".join(f"{member}\n" for member in members).encode())
    return facts


def _plural(count: int, word: str) -> str:
    return f"{count} {word}" + "s" * (count != 1)


def _depth_in_words(deep: report.Depths | None, topics: Topics) -> str:
    source = topics.depth or topics.cloud
    if deep is None or source is None:
        return "none"
    near, middle, far = deep.percentiles
    return (
        f"{source.name}: at {deep.share_known:.1%} of the pixels, half of it nearer than "
        f"{middle:.2f} m, 90 % from {near:.2f} to {far:.2f} m"
    )


def _offset_in_words(found: Survey, topics: Topics, late: float) -> str:
    if not topics.depth:
        return "not compared: that takes images of depth"
    if found.offset is None:
        return "the motion in images and depth does not tell how far apart their stamps are"
    seconds, spread, likeness = found.offset
    advice = ""
    if abs(seconds - late) > max(0.01, 2 * spread):
        advice = f"; give --late {seconds:.3f} and another --out to take that into account"
    return (
        f"depth's stamps are {1000 * seconds:.0f} ms late (spread {1000 * spread:.0f} ms, "
        f"correlation {likeness:.2f}){advice}"
    )


def _origin(recording: Recording, topics: Topics, arguments: argparse.Namespace) -> dict[str, Any]:
    """What the folder is made of: who goes on must have the same."""
    source = topics.depth or topics.cloud
    asked = ("rectified", "same_view", "late", "within", "hide")
    return {
        "recording": [recording.path.resolve().name, *map(seconds, recording.span)],
        "images": topics.images.name,
        "depth": source.name if source else None,
        "faces_hidden": arguments.hide_faces is not None,
        **{name: getattr(arguments, name) for name in asked},
    }


def _hides(arguments: argparse.Namespace) -> list[hiding.Hide]:
    hides = [hiding.faces(arguments.hide_faces)] if arguments.hide_faces else []
    if arguments.hide:
        device = str(checked_device(arguments.device))
        hides.append(hiding.classes(arguments.hide, arguments.weights, device))
    return hides


def _calibration(camera: Camera) -> str:
    """The camera of the frames, in the form that camera_info_manager reads."""
    one = camera.camera
    k = [one.fx, 0.0, one.cx, 0.0, one.fy, one.cy, 0.0, 0.0, 1.0]
    p = [*k[:3], 0.0, *k[3:6], 0.0, *k[6:], 0.0]

    def matrix(rows: int, data: list[float]) -> dict[str, Any]:
        return {"rows": rows, "cols": len(data) // rows, "data": data}

    return yaml.safe_dump(
        {
            "image_width": one.width,
            "image_height": one.height,
            "camera_name": camera.info.header.frame_id or "camera",
            "camera_matrix": matrix(3, k),
            "distortion_model": "plumb_bob",
            "distortion_coefficients": matrix(1, [0.0] * 5),
            "rectification_matrix": matrix(3, np.eye(3).ravel().tolist()),
            "projection_matrix": matrix(3, p),
        },
        sort_keys=False,
    )


def command_line() -> argparse.ArgumentParser:
    parser = commands.parser(
        "training.record", __doc__, "drive --depth /camera/depth_registered/image --out data/drive"
    )
    parser.add_argument(
        "recordings",
        type=Path,
        nargs="+",
        metavar="BAG",
        help="a rosbag2 folder, an mcap or a db3 file",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--images", metavar="TOPIC", help="of the camera (default: the only one)")
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--depth", metavar="TOPIC", help="of depth aligned with the images (default: the only one)"
    )
    source.add_argument(
        "--lidar", metavar="TOPIC", help="of points, brought into the camera by tf, in its place"
    )
    parser.add_argument(
        "--rectified",
        default="assumed",
        choices=RECTIFIED,
        help="whether images are rectified, as the node's parameter of that name (%(default)s)",
    )
    parser.add_argument(
        "--within",
        type=commands.positive,
        default=0.05,
        metavar="SECONDS",
        help="between an image and its depth at most (%(default)g)",
    )
    parser.add_argument(
        "--late",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="by which depth's stamps are late, as the report estimates it (%(default)g)",
    )
    parser.add_argument(
        "--same-view",
        type=share,
        default=SAME_VIEW,
        metavar="CORRELATION",
        help="of small pictures, above which images show the same (%(default)g); less keeps fewer",
    )
    parser.add_argument(
        "--val", type=share, default=0.2, help="share of frames to measure on (%(default)g)"
    )
    parser.add_argument(
        "--hide",
        type=lambda text: text.split(","),
        default=[],
        metavar="CLASS,...",
        help="blur what the network of --weights takes for these, such as television",
    )
    parser.add_argument(
        "--hide-faces",
        type=Path,
        metavar="ONNX",
        help="blur faces, by YuNet's file of OpenCV's model zoo",
    )
    commands.add_weights_option(parser)
    commands.add_device_option(parser)
    many.add_ray_option(parser)
    return parser


def main() -> None:
    commands.main(command_line(), run)


if __name__ == "__main__":
    main()
