"""``python -m sosd_ros.view``: what a running node answers, live in a browser.

Listens to a perception node, and prints the address of a page with image, depth, classes,
uncertainty and cloud, and with the node's latencies and rates. Ctrl-C ends it.
"""

from __future__ import annotations

import argparse
import os
import time
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from .. import commands
from ..measure.listener import Listener, listening
from . import check_installed

if TYPE_CHECKING:
    from .scene import Scene

RATE = 10.0  # frames/s that are shown at most: a browser has to keep up with them


def command_line() -> argparse.ArgumentParser:
    parser = commands.parser("sosd_ros.view", __doc__, "--host 192.168.1.5")
    parser.add_argument("--node", default="/sosd", help="the perception node (%(default)s)")
    parser.add_argument("--camera", default="", help="one of several cameras of the node")
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="the IP address of this machine that browsers use (%(default)s: on this machine "
        "alone); whoever reaches it sees what the camera sees",
    )
    parser.add_argument(
        "--port",
        type=commands.count,
        help="of the page; the data are on the next one (the first two that are free from 9090 on)",
    )
    return parser


@contextmanager
def scene_at(address: str) -> Iterator[Scene]:
    """What is logged to rerun's server there, while the context lasts."""
    import rerun as rr  # may be missing

    from .scene import Scene

    stream = rr.RecordingStream("sosd_ros")
    stream.connect_grpc(address)
    try:
        yield Scene(stream)
    finally:
        stream.disconnect()


def show(listener: Listener, scene: Scene) -> None:
    """Log frames as they come, but for those beyond ``RATE``, which nobody keeps."""
    from .frames import frame_of

    labels, due = None, time.monotonic()
    listener.on_health = lambda values: scene.figures(values, time.time())
    while True:
        answers = listener.messages(commands.say)
        if listener.labels is not None and listener.labels is not labels:
            labels = listener.labels
            scene.classes(labels)
        scene.frame(frame_of(answers), time.time())
        due = max(due + 1 / RATE, time.monotonic())
        time.sleep(max(0.0, due - time.monotonic()))


def run(arguments: argparse.Namespace) -> None:
    check_installed()
    from .frames import TOPICS
    from .server import serving

    heard = listening(arguments.node, arguments.camera, "sosd_view", TOPICS)
    # Ctrl-C is how one ends it: no failure.
    with (
        suppress(KeyboardInterrupt),
        serving(arguments.host, arguments.port) as server,
        heard as listener,
        scene_at(server.data) as scene,
    ):
        print(f"live view: {server.page}", flush=True)
        if os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
            webbrowser.open(server.page)
        show(listener, scene)


def main() -> None:
    commands.end_in_order()
    commands.main(command_line(), run)


if __name__ == "__main__":
    main()
