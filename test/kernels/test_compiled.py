"""How kernels are called on all cores, and what of them is kept on disk."""

import shutil
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from sosd_ros import kernels

FOLDER = Path(kernels.__file__).parent


@pytest.mark.parametrize("cores", [1, 2, 3, 64])
@pytest.mark.parametrize("rows", [1, 2, 3, 7, 480])
def test_bands_cover_each_row_once(rows, cores, monkeypatch):
    """In every call, however many cores there are."""
    monkeypatch.setattr("os.sched_getaffinity", lambda _: range(cores))
    seen, lock = [[0] * rows, [0] * rows], threading.Lock()

    def count(first, last, which):
        with lock:
            for row in range(first, last):
                seen[which][row] += 1

    kernels.in_bands(rows, (count, 0), (count, 1))
    assert seen == [[1] * rows, [1] * rows]


def test_an_error_in_a_band_is_raised():
    """Of any band, rather than half an answer being given."""

    def fail(first, last):
        if last == 480:
            raise ValueError("the last band")

    with pytest.raises(ValueError, match="the last band"):
        kernels.in_bands(480, (fail,))


FUNCTION = "from .compiled import compiled\n{}\n@compiled\ndef {}():\n    return {}\n"


@pytest.fixture
def copied(tmp_path):
    """A copy of all kernels, of which none has been compiled yet, with a small one that calls
    another file's."""
    copy = tmp_path / "alone"
    shutil.copytree(FOLDER, copy, ignore=shutil.ignore_patterns("__pycache__"))
    caller = FUNCTION.format("from .called import number\n", "twice", "2 * number()")
    (copy / "caller.py").write_text(caller)
    (copy / "called.py").write_text(FUNCTION.format("", "number", 1))
    return copy


def runs(copied, program):
    """What a program prints that uses this copy in a process of its own."""
    nowhere = str(copied / "__init__.py" / "home")  # below a file
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=copied.parent,
        env={"HOME": nowhere, "XDG_CACHE_HOME": nowhere, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def answered(copied):
    """What the small kernel answers, and whether its code had been kept."""
    program = "from alone.caller import twice; print(twice(), sum(twice.stats.cache_hits.values()))"
    answer, hits = runs(copied, program).split()
    return int(answer), hits == "1"


def test_kernels_work_where_nothing_can_be_kept(copied):
    """On a file system that is read-only, code is compiled once more in each process."""
    (copied / "__pycache__").write_text("a file, where the compiled code would be kept")
    assert answered(copied) == answered(copied) == (2, False)


def test_damaged_compiled_code_is_compiled_anew_and_kept(copied):
    """A full disk or a loss of power must not be the end of every frame."""
    assert answered(copied) == (2, False)
    for suffix in (".nbc", ".nbi"):
        paths = list((copied / "__pycache__").glob(f"*{suffix}"))
        assert paths
        for path in paths:
            path.write_bytes(path.read_bytes()[:20])
        assert answered(copied) == (2, False)
    assert answered(copied) == (2, True)


def test_a_change_in_any_file_is_seen_by_kernels_of_the_others(copied):
    """Compiled code holds that of the functions it calls, which must not stay what they were."""
    assert answered(copied) == (2, False)
    assert answered(copied) == (2, True)
    (copied / "called.py").write_text(FUNCTION.format("", "number", 10))
    assert answered(copied) == (20, False)
