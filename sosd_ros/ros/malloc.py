"""Let the C library keep the memory of large messages, in one place for all threads."""

from __future__ import annotations

import ctypes

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -2, -3, -8  # malloc.h
_MIB = 2**20


def keep_freed_memory() -> None:
    """Make glibc reuse freed blocks of megabytes.

    By default each image or cloud is mapped anew and its pages are cleared on first touch, which
    takes longer than filling them. And by default threads have arenas of 64 MiB each, of which a
    process takes another one whenever a large block fits into none: its memory grows in steps, long
    after its start. Does nothing under another C library.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return
    mallopt(_M_MMAP_THRESHOLD, 64 * _MIB)
    mallopt(_M_TRIM_THRESHOLD, 512 * _MIB)
    mallopt(_M_TOP_PAD, 64 * _MIB)
    mallopt(_M_ARENA_MAX, 1)
