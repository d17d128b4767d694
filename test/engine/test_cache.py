"""The cache of built engines: one folder for all that an engine depends on, whole or not there."""

import importlib.metadata
import textwrap
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from support import run_python

from sosd_ros.engine import cache

CPU = torch.device("cpu")


def key(**changes):
    values = {"libraries": ("torch",), "weights_sha256": "ab", "backend": "b", "precision": "fp32"}
    values |= changes
    return cache.key(CPU, **values)


def write(text):
    return lambda folder: (folder / "engine").write_text(text)


@pytest.mark.parametrize(
    "change",
    [
        {"weights_sha256": "cd"},
        {"precision": "bf16"},
        {"backend": "c"},
        {"libraries": ("torch", "numpy")},
    ],
)
def test_whatever_an_engine_depends_on_gives_it_another_folder(tmp_path, change):
    """Weights, precision, backend or libraries: what was built for one is not found for another."""
    cache.store(tmp_path, key(), write("one"))
    assert cache.find(tmp_path, key()) is not None
    assert cache.find(tmp_path, key(**change)) is None


def test_another_version_of_a_library_gives_another_folder(tmp_path, monkeypatch):
    """What an older torch has built is not run by a newer one."""
    cache.store(tmp_path, key(), write("one"))
    real = importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, "version", lambda name: real(name) + ".1")
    assert cache.find(tmp_path, key()) is None


def test_another_device_gives_another_folder(tmp_path, monkeypatch):
    """A cache that was copied from another machine is not used."""
    cache.store(tmp_path, key(), write("one"))
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "ANOTHER")
    assert cache.find(tmp_path, key()) is None


def test_a_library_that_is_not_installed_is_left_out():
    """Rather than being an error: of onnxruntime and onnxruntime-gpu there is one."""
    assert set(key(libraries=("torch", "no-such-distribution"))["libraries"]) == {"torch"}


def test_what_is_stored_is_found(tmp_path):
    """With what was built in it, below a cache that did not exist."""
    folder = cache.store(tmp_path / "deep" / "cache", key(), write("one"))
    assert cache.find(tmp_path / "deep" / "cache", key()) == folder
    assert (folder / "engine").read_text() == "one"


def test_storing_replaces(tmp_path):
    """The new engine alone is there, and nothing else beside it."""
    cache.store(tmp_path, key(), lambda folder: (folder / "old").write_text("one"))
    folder = cache.store(tmp_path, key(), write("two"))
    assert {path.name for path in folder.iterdir()} == {"engine", "key.json"}
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_build_that_fails_leaves_nothing(tmp_path, error):
    """Not of itself; and what had been built before is still found."""

    def fail(folder):
        write("half")(folder)
        raise error

    with pytest.raises(error):
        cache.store(tmp_path, key(), fail)
    assert not list(tmp_path.iterdir())
    folder = cache.store(tmp_path, key(), write("one"))
    with pytest.raises(error):
        cache.store(tmp_path, key(), fail)
    assert list(tmp_path.iterdir()) == [folder]
    assert (folder / "engine").read_text() == "one"


def test_a_build_that_is_killed_is_not_found(tmp_path):
    """Its folder stays behind under another name, and does not hinder the next one."""
    program = f"""
        import os, signal, torch
        from pathlib import Path
        from sosd_ros.engine import cache

        def die(folder):
            (folder / "engine").write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)

        key = cache.key(
            torch.device("cpu"), ("torch",), "ab", backend="b", precision="fp32"
        )
        cache.store(Path({str(tmp_path)!r}), key, die)
    """
    killed = run_python("-c", textwrap.dedent(program))
    assert killed.returncode == -9
    assert [path.suffix for path in tmp_path.iterdir()] == [".partial"]
    assert cache.find(tmp_path, key()) is None
    folder = cache.store(tmp_path, key(), write("whole"))
    assert (folder / "engine").read_text() == "whole"
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize("left", [0, 2])
def test_a_file_that_was_cut_short_is_not_found(tmp_path, left):
    """By a full disk, or a loss of power: it has to be built again."""
    folder = cache.store(tmp_path, key(), write("one"))
    assert cache.find(tmp_path, key()) == folder
    (folder / "engine").write_text("one"[:left])
    assert cache.find(tmp_path, key()) is None
    (folder / "engine").unlink()
    assert cache.find(tmp_path, key()) is None


@pytest.mark.parametrize("label", ["", "[]", "{}", "{"])
def test_a_damaged_label_is_none(tmp_path, label):
    """What it says cannot be compared."""
    (cache.store(tmp_path, key(), write("one")) / "key.json").write_text(label)
    assert cache.find(tmp_path, key()) is None


def test_one_stores_at_a_time(tmp_path):
    """All who want to have their turn, and nobody is disturbed."""
    inside, most = [], []

    def store(number):
        with cache.alone(tmp_path / "new"):
            inside.append(number)
            most.append(len(inside))
            cache.store(tmp_path / "new", key(), write(str(number)))
            inside.remove(number)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(store, range(40)))
    assert max(most) == 1 and len(most) == 40
    assert (cache.find(tmp_path / "new", key()) / "engine").read_text() in map(str, range(40))


def test_a_folder_without_its_key_is_none(tmp_path):
    """The key is written last: what lacks it was not made here."""
    write("half")(cache.store(tmp_path, key(), write("one")))
    (cache.folder_of(tmp_path, key()) / "key.json").unlink()
    assert cache.find(tmp_path, key()) is None


def test_the_user_chooses_where_the_cache_is(tmp_path, monkeypatch):
    """``SOSD_CACHE`` before ``XDG_CACHE_HOME`` before ``~/.cache``."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SOSD_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache.default_cache() == tmp_path / ".cache" / "sosd_ros"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.default_cache() == tmp_path / "xdg" / "sosd_ros"
    monkeypatch.setenv("SOSD_CACHE", str(tmp_path / "mine"))
    assert cache.default_cache() == tmp_path / "mine"
