"""rerun's server: it keeps what is logged, and serves it with the web viewer to browsers."""

from __future__ import annotations

import ctypes
import ipaddress
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import rerun_cli

from ..testbed.process import running

PORT = 9090  # of the page, if nothing else has it
MEMORY = "256MiB"  # of what is logged; the oldest goes first
START_TIMEOUT = 30.0  # seconds
_PR_SET_PDEATHSIG = 1  # of Linux' <sys/prctl.h>


class Server(NamedTuple):
    """Addresses of a server.

    Attributes:
        page: for browsers.
        data: for what logs.
    """

    page: str
    data: str


@contextmanager
def serving(host: str, port: int | None) -> Iterator[Server]:
    """Serve until the block ends: the page on ``port``, the data on the next one.

    Without a ``port``, on the first two that are free from ``PORT`` on.

    By rerun's own program, since its library listens on all of a machine's addresses. Its
    settings are those of a fresh folder, in which it is told to send nothing to its makers.

    Args:
        host: an IP address of this machine; browsers have to use the same one.

    Raises:
        ValueError: if it is none, or something else listens there.
    """
    _check_address(host)
    port = _free_port(host) if port is None else port
    for number in (port, port + 1):
        _check_free(host, number)
    name = f"[{host}]" if ":" in host else host
    page, data = f"http://{name}:{port}", f"rerun+http://{name}:{port + 1}/proxy"
    program = str(Path(rerun_cli.__file__).with_name("rerun"))
    with tempfile.TemporaryDirectory(prefix="sosd_view") as folder:
        own = {"XDG_CONFIG_HOME": folder, "XDG_DATA_HOME": folder, "RUST_LOG": "error"}
        environment = os.environ | own
        silence = [program, "analytics", "disable"]
        subprocess.run(silence, env=environment, check=True, capture_output=True)
        command = [
            *(program, "--serve-web", "--bind", host, "--port", str(port + 1)),
            *("--web-viewer-port", str(port), "--server-memory-limit", MEMORY),
            *("--cors-allow-origin", page),
        ]
        # In a session of its own: a Ctrl-C, which reaches all others, should end what logs first.
        # Whatever ends us ends it as well.
        options = {"start_new_session": True, "preexec_fn": _end_with_parent}
        with running(command, env=environment, **options) as process:
            for number in (port, port + 1):
                _await(process, host, number)
            yield Server(f"{page}/?theme=dark&url={quote(data, safe='')}", data)


def _end_with_parent() -> None:
    """Have the kernel end this process when its parent has ended, by a signal or otherwise."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _check_address(host: str) -> None:
    try:
        is_one = not ipaddress.ip_address(host).is_unspecified
    except ValueError:
        is_one = False
    if not is_one:
        raise ValueError(
            f"--host is {host}, expected the IP address of this machine that browsers will use; "
            "127.0.0.1 serves this machine alone"
        )


def _free_port(host: str) -> int:
    """Which is free like the next one; ``PORT`` if there is none, to be refused with the reason."""
    for port in range(PORT, PORT + 100, 2):
        with suppress(ValueError):
            _check_free(host, port)
            _check_free(host, port + 1)
            return port
    return PORT


def _check_free(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind((host, port))
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or "ports end at 65535"
        raise ValueError(
            f"nothing can be served on {host}, port {port}: {reason}; choose another "
            "--port, of which the next one is used as well, or --host"
        ) from error


def _await(process: subprocess.Popen, host: str, port: int) -> None:
    """Wait until something listens there."""
    deadline = time.monotonic() + START_TIMEOUT
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection((host, port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise ValueError(f"rerun's server does not listen on {host}, port {port}; its log is above")
