"""The perception node as a process of its own, for commands that run it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import rclpy
from rclpy.context import Context
from rclpy.signals import SignalHandlerOptions

from ..installed import versions
from ..ros.malloc import keep_freed_memory
from ..share import share

_END_TIMEOUT = 10.0  # seconds


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


def reliable_inputs(*cameras: str, depth: int) -> dict[str, object]:
    """Parameters of a node that loses no input on its way, as best effort and a depth of 1 may.

    Args:
        cameras: their names.
        depth: messages that the middleware keeps while the node is late.
    """
    topics = ("image", "camera_info", "image/compressed")
    names = [
        f"/{camera}/{topic}" if camera else f"/{topic}" for camera in cameras for topic in topics
    ]
    policies = {"reliability": "reliable", "depth": depth}
    return {
        f"qos_overrides.{name}.subscription.{policy}": value
        for name in names
        for policy, value in policies.items()
    }


@contextmanager
def running(command: Sequence[str], **options: Any) -> Iterator[subprocess.Popen]:
    """A process that is told to end, and then made to, when the block ends.

    Args:
        options: of ``subprocess.Popen``.
    """
    process = subprocess.Popen(command, **options)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=_END_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()  # so that what it used can be removed


def own_memory(pid: int) -> int:
    """Anonymous memory of a process in bytes, in RAM and swapped out; 0 if it has ended."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    own = [line.split()[1] for line in lines if line.startswith(("RssAnon:", "VmSwap:"))]
    return 1024 * sum(map(int, own))


def check_running(process: subprocess.Popen) -> None:
    """Raise NodeError if the node has ended."""
    if process.poll() is not None:
        raise NodeError(f"the node ended with status {process.returncode}; its log is above")


@contextmanager
def middleware() -> Iterator[Context]:
    """ROS 2 on this machine alone, with room for large messages, until the block ends.

    Raises:
        KeyboardInterrupt: if the process is told to end, by SIGTERM too.
    """
    use_local_middleware()
    keep_freed_memory()  # as the perception node does
    context = Context()
    rclpy.init(context=context, signal_handler_options=SignalHandlerOptions.ALL)
    try:
        yield context
    except Exception as stop:
        if context.ok():
            raise
        raise KeyboardInterrupt from stop  # a signal has shut it down, whatever came of it
    finally:
        rclpy.try_shutdown(context=context, uninstall_handlers=True)


def use_local_middleware() -> None:
    """Keep to this machine and carry large messages, unless the user has decided otherwise."""
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    carry_large_messages()


def carry_large_messages() -> None:
    """Make room for them, unless the user has a profile of their own."""
    os.environ.setdefault(profile_variable(), str(share("config", "fastdds.xml")))


def profile_variable() -> str:
    """The environment variable of Fast DDS' profile, whose name changed with version 3."""
    distribution = os.environ.get("ROS_DISTRO", "")  # not set by PyPI's packages
    is_old = distribution in ("humble", "iron", "jazzy") or bool(versions(["ros-jazzy-rclpy"]))
    return "FASTRTPS_DEFAULT_PROFILES_FILE" if is_old else "FASTDDS_DEFAULT_PROFILES_FILE"
