"""What numba needs: how kernels are compiled, called on all cores, and kept from run to run.

A kernel is a plain function, such as ``prepare``, that works on a band of rows:
``kernel(first, last, *arguments)``. Four rules hold for it.

* ``compiled`` decorates it. Its flags allow reordering of sums, but NaN and infinity keep their
  meaning, as depth has both. While it runs, other threads do so as well.
* ``in_bands`` calls it, with a band of rows for each core.
* Types never change. numba compiles a kernel once more, in seconds, for each new type of arguments,
  and an array's memory layout is part of its type. So arrays from elsewhere go through ``plain``,
  numbers come as ``np.float32``, and an array of no rows stands for what is not wanted. Then one
  call before the first frame (``Engine.warm_up``, ``ros.messages.warm_up``) compiles everything.
* What has been compiled is kept on disk, together with what it calls from other files. Each change
  of any file of this folder makes it void.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numba.core.caching import FunctionCache

_FLAGS = {"contract", "reassoc", "arcp", "nsz"}
_FILES = sorted(Path(__file__).parent.glob("*.py"))
_SOURCES = hashlib.sha256(b"".join(file.read_bytes() for file in _FILES)).hexdigest()


def compiled(function: Callable) -> Any:
    """A function compiled when it is first called, by several threads at once if need be."""
    compiled: Any = numba.njit(nogil=True, fastmath=_FLAGS, error_model="numpy")(function)
    with contextlib.suppress(RuntimeError):  # no folder for it: compiled once in each process
        compiled._cache = _Kept(function)  # type: ignore[no-untyped-call]
    return compiled


class _Kept(FunctionCache):
    """Compiled code beside its source; where that cannot be read or written, it is not kept.

    A file that was cut short, or a full disk, would else be the end of every call.
    """

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)  # type: ignore[no-untyped-call]
        except Exception:
            with contextlib.suppress(Exception):
                # Else no new code would be kept either.
                self.flush()  # type: ignore[no-untyped-call]
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        with contextlib.suppress(Exception):
            super().save_overload(sig, data)  # type: ignore[no-untyped-call]

    def _index_key(self, sig: Any, codegen: Any) -> Any:
        """What code is found by: numba itself looks at the function's own file alone.

        Code holds that of the functions it calls, which may come from other files.
        """
        return super()._index_key(sig, codegen), _SOURCES  # type: ignore[no-untyped-call]


def plain(array: np.ndarray) -> np.ndarray:
    """The array, or a copy of it, as all kernels take theirs: contiguous, aligned and writable."""
    return np.require(array, requirements=["C", "A", "W"])


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(len(os.sched_getaffinity(0)), thread_name_prefix="bands")


def in_bands(rows: int, *calls: tuple[Any, ...]) -> None:
    """Call each ``(kernel, *arguments)`` as ``kernel(first, last, *arguments)`` for all ``rows``.

    Each core takes a band of them, through all calls.
    """
    count = min(len(os.sched_getaffinity(0)), rows)
    edges = [rows * i // count for i in range(count + 1)]
    bands = list(itertools.pairwise(edges))
    others = [_pool().submit(_call_all, *band, calls) for band in bands[1:]]
    _call_all(*bands[0], calls)
    for other in others:
        other.result()


def _call_all(first: int, last: int, calls: Sequence[tuple[Any, ...]]) -> None:
    for kernel, *arguments in calls:
        kernel(first, last, *arguments)
