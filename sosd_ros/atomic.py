"""Files that are whole or not there."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def write(path: Path, content: bytes | str) -> None:
    """Write a file; if that fails, what was there before is still there."""
    data = content.encode() if isinstance(content, str) else content
    make(path, lambda partial: partial.write_bytes(data))


def make(path: Path, write_to: Callable[[Path], object]) -> None:
    """Let ``write_to`` write another file, which takes the name of ``path`` when it is whole."""
    partial = path.with_name(path.name + ".partial")
    try:
        write_to(partial)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def link(source: Path, target: Path) -> None:
    """The same file under another name, or a copy where the file system has no links."""
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


@contextmanager
def together(path: Path) -> Iterator[Path]:
    """For a file with others beside it: where to write them, in a folder of their own.

    If the block succeeds all of them take their places, and the file itself comes last.
    """
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f"{path.name}.") as folder:
        partial = Path(folder, path.name)
        yield partial
        for other in Path(folder).iterdir():
            if other != partial:
                os.replace(other, path.parent / other.name)
        os.replace(partial, path)
