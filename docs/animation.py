"""The animation of README's first screen: ``python docs/animation.py``.

The shipped weights answer the sample frames; depth and classes of each room fade in.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from sosd_ros import weights  # noqa: E402
from sosd_ros.answering import answer_to  # noqa: E402
from sosd_ros.colours import depth_colours  # noqa: E402
from sosd_ros.commands import say  # noqa: E402
from sosd_ros.contact_sheet import (  # noqa: E402
    GAP,
    PAPER,
    Answer,
    depth_legend,
    farthest_of,
    label_legend,
    most_frequent,
    tile,
)
from sosd_ros.engine import Request, load  # noqa: E402
from sosd_ros.engine.answers import USUAL_RANGE  # noqa: E402
from sosd_ros.labels import LabelSet  # noqa: E402
from sosd_ros.share import DEFAULT_WEIGHTS, sample_frames, share  # noqa: E402
from sosd_ros.testbed.frames import sample_camera  # noqa: E402

OUT = ROOT / "docs" / "pictures" / "rooms.webp"
FADE = 5  # pictures in which answers come into view
FADE_TIME, REST_TIME = 90, 1400  # milliseconds that each of them, and the last, is shown
QUALITY = 70


def moving(answers: Sequence[Answer], labels: LabelSet) -> Iterator[tuple[np.ndarray, int]]:
    """Pictures, (height, width, 3) uint8 RGB, and how many milliseconds each is shown."""
    farthest = farthest_of([depth for _, depth, _ in answers])
    shown = np.bincount(np.concatenate([ids.ravel() for _, _, ids in answers]), minlength=256)
    for answer in answers:
        image, depth, ids = tile(answer)
        coloured = [depth_colours(depth, farthest), labels.colours(ids)]
        gap = np.full((image.shape[0], GAP, 3), PAPER, np.uint8)
        grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        for step in range(1, FADE + 1):
            part = step / FADE
            tiles = [cv2.addWeighted(full, part, grey, 1 - part, 0) for full in coloured]
            row = np.hstack([image, gap, tiles[0], gap, tiles[1]])
            legend = label_legend(row.shape[1], labels, most_frequent(shown, labels), rows=3)
            picture = np.vstack([row, depth_legend(row.shape[1], farthest), legend])
            yield picture, REST_TIME if step == FADE else FADE_TIME


def main() -> None:
    file = weights.read(share("weights", DEFAULT_WEIGHTS))
    engine = load(file, sample_frames(), "cpu", Request("torch", "fp32"), say)
    answers: list[Answer] = []
    for image in sample_frames():
        answer = answer_to(engine, image, sample_camera().focal, USUAL_RANGE)
        assert answer.depth is not None and answer.labels is not None
        answers.append((image, answer.depth, answer.labels))
    pictures, times = zip(*moving(answers, file.manifest.labels), strict=True)
    first, *others = map(Image.fromarray, pictures)
    first.save(
        OUT,
        save_all=True,
        append_images=others,
        duration=list(times),
        loop=0,
        quality=QUALITY,
        method=4,
    )
    print(f"wrote {OUT.relative_to(ROOT)}, {OUT.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
