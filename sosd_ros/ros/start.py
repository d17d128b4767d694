"""The program ``perception_node``, which signals end in order from its first moment on."""

from __future__ import annotations

import os
import signal


def end_at_once_on_signals() -> None:
    """Have SIGINT and SIGTERM end the process with status 0, until the node sees to them.

    For while it imports torch and rclpy, which takes seconds: it has made nothing yet that it would
    have to put away, and an exception could be swallowed by what is being imported.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os._exit(0))


def main() -> None:
    """Run the node."""
    end_at_once_on_signals()
    from .node import main as run

    run()
