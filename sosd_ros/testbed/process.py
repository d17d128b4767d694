"""The perception node as a process of its own, for commands that run it."""

from __future__ import annotations

import importlib.metadata
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import GetState
from rclpy.executors import Executor
from rclpy.node import Node

from ..share import share

_START_TIMEOUT = 120.0  # seconds; a cold disk reads torch slowly
_END_TIMEOUT = 10.0


class NodeError(RuntimeError):
    """The node did not come up, or ended; the message says which."""


@contextmanager
def perception_node(
    parameters: Mapping[str, object], log_level: str = "info"
) -> Iterator[subprocess.Popen]:
    """The real node with ``parameters`` over those of ``config/perception.yaml``.

    Runs until the block ends.
    """
    given = [f"{name}:={value}" for name, value in parameters.items()]
    command = [
        *(sys.executable, "-m", "sosd_ros.ros.node", "--ros-args"),
        *("--params-file", str(share("config", "perception.yaml"))),
        *(word for argument in given for word in ("-p", argument)),
        *("--log-level", f"sosd:={log_level}"),
    ]
    with running(command) as process:
        yield process


@contextmanager
def running(command: Sequence[str]) -> Iterator[subprocess.Popen]:
    """A process that is told to end, and then made to, when the block ends."""
    process = subprocess.Popen(command)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=_END_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()


def own_memory(pid: int) -> int:
    """Anonymous memory of a process in bytes, in RAM and swapped out; 0 if it has ended."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    own = [line.split()[1] for line in lines if line.startswith(("RssAnon:", "VmSwap:"))]
    return 1024 * sum(map(int, own))


def check_running(process: subprocess.Popen) -> None:
    """Raise NodeError if the node has ended."""
    if process.poll() is not None:
        raise NodeError(f"the node ended with status {process.returncode}; its log is above")


def wait_until_active(process: subprocess.Popen, node: Node, executor: Executor) -> None:
    """Wait for the perception node that runs as ``process``.

    Args:
        node: asks for the state; in ``executor``.
        executor: spins meanwhile.

    Raises:
        NodeError: if the perception node ends, cannot be configured, or takes too long.
    """
    # It starts to answer when it has been configured and activated, or was not to be.
    client: Any = node.create_client(GetState, "/sosd/get_state")
    deadline = time.monotonic() + _START_TIMEOUT
    while time.monotonic() < deadline:
        check_running(process)
        if not client.service_is_ready():
            executor.spin_once(timeout_sec=0.1)
            continue
        # An answer is lost if the node has not discovered the client yet: ask again.
        future = client.call_async(GetState.Request())
        executor.spin_until_future_complete(future, timeout_sec=1.0)
        if (response := future.result()) is None:
            continue
        node.destroy_client(client)
        if response.current_state.id != State.PRIMARY_STATE_ACTIVE:
            raise NodeError("the node could not be configured; its log above says why")
        return
    raise NodeError(f"the node was not ready within {_START_TIMEOUT:g} s")


def use_local_middleware() -> None:
    """Keep to this machine and carry large messages, unless the user has decided otherwise."""
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    os.environ.setdefault(profile_variable(), str(share("config", "fastdds.xml")))


def profile_variable() -> str:
    """The environment variable of Fast DDS' profile, whose name changed with version 3."""
    distribution = os.environ.get("ROS_DISTRO", "")  # not set by PyPI's packages
    is_old = distribution in ("humble", "iron", "jazzy") or _is_installed("ros-jazzy-rclpy")
    return "FASTRTPS_DEFAULT_PROFILES_FILE" if is_old else "FASTDDS_DEFAULT_PROFILES_FILE"


def _is_installed(distribution: str) -> bool:
    try:
        importlib.metadata.distribution(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
