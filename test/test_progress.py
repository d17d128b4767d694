"""Progress off a terminal: whole lines, seconds apart; on one: tqdm's bar."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios

import pytest
from processes import ROOT
from tqdm import tqdm

from sosd_ros import progress as module
from sosd_ros.progress import progress_bar

LINE = r"work: \d+ of 1000 img, +\d+\.\d+img/s(, loss=\d+)?, [0-9:]+ left\n"


@pytest.fixture
def clock(monkeypatch):
    """A clock of a hundredth of a second a look."""
    ticks = iter(range(10**6))
    monkeypatch.setattr(module._Lines, "_time", lambda self: next(ticks) / 100, raising=False)
    monkeypatch.setattr(module._Lines, "__setattr__", _keeping("_time"))
    monkeypatch.setattr(module._Lines, "last", float("-inf"))


def _keeping(name):
    """tqdm sets its clock for each bar."""

    def set_others(self, key, value):
        if key != name:
            object.__setattr__(self, key, value)

    return set_others


def test_a_log_gets_a_line_every_few_seconds(clock, capsys):
    """However often it is told how far things are, and of how many; no line is written over."""
    with (
        progress_bar(desc="work", total=1000, unit="img") as bar,
        progress_bar(total=1000) as other,
    ):
        for loss in range(1000):
            bar.update()
            bar.set_postfix(loss=loss)
            other.update()
        seconds = bar._time() - bar.start_t
    said = capsys.readouterr().err
    assert re.fullmatch(f"({LINE})+", said)
    assert 2 <= said.count("\n") <= seconds / module.INTERVAL


def test_what_takes_less_writes_nothing(clock, capsys):
    """A run of many short epochs is no flood either; what is said between them stays."""
    for _ in range(100):
        for _ in progress_bar(range(20), "work", leave=False):
            pass
        tqdm.write("an epoch's row", file=sys.stderr)
    assert capsys.readouterr().err == 100 * "an epoch's row\n"


def test_a_terminal_has_the_bar():
    """In a real one."""
    script = (
        "from sosd_ros.progress import progress_bar; [*progress_bar(range(9), 'work', unit='img')]"
    )
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    done = subprocess.run([sys.executable, "-c", script], stderr=theirs, cwd=ROOT, check=False)
    os.close(theirs)
    assert done.returncode == 0
    said = os.read(ours, 10000).decode()
    os.close(ours)
    assert re.search(r"\rwork: 100%\|\S+\| 9/9 \[", said)


def test_every_command_shows_progress_in_this_way():
    """None takes tqdm's bar itself."""
    for folder in ("sosd_ros", "training"):
        for path in (ROOT / folder).rglob("*.py"):
            if path.name != "progress.py":
                assert not re.search(r"\b(tqdm|trange)\(", path.read_text()), path
