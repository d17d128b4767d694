"""What a network said before it is adapted, so that it goes on to say it where nothing else is
known: files as ``training.teach`` writes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from sosd_ros.progress import progress_bar
from sosd_ros.scale.evidence import evenly

from ..data import labelled_photographs
from ..data.errors import DataError
from ..data.files import begin, read_colour, read_names, write
from ..data.labelled_photographs import Photographs
from ..data.sample import Sample
from ..networks.predictor import View
from ..networks.teachers import Teachers
from ..networks.trained import Model

_CHECKED = 5  # of so many old pictures one is not learned from, but asked about in the end


def pictures(folder: Path, most: int) -> list[Path]:
    """At most so many JPEGs, evenly over a folder: a plain one, or a data set's ``train.txt``.

    Raises:
        DataError: if there are none.
    """
    listing, below = folder / "train.txt", folder / "rgb"
    found = sorted((below if below.is_dir() else folder).glob("*.jpg"))
    if listing.is_file():
        names = {*read_names(listing, "give a folder of photographs")}
        found = [path for path in found if path.stem in names]
    if not found:
        raise DataError(f"{folder} has no .jpg; give a folder of photographs, or of a data set")
    return [found[place] for place in evenly(len(found), min(most, len(found)))]


def write_answers(
    model: Model,
    device: str,
    own: Sequence[Path],
    old: Sequence[Path],
    depth_factor: float,
    out: Path,
) -> None:
    """Write what a network says, as ``data.photographs`` takes it.

    Args:
        model: answers both tasks.
        device: of torch.
        own: pictures of which the classes alone are kept, since their depth is to change.
        old: pictures of which depth is kept as well; some of them are for :class:`Unlearned`.
        depth_factor: brings its metres to the camera of the training, see
            ``trained.camera_factor``.
        out: the folder to write.
    """
    labels = model.manifest.labels
    teacher = Teachers([model.predictor(device)], labels, [View()], [])
    begin(out / "meta.json", {"classes": labels.names, "teachers": [model.origin]})
    named = [(f"own_{path.stem}", path) for path in own]
    named += [(f"old_{path.stem}", path) for path in old]
    for place, (name, path) in enumerate(progress_bar(named, "keep", unit="img")):
        answer = teacher.answer(read_colour(path), labelled_photographs.SIZE)
        spread = answer.spread if place >= len(own) else np.full_like(answer.spread, np.inf)
        answer = answer._replace(depth=answer.depth * np.float32(depth_factor), spread=spread)
        labelled_photographs.write(out, name, path, answer)
    names = [name for name, _ in named]
    checked = names[len(own) :: _CHECKED]
    for listing, listed in (("val", checked), ("train", [n for n in names if n not in checked])):
        write(out / f"{listing}.txt", "".join(f"{name}\n" for name in listed).encode())


class Unlearned:
    """The old pictures that are not learned from, with what was said before as their truth.

    Args:
        photographs: those of ``val``.
    """

    def __init__(self, photographs: Photographs) -> None:
        self._photographs, self.names = photographs, photographs.names

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        image, answer = self._photographs[index]
        size = image.shape[1], image.shape[0]
        depth, labels = (
            cv2.resize(part, size, interpolation=cv2.INTER_NEAREST_EXACT)
            for part in (answer.depth, answer.classes[..., 0])
        )
        return Sample(image, depth, labels)
