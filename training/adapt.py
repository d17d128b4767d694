"""Adapt a network to a robot's own recording: ``python -m training.adapt --data DIR --out DIR``.

It is a short training that starts from the network's weights. The recording teaches depth, and
labels if it has some; what the network said before is kept by a share of its own answers, and by
going back towards its weights as far as old pictures ask for. It stops when depth of the early half
of the frames to measure on no longer improves. The late half then says whether the network is
better than before; if so, its weights are written.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
from contextlib import closing
from pathlib import Path
from typing import Any

from sosd_ros import atomic, commands, weights
from sosd_ros.device import checked_device
from sosd_ros.network import FORM, TASKS, input_size
from sosd_ros.network.backbone import OUTPUT_STRIDE

from . import config, options
from .adapting import keep
from .adapting.blend import Blend, blend
from .adapting.page import page
from .adapting.verdict import why_not
from .config import Config, Folder
from .data import own
from .data.labelled_photographs import Photographs
from .data.sets import data_set
from .learning.log import Log
from .learning.loop import fit
from .learning.run import open_run
from .learning.signals import Signals
from .measuring import bootstrap, comparison, in_manifest
from .measuring.protocol import COMPARISON
from .measuring.result import measure
from .measuring.setting import open_setting
from .networks import checkpoint, trained
from .networks.trained import Model

WEIGHTS, PAGE, KEPT = "adapted.safetensors", "adapted.html", "before"  # in OUT

# The kitchen of docs/your-robot.md was adapted so. Of one run each, the one that held the backbone
# learned less, and the one that saw whole images forgot more.
_SETTINGS: dict[str, Any] = {
    "optimiser": {
        "learning_rate": 1e-4,
        "schedule": "poly",
        "warm_up": 0.05,
        "clip": 10.0,
    },
    "loss": {"log_depth": 1.0, "scale_free": False},
    "strategy": "joint",
    "epochs": 8,
    "batch_size": 4,
    "evaluate_every": 1,
    "patience": 3,
    "best": "rel",
}


def run(arguments: argparse.Namespace) -> None:
    out: Path = arguments.out
    commands.check_out("--out", out, folder=True)
    if (out / checkpoint.LAST).exists():
        raise ValueError(f"{out / checkpoint.LAST} exists; choose another --out")
    device = str(checked_device(arguments.device))
    before = _loaded(arguments.weights)
    _train(before, arguments, device)
    learned = trained.load(out / checkpoint.BEST)
    chosen = _blended(before, learned, out, device) if arguments.old else None
    _export(before, learned, chosen, arguments, device)


def _loaded(path: Path) -> Model:
    """The network to adapt."""
    before = trained.load(path)
    if {*before.network.tasks} != {*TASKS} or before.manifest.depth.kind != "metres":
        raise ValueError(
            f"{path} answers {' and '.join(before.network.tasks)}, depth as "
            f"{before.manifest.depth.kind}; expected a network of depth in metres and labels"
        )
    return before


def _train(before: Model, arguments: argparse.Namespace, device: str) -> None:
    """Write OUT/best.pt."""
    out: Path = arguments.out
    folder = own.read_folder(arguments.data, before.manifest.labels)
    out.mkdir(parents=True, exist_ok=True)
    written = out / "config.yaml"
    atomic.write(written, _configuration(before, folder, arguments.weights, out))
    settings = config.load(written, arguments.set)
    atomic.write(written, config.dump(settings))
    _keep(before, settings, arguments, device)

    training = open_run(settings, out, device, root=arguments.data)
    with Signals().heard() as signals, closing(Log(out)) as log:
        fit(training, log, signals)


def _blended(before: Model, learned: Model, out: Path, device: str) -> Blend:
    """Go back towards the weights before as far as old pictures ask for."""
    data = data_set(learned.data)
    old = keep.Unlearned(Photographs(out / KEPT, data, "val"))
    start = copy.deepcopy(before.network).cpu()
    start.scale_depth(trained.camera_factor(before, data, learned.manifest.input_size))
    return blend(start, learned, old, data, device)


def _export(
    before: Model, best: Model, chosen: Blend | None, arguments: argparse.Namespace, device: str
) -> None:
    """Measure on frames that nothing was chosen by; write the page, and the weights if they are
    better.

    Raises:
        ValueError: if they are not.
    """
    out: Path = arguments.out
    state = best.network.state_dict()
    after = trained.as_read(best.manifest, state)
    setting = open_setting(after, after.data, arguments.data, "late")
    samples, truth = setting.samples, setting.truth
    predictors = [model.predictor(device, truth) for model in (before, after)]
    was, now = (measure(one, samples, truth, details=True) for one in predictors)
    print(comparison.text(str(arguments.weights), now, was))

    reason = why_not(now, was, chosen)
    facts = {
        "Data": setting.of(after),
        "Before": f"{arguments.weights.name}, {before.origin}",
        "After": f"{best.origin}, {chosen or 'without old pictures'}",
        "Verdict": f"not written: {reason}" if reason else f"written as {WEIGHTS}",
    }
    title = f"{arguments.weights.name}, adapted to {arguments.data.resolve().name}"
    html = page(title, facts, comparison.rows(now, was), samples, *predictors)
    atomic.write(out / PAGE, html)
    if reason:
        raise ValueError(f"{reason}; nothing was exported, and {out / PAGE} shows why")
    intervals = bootstrap.intervals(now.measures)
    said = f"{setting.of(after)}, {COMPARISON}"
    metrics = in_manifest.metrics(now, intervals, predictors[1], setting, said)
    weights.write(out / WEIGHTS, dataclasses.replace(best.manifest, metrics=metrics), state)
    print(f"wrote {out / WEIGHTS}; {out / PAGE} shows it beside what was before")


def _configuration(before: Model, folder: Folder, start: Path, out: Path) -> str:
    """The settings of this training as YAML."""
    manifest = before.manifest
    _, _, width, height = folder.camera
    size = input_size((height, width), manifest.input_size)
    form = {name: getattr(manifest, name) for name in FORM}
    data = {
        "name": "own",
        "own": folder,
        "size": size,
        "split": "fit",
        "licence": f"{manifest.licence} {own.LICENCE}",
        "crop": _half(size),
        "truth_stride": 2,
        "photographs": out / KEPT,
    }
    network = {**form, "pretrained": False, "start": start, "frozen_norms": True}
    return config.dump(Config.model_validate({"data": data, "network": network, **_SETTINGS}))


def _half(size: tuple[int, int]) -> tuple[int, int]:
    """About half of both sides, in whole steps of the network."""
    height, width = (max(1, round(side / 2 / OUTPUT_STRIDE)) * OUTPUT_STRIDE for side in size)
    return height, width


def _keep(before: Model, settings: Config, arguments: argparse.Namespace, device: str) -> None:
    """Write what the network says before."""
    data = data_set(settings.data)
    most: int = arguments.kept
    old_images = keep.pictures(arguments.old, most) if arguments.old else []
    own_images = keep.pictures(arguments.data, most)
    assert settings.data.photographs is not None
    keep.write_answers(
        before,
        device,
        own_images,
        old_images,
        trained.camera_factor(before, data, settings.data.size),
        settings.data.photographs,
    )


def command_line() -> argparse.ArgumentParser:
    parser = commands.parser(
        "training.adapt", __doc__, "--data data/drive --old photographs --out runs/drive"
    )
    commands.add_weights_option(parser)
    parser.add_argument(
        "--data", type=Path, required=True, metavar="DIR", help="what training.record wrote"
    )
    parser.add_argument(
        "--old",
        type=Path,
        metavar="DIR",
        help="photographs, or a data set, about which the network shall say what it said before",
    )
    parser.add_argument(
        "--kept",
        type=commands.count,
        default=400,
        metavar="N",
        help="of these at most, and as many of the recording (%(default)s)",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    options.add_set_option(parser)
    commands.add_device_option(parser)
    return parser


if __name__ == "__main__":
    commands.main(command_line(), run)
