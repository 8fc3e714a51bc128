"""Memory of a training on the CPU: kept between steps, where the C library would give it back and fetch it again."""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # glibc's malloc.h
LARGEST = 1 << 30  # bytes: blocks up to this come from the heap, and stay there when they are freed
KEPT = (1 << 31) - 1
AHEAD = 200 << 20


def keep_freed_memory() -> bool:
    """Whether this process now keeps what it frees for its next allocations; only with glibc.

    Activations of a step are freed and taken again at the next: mapped afresh each time, their pages cost about a
    quarter of a step. The setting is the process's, and stays.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # another C library
        return False
    asked = ((_MMAP_THRESHOLD, LARGEST), (_TRIM_THRESHOLD, KEPT), (_TOP_PAD, AHEAD))
    taken = [mallopt(name, value) for name, value in asked]  # all of them, whatever becomes of the first
    return all(taken)
