"""Fixtures for all tests: small weights, a generator whose seed is printed, real data, DDS.

No test sees a data set that lies on this machine but those that ask for ``real_nyuv2``. So the
suite shows on every machine that it passes on one that has none.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

import numpy as np
import pytest
from support import write_sharp_weights, write_small_weights

from sosd_ros import weights

_NOWHERE = "/nowhere: a test makes its own data, or asks for real_nyuv2"
for _variable in ("SOSD_NYUV2", "SOSD_CITYSCAPES", "SOSD_CAMVID"):
    # Kept for the fixture, and for the workers of pytest-xdist, which begin with what is left here.
    os.environ.setdefault(f"REAL_{_variable}", os.environ.get(_variable, ""))
    os.environ[_variable] = _NOWHERE


@pytest.fixture(scope="session")
def real_nyuv2():
    """The folder of NYU Depth v2 on this machine; where there is none, the test is skipped."""
    from training.data.sets import default_root

    with pytest.MonkeyPatch.context() as patch:
        if os.environ["REAL_SOSD_NYUV2"]:
            patch.setenv("SOSD_NYUV2", os.environ["REAL_SOSD_NYUV2"])
        else:
            patch.delenv("SOSD_NYUV2")
        root = default_root("nyuv2")
    if not (root / "val.txt").is_file():
        pytest.skip(f"NYU Depth v2 is not in {root}; name its folder in SOSD_NYUV2")
    return root


def _weights_file(write):
    """A fixture: the path of what ``write`` writes, once for all tests."""

    @pytest.fixture(scope="session")
    def path(tmp_path_factory):
        return write(tmp_path_factory.mktemp("weights") / "w.safetensors")

    return path


def _read(path):
    """A fixture: the weights file whose path the fixture ``path`` gives, read."""
    return pytest.fixture(scope="session")(
        lambda request: weights.read(request.getfixturevalue(path))
    )


small_weights = _weights_file(write_small_weights)  # quick to run
file = _read("small_weights")
sharp_weights = _weights_file(write_sharp_weights)  # with all that is beyond the paper's network
sharp = _read("sharp_weights")


@pytest.fixture
def random(request):
    """A seeded generator; pytest shows the seed of a test that fails."""
    seed = 20240607
    print(f"seed {seed}")
    return np.random.default_rng(seed)


@pytest.fixture(scope="session")
def middleware():
    """A domain of this run's own, on this machine only, with room for images."""
    rclpy = pytest.importorskip("rclpy")
    from sosd_ros.testbed.process import use_local_middleware

    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    run = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()
    os.environ["ROS_DOMAIN_ID"] = str(1 + (2 * run + worker) % 100)
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    use_local_middleware()
    rclpy.init()
    yield
    rclpy.shutdown()
    free_what_the_killed_left()


def free_what_the_killed_left():
    """Remove segments of Fast DDS whose owner has ended, 70 MB each, as ``fastdds shm clean`` does.

    The owner of a segment holds a lock on the file beside it.
    """
    for lock in Path("/dev/shm").glob("fast*_el"):
        if "_port" in lock.name:
            continue
        with contextlib.suppress(OSError), lock.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            lock.with_name(lock.name.removesuffix("_el")).unlink(missing_ok=True)
            lock.unlink()
