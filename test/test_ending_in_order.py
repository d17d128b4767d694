"""Who started a command may tell it to end after the terminal has."""

import signal
import subprocess
import sys

PROGRAM = """
import signal
from sosd_ros import commands

commands.end_in_order()
try:
    print("ready", flush=True)
    signal.pause()
except KeyboardInterrupt:
    print("ending", flush=True)
    signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGTERM)
    print("ended in order")
"""


def test_only_the_first_signal_interrupts():
    for first in (signal.SIGINT, signal.SIGTERM):
        program = subprocess.Popen(
            [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True
        )
        assert program.stdout.readline() == "ready\n"
        program.send_signal(first)
        said, _ = program.communicate(timeout=60)
        assert (program.returncode, said) == (0, "ending\nended in order\n")
