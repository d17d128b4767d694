"""What a network said before it is adapted, so that it goes on to say it where nothing else is
known: files as ``training.teach`` writes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sosd_ros.progress import progress_bar
from sosd_ros.scale.evidence import evenly

from ..data import labelled_photographs
from ..data.errors import DataError
from ..data.files import begin, read_colour, read_names, write
from ..networks.predictor import View
from ..networks.teachers import Teachers
from ..networks.trained import Model


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
        old: pictures of which depth is kept as well.
        depth_factor: brings its metres to the camera of the training, see
            ``trained.camera_factor``.
        out: the folder to write.
    """
    labels = model.manifest.labels
    teacher = Teachers([model.predictor(device)], labels, [View()], [])
    begin(out / "meta.json", {"classes": labels.names, "teachers": [model.origin]})
    names: list[str] = []
    for path in progress_bar([*own, *old], "keep", unit="img"):
        is_old = len(names) >= len(own)
        name = f"{'old' if is_old else 'own'}_{path.stem}"
        answer = teacher.answer(read_colour(path), labelled_photographs.SIZE)
        spread = answer.spread if is_old else np.full_like(answer.spread, np.inf)
        answer = answer._replace(depth=answer.depth * np.float32(depth_factor), spread=spread)
        labelled_photographs.write(out, name, path, answer)
        names.append(name)
    write(out / "train.txt", "".join(f"{name}\n" for name in names).encode())
