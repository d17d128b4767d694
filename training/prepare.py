"""Write a data set as training reads it: ``python -m training.prepare nyuv2`` or ``cityscapes``.

``photographs`` cleans pictures of rooms that nobody has labelled, for ``training.label``.

Given again after a stop, a command goes on where it was.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from sosd_ros import commands
from sosd_ros.labels import NYU13, NYU40
from sosd_ros.progress import progress_bar

from .data import cityscapes, nyuv2, unlabelled_photographs
from .data.cityscapes import Cityscapes, StereoCamera
from .data.errors import DataError
from .data.files import read_sample, write, write_png
from .data.nyuv2 import NYUv2
from .data.nyuv2_official import OfficialNYUv2, check_classes13, read_splits
from .data.sample import Samples


def prepare_nyuv2(arguments: argparse.Namespace) -> None:
    """Lossless images, 16-bit depth and the 40 classes, from the official .mat files.

    The lists of names come last: without them nobody takes a half-written folder for a data set.
    """
    out: Path = arguments.out
    commands.check_out("--out", out, folder=True)
    if arguments.classes13:
        check_classes13(arguments.classes13)
    classes40 = arguments.classes40 or arguments.mat.with_name("classMapping40.mat")
    official = OfficialNYUv2(arguments.mat, classes40)
    splits = read_splits(arguments.splits, len(official))
    for number in progress_bar(sorted([*splits["train"], *splits["val"]]), "write", unit="frame"):
        frame = official.frame(number)
        write_png(out / "rgb" / f"{number:04d}.png", frame.image)
        write_png(out / "depth" / f"{number:04d}.png", frame.depth)
        write_png(out / "depth_raw" / f"{number:04d}.png", frame.raw_depth)
        write_png(out / "label40" / f"{number:04d}.png", frame.labels)
    meta = {
        "classes40": NYU40.names,
        "map40to13": nyuv2.GROUPS13,
        "classes13": NYU13.names,
        "void": 0,
    }
    write(out / "meta.json", json.dumps(meta, indent=1).encode())
    for split, numbers in splits.items():
        write(out / f"{split}.txt", "".join(f"{number:04d}\n" for number in numbers).encode())
        _verify(NYUv2(out, split), official.size, f"verify {split}")
        _verify(NYUv2(out, split, raw_depth=True), official.size, f"verify {split}, raw depth")
    _report(out, splits, official.size)


def prepare_cityscapes(arguments: argparse.Namespace) -> None:
    """The official tree again with images, label ids and 16-bit disparity at a smaller size.

    The camera files come first: as long as one of them has no image, the loader refuses the folder.
    """
    root, out, size = arguments.root, arguments.out, arguments.size
    if out.resolve() == root.resolve():
        raise DataError(f"--out {out} is the official data set itself; choose another folder")
    commands.check_out("--out", out, folder=True)
    official = {split: Cityscapes(root, split, size) for split in ("train", "val")}
    cameras = []
    for split, samples in official.items():
        for index, name in enumerate(samples.names):
            cameras.append(samples.camera(index))
            content = cityscapes.files(root, split, name).camera.read_bytes()
            write(cityscapes.files(out, split, name).camera, content)
    print(_spread(cameras))
    for split, samples in official.items():
        for index, name in enumerate(progress_bar(samples.names, f"write {split}", unit="frame")):
            _cache(samples, index, cityscapes.files(out, split, name), size)
    for split, samples in official.items():
        cache = Cityscapes(out, split, size)
        if cache.names != samples.names:
            raise DataError(f"{out} has frames of {split} that {root} lacks; choose another --out")
        _verify(cache, size, f"verify {split}")
    _report(out, {split: samples.names for split, samples in official.items()}, size)


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


def _cache(
    samples: Cityscapes, index: int, target: cityscapes.Files, size: tuple[int, int]
) -> None:
    """Write one frame, unless it is there: the official files take long to decode."""
    try:
        if read_sample(target.image, target.disparity, target.labels).labels.shape == size:
            return
    except DataError:
        pass
    image, disparity, label_ids = samples.stored(index)
    write_png(target.disparity, disparity)
    write_png(target.labels, label_ids)
    write_png(target.image, image)


def _spread(cameras: list[StereoCamera]) -> str:
    """How far the calibrations lie from the nominal one, as Z does for the same disparity."""
    scales = np.array([camera.intrinsics.fx * camera.baseline for camera in cameras])
    nominal = cityscapes.CAMERA.intrinsics.fx * cityscapes.CAMERA.baseline
    deviation = np.abs(scales / nominal - 1)
    return (
        f"calibration: {np.sum(deviation < 1e-6)} of {len(cameras)} frames have the nominal "
        f"f B = {nominal:.1f} px m, by which disparity becomes metres; the others are up to "
        f"{deviation.max():.1%} off"
    )


def _verify(samples: Samples, size: tuple[int, int], what: str) -> None:
    """Read every sample as training will; the loader refuses what is missing or out of range."""
    for index, name in enumerate(progress_bar(samples.names, what, unit="frame")):
        found = samples[index].labels.shape
        if found != size:
            raise DataError(
                f"sample {name} is {found[0]}x{found[1]}, expected {size[0]}x{size[1]}; delete its "
                "files and give the same command again"
            )


def _report(out: Path, splits: dict[str, list], size: tuple[int, int]) -> None:
    counts = " and ".join(f"{len(names)} {split}" for split, names in splits.items())
    print(f"{out}: {counts} frames of {size[0]}x{size[1]}, written and verified")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.prepare",
        description="Write a data set as training reads it. Given again after a stop, it goes on.",
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

    city = data_sets.add_parser("cityscapes", help="Cityscapes at a size that is quick to read")
    city.add_argument("--root", type=Path, required=True, help="the official data set, unpacked")
    city.add_argument("--out", type=Path, required=True, help="folder to write")
    city.add_argument(
        "--size",
        type=commands.size,
        default=(256, 512),
        metavar="HEIGHTxWIDTH",
        help="of the frames (256x512, the paper's)",
    )
    city.set_defaults(prepare=prepare_cityscapes)

    photos = data_sets.add_parser(
        "photographs", help="pictures of rooms without labels, for python -m training.label"
    )
    photos.add_argument(
        "folders",
        type=Path,
        nargs="*",
        help="of pictures, the best first: of what is alike one stays",
    )
    photos.add_argument("--out", type=Path, required=True, help="folder to write")
    photos.add_argument(
        "--squeezed",
        type=Path,
        nargs="+",
        default=[],
        metavar="DIR",
        help="further folders, whose square files are pictures of 4:3 that were squeezed",
    )
    photos.add_argument(
        "--unlike",
        type=Path,
        nargs="+",
        default=[],
        metavar="DIR",
        help="leave out what is like a picture of these folders, such as those to be measured on",
    )
    photos.add_argument(
        "--short-side", type=commands.count, default=240, help="least height (%(default)s)"
    )
    photos.set_defaults(prepare=prepare_photographs)
    return parser


if __name__ == "__main__":
    commands.main(_parser(), lambda arguments: arguments.prepare(arguments))
