"""The program ``perception_node``, which signals end in order from the very start."""

from __future__ import annotations

import os
import signal


def end_at_once_on_signals() -> None:
    """Make SIGINT and SIGTERM end the process with status 0, until the node handles them.

    This is for the seconds in which it imports torch and rclpy: there is nothing to clean up yet,
    and the modules being imported could swallow an exception.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os._exit(0))


def main() -> None:
    """Run the node."""
    end_at_once_on_signals()
    from .node import main as run

    run()
