"""Let the C library keep the memory of large messages, in one place for all threads."""

from __future__ import annotations

import ctypes

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -2, -3, -8  # malloc.h


def keep_freed_memory() -> None:
    """Make glibc reuse freed blocks of megabytes.

    By default, glibc maps new memory for each image or cloud, and the kernel clears its pages on
    first touch, which takes longer than filling them. Also, each thread has an arena of 64 MiB, and
    the process adds another whenever a large block fits into none: its memory grows in steps, long
    after its start. Does nothing with another C library.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return
    mallopt(_M_MMAP_THRESHOLD, 64 * 2**20)
    mallopt(_M_TRIM_THRESHOLD, 512 * 2**20)
    mallopt(_M_TOP_PAD, 64 * 2**20)
    mallopt(_M_ARENA_MAX, 1)
