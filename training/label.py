"""Let teachers label photographs: ``python -m training.label TEACHER --photographs DIR --out DIR``.

Given again after a stop, it goes on where it was.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from sosd_ros import atomic, commands
from sosd_ros.device import checked_device
from sosd_ros.labels import LabelSet
from sosd_ros.progress import progress_bar

from . import options
from .data import labelled_photographs
from .data.errors import DataError
from .data.files import begin, check_names, read_colour, write, write_png
from .data.labelled_photographs import BEST, DEPTH_UNIT, SCORE_UNIT, SPREAD_UNIT, Answer
from .data.sample import DataSet
from .data.sets import data_set
from .measuring.result import Protocol, view_answers
from .metrics.log_depth import LEAST
from .networks.imagenet import Normalisation
from .networks.trained import Model, load

# Of which a room shows something. A picture in which the teachers see less is none.
_ROOM, _LEAST_ROOM = ("wall", "floor", "ceiling"), 0.12


class Teachers(NamedTuple):
    """Networks that answer together.

    Attributes:
        models: of the same classes, with depth in metres.
        sha256: of their files.
        data: what they were trained on.
        protocol: the views in which each of them gets to see a picture.
        device: of torch.
        bfloat16: whether they compute in it, which is quicker where the processor has it.
    """

    models: Sequence[Model]
    sha256: Sequence[str]
    data: DataSet
    protocol: Protocol
    device: str
    bfloat16: bool = False

    @torch.inference_mode()
    def answer(self, image: np.ndarray, size: tuple[int, int]) -> Answer:
        """What they say of (H, W, 3) uint8 RGB, at (height, width)."""
        images = torch.from_numpy(image)[None].to(self.device)
        scores, log_depths = [], []
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.bfloat16):
            for view in self._views(images, size):
                scores.append(view["semantic"][0].float().softmax(0))
                log_depths.append(view["depth"][0].float().clamp(min=LEAST).log())
        spread, mean = torch.std_mean(torch.stack(log_depths), 0, correction=0)
        values, classes = torch.stack(scores).mean(0).topk(BEST, 0)
        return Answer(
            classes.permute(1, 2, 0).byte().cpu().numpy(),
            values.permute(1, 2, 0).cpu().numpy(),
            mean.exp().cpu().numpy(),
            spread.cpu().numpy(),
        )

    def _views(
        self, images: torch.Tensor, size: tuple[int, int]
    ) -> Iterator[dict[str, torch.Tensor]]:
        for model in self.models:
            manifest = model.manifest
            yield from view_answers(
                model.network,
                images,
                self.data,
                manifest.input_size,
                Normalisation(manifest.mean, manifest.std),
                self.protocol,
                size,
            )


def shows_a_room(answer: Answer, labels: LabelSet) -> bool:
    """Whether the teachers see enough of walls, floor and ceiling."""
    room = [labels.names.index(name) for name in _ROOM]
    seen = answer.scores[np.isin(answer.classes, room)].sum() / answer.depth.size
    return bool(seen >= _LEAST_ROOM)


def open_teachers(paths: Sequence[Path], protocol: Protocol, device: str) -> Teachers:
    """Read the teachers' files.

    Raises:
        ValueError: if one cannot be read, or they cannot label photographs together.
    """
    models = [load(path) for path in paths]
    first = models[0].manifest
    for path, model in zip(paths, models, strict=True):
        manifest = model.manifest
        if manifest.depth.kind != "metres" or set(model.network.tasks) != {"depth", "semantic"}:
            raise ValueError(
                f"{path} is no teacher: it must answer labels and depth in metres, but answers "
                f"{' and '.join(model.network.tasks)}, {manifest.depth.kind}"
            )
        if manifest.labels.names != first.labels.names:
            raise ValueError(
                f"{path} answers other classes than {paths[0]}; teachers must agree on them"
            )
        model.network.eval().to(device)
    if missing := {*_ROOM} - {*first.labels.names}:
        raise ValueError(
            f"{paths[0]} has no class {sorted(missing)[0]}, by which rooms are told; use teachers "
            "of NYU Depth v2"
        )
    sha256 = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    return Teachers(models, sha256, data_set(models[0].data), protocol, device)


def run(arguments: argparse.Namespace) -> None:
    source, out = arguments.photographs, arguments.out
    commands.check_out("--out", out, folder=True)
    if out.resolve() == source.resolve():
        raise ValueError(f"--out {out} is the folder of photographs itself; choose another one")
    device = str(checked_device(arguments.device))
    listing = source / f"{arguments.list}.txt"
    try:
        names = listing.read_text().split()
    except OSError as error:
        raise DataError(
            f"{listing} cannot be read; let --photographs name a folder that `python -m "
            "training.prepare photographs` wrote"
        ) from error
    check_names(listing, names)
    protocol = Protocol(flip=True, scales=arguments.scales)
    teachers = open_teachers(arguments.teachers, protocol, device)
    teachers = teachers._replace(bfloat16=arguments.bfloat16)
    settings = {
        "classes": teachers.models[0].manifest.labels.names,
        "teachers": teachers.sha256,
        "scales": protocol.scales,
        "bfloat16": teachers.bfloat16,
    }
    begin(out / "meta.json", settings)
    train = out / "train.txt"
    before = train.read_text().split() if train.is_file() else []  # of another list
    kept = [
        name
        for name in progress_bar(names, "label", unit="img")
        if _label(teachers, source / "rgb" / f"{name}.jpg", out, name)
    ]
    write(train, "".join(f"{name}\n" for name in dict.fromkeys([*before, *kept])).encode())
    print(
        f"{out}: {len(kept)} photographs with labels; in {len(names) - len(kept)} more the "
        "teachers see too little of a room"
    )


def _label(teachers: Teachers, photograph: Path, out: Path, name: str) -> bool:
    """Write the files of a photograph, unless they are there; False if it shows no room."""
    files = labelled_photographs.files(out, name)
    if files.image.is_file():  # it comes last
        return True
    image = read_colour(photograph)
    height, width = image.shape[:2]
    if abs(3 * width - 4 * height) > 0.02 * 4 * height:
        raise DataError(
            f"{photograph} is {height}x{width}, but photographs must be 4 wide and 3 high, as the "
            "camera's pictures are; write them by `python -m training.prepare photographs`"
        )
    answer = teachers.answer(image, labelled_photographs.SIZE)
    if not shows_a_room(answer, teachers.models[0].manifest.labels):
        return False
    write_png(files.classes, answer.classes)
    write_png(files.scores, _rounded(answer.scores / SCORE_UNIT, np.uint8))
    write_png(files.depth, _rounded(answer.depth / DEPTH_UNIT, np.uint16))
    write_png(files.spread, _rounded(answer.spread / SPREAD_UNIT, np.uint8))
    files.image.parent.mkdir(exist_ok=True)
    atomic.make(files.image, lambda partial: atomic.link(photograph, partial))
    return True


def _rounded(values: np.ndarray, dtype: type[np.unsignedinteger]) -> np.ndarray:
    """To the nearest whole numbers that the type holds."""
    return np.clip(np.rint(values), 0, np.iinfo(dtype).max).astype(dtype)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.label",
        description="Write what teachers say of photographs, for data.photographs of a training. "
        "Given again after a stop, it goes on.",
    )
    parser.add_argument(
        "teachers", type=Path, nargs="+", help=".safetensors weights or .pt checkpoints"
    )
    parser.add_argument(
        "--photographs", type=Path, required=True, help="folder of training.prepare photographs"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument(
        "--list", default="train", help="label those that LIST.txt names (%(default)s)"
    )
    parser.add_argument(
        "--scales",
        type=options.scales,
        default=(0.75, 1.0, 1.25),
        metavar="S,S,...",
        help="mean over sizes of the input, each with the mirror image (0.75,1,1.25)",
    )
    parser.add_argument(
        "--bfloat16", action="store_true", help="teachers compute in it: quicker on new processors"
    )
    commands.add_device_option(parser)
    return parser


if __name__ == "__main__":
    commands.main(_parser(), run)
