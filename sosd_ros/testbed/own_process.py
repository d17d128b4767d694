"""A function in a process of its own, whose memory and whose end are the function's alone."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, TimeoutError
from typing import Any, TypeVar

T = TypeVar("T")


def in_own_process(function: Callable[..., T], *arguments: Any, timeout: float | None = None) -> T:
    """The value of a module's function, from a new process.

    Args:
        timeout: seconds until the process is killed; never if ``None``.

    Raises:
        concurrent.futures.TimeoutError: if it was killed.
        Exception: of the function, or that the process has ended.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        future = pool.submit(function, *arguments)
        try:
            return future.result(timeout)
        except TimeoutError:
            for process in multiprocessing.active_children():
                process.kill()
            raise
