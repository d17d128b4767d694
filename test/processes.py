"""Processes for tests, forked from one that has imported what they all import.

Each does what ``python -m MODULE``, ``python -c CODE`` or ``python FILE`` would do, with an
environment, signals and an exit status of its own. Importing torch and ROS takes longer than most
tests; here it happens once.

What differs: Python's own work at the very end is left out, and an interrupt that nobody handles
gives status 1. Variables that Python, torch or numba read when they are imported come too late.
Whoever tests such things starts a real process.
"""

from __future__ import annotations

import atexit
import multiprocessing
import multiprocessing.util
import os
import runpy
import socket
import subprocess
import sys
import warnings
from pathlib import Path

ROOT = Path(__file__).parents[1]
# What is not there is passed over, as ROS on a machine without it.
IMPORTED = ["pytest", "sosd_ros.ros.node", "sosd_ros.build", "training.train", "training.evaluate"]


class ForkedProcess:
    """A Python program, with what a test needs of ``subprocess.Popen``.

    Args:
        program: a file, ``-m`` and a module, or ``-c`` and code; and its arguments.
        stdout, stderr: files that are written.
        cwd: where it runs.
        env: its environment; by default the one at hand.
    """

    def __init__(self, program, stdout, stderr, cwd=ROOT, env=None):
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(IMPORTED)
        arguments = [*map(str, program)]
        self._process = context.Process(
            target=_become,
            args=(arguments, str(stdout), str(stderr), str(cwd), dict(env or os.environ)),
        )
        self._process.start()
        # One that a failed test leaves behind would be waited for at the end of all tests.
        multiprocessing.util.Finalize(self, self._process.kill, exitpriority=0)
        self.pid = self._process.pid

    @property
    def returncode(self):
        return self._process.exitcode

    def poll(self):
        return self._process.exitcode

    def wait(self, timeout=None):
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout)
        return self._process.exitcode

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self):
        self._process.kill()


def _become(arguments, stdout, stderr, cwd, environment):
    """Run a program in this process."""
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    for path, descriptor in ((stdout, 1), (stderr, 2)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(file, descriptor)
    warnings.filterwarnings("ignore", "'.*' found in sys.modules", RuntimeWarning)
    try:
        if arguments[0] == "-m":
            sys.argv = arguments[1:]
            runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
        elif arguments[0] == "-c":
            sys.argv = ["-c", *arguments[2:]]
            exec(compile(arguments[1], "<string>", "exec"), {"__name__": "__main__"})
        else:
            sys.argv = arguments
            sys.path.insert(0, str(Path(arguments[0]).parent))
            runpy.run_path(arguments[0], run_name="__main__")
    finally:
        atexit._run_exitfuncs()


def free_ports():
    """A port that is free like the next one, as far as can be known."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port
