"""The real node, which sends itself a signal at a moment of its start.

Arguments: the moment, which is imports, middleware, made, configures or retries, and the signal's
number. Writes then to its log what it has in shared memory.
"""

import itertools
import os
import re
import sys
import threading
from importlib.abc import MetaPathFinder
from pathlib import Path

from sosd_ros.ros import start


def end():
    """Its own segments are those whose locks it holds open."""
    files = {os.readlink(link) for link in Path("/proc/self/fd").iterdir() if link.exists()}
    ours = [re.fullmatch("(/dev/shm/fast(?:dds|rtps)_[0-9a-f]{16})_el", file) for file in files]
    print("in shared memory:", *(found[1] for found in ours if found), file=sys.stderr, flush=True)
    os.kill(os.getpid(), number)


class SignalOnImport(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "torch.nn":
            sys.meta_path.remove(self)
            end()


def replace(owner, name, before=lambda: None, after=lambda: None):
    original = getattr(owner, name)

    def replaced(*args, **kwargs):
        before()
        result = original(*args, **kwargs)
        after()
        return result

    setattr(owner, name, replaced)


calls = itertools.count(1)


def end_and_hang():
    """At the first attempt, or at the second."""
    if moment == "retries" and next(calls) == 1:
        raise weights.WeightsError("not there yet")
    end()
    threading.Event().wait()


if __name__ == "__main__":
    moment, number = sys.argv.pop(1), int(sys.argv.pop(1))
    if moment == "imports":
        sys.meta_path.insert(0, SignalOnImport())
    else:
        import rclpy

        from sosd_ros import weights
        from sosd_ros.ros import node

        if moment == "middleware":
            replace(rclpy, "init", before=end)
        elif moment == "made":
            replace(node.PerceptionNode, "__init__", after=end)
        else:
            replace(weights, "read", before=end_and_hang)
    start.main()
