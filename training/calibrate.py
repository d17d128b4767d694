"""Find what makes a network's doubts right: ``python -m training.calibrate FILE``.

On images that a network was trained on it is too sure of itself, and right nevertheless. So both
numbers are found on scenes that it has not seen, and given to the export of the same training on
all of them.
"""

from __future__ import annotations

import argparse

from sosd_ros import commands
from sosd_ros.device import checked_device

from . import options
from .measuring import doubts
from .measuring.doubts import Doubts
from .measuring.setting import open_setting
from .metrics.spread import COVERAGES
from .networks import trained


def command_line() -> argparse.ArgumentParser:
    parser = commands.parser(
        "training.calibrate",
        "Find the temperature of the class scores and the factor of the depth's "
        "spread that fit scenes which the network has not seen, for the options of "
        "python -m training.export. Train with data.split=fit for that, and ask about held_back.",
        "runs/a/last.pt --split held_back",
    )
    options.add_measured_options(parser)
    return parser


def run(arguments: argparse.Namespace) -> None:
    device = str(checked_device(arguments.device))
    measured = trained.load(arguments.file)
    data = measured.data
    if arguments.split is None and data.split == "train" and data.name == "nyuv2":
        raise ValueError(
            f"{arguments.file} was trained on all scenes of train, and val is not to be fitted to; "
            "calibrate a training with data.split=fit, or say --split val"
        )
    setting = open_setting(measured, data, arguments.data, arguments.split)
    print(f"file      {arguments.file}, {measured.origin}")
    print(f"data      {setting.of(measured)}\n", flush=True)
    seen = doubts.ask(measured.predictor(device), setting.samples)
    found = [*filter(None, (_of_classes(seen), _of_depth(seen)))]
    print("\n".join(sentence for sentence, _ in found))
    options = " ".join(option for _, option in found)
    print(f"\npython -m training.export CHECKPOINT {options} --out FILE.safetensors")


def _of_classes(seen: Doubts) -> tuple[str, str] | None:
    """The temperature in a sentence, and as an option of the export."""
    if seen.scores is None or seen.labels is None:
        return None
    found = doubts.temperature(seen.scores, seen.labels)
    crossed = doubts.by_other_half(doubts.temperature, seen.scores, seen.labels)[:, None]
    before, after, fair = (
        doubts.calibration_error(seen.scores / each, seen.labels) for each in (1.0, found, crossed)
    )
    return (
        f"temperature {found:.3f}: the calibration error (ECE) is {before:.3f} without it and "
        f"{after:.3f} with it; {fair:.3f} if each half has what fits the other",
        f"--temperature {found:.3f}",
    )


def _of_depth(seen: Doubts) -> tuple[str, str] | None:
    """The spread's factor in a sentence, and as an option of the export."""
    if seen.errors is None or seen.spread is None:
        return None
    found = doubts.spread_factor(seen.errors, seen.spread)
    crossed = doubts.by_other_half(doubts.spread_factor, seen.errors, seen.spread)
    before, after, fair = (
        doubts.coverage(seen.errors, each * seen.spread) for each in (1.0, found, crossed)
    )
    wanted = ", ".join(f"{share:.0%}" for share in COVERAGES)
    return (
        f"spread factor {found:.3f}: the intervals of {wanted} hold {before} of the truth without "
        f"it and {after} with it; {fair} if each half has what fits the other",
        f"--spread-factor {found:.3f}",
    )


if __name__ == "__main__":
    commands.main(command_line(), run)
