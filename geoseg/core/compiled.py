"""Machine code for kernels, on any machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

import numba

P = ParamSpec("P")
R = TypeVar("R")


def compiled(kernel: Callable[P, R]) -> Callable[P, R]:
    """The kernel as machine code, kept on disk between runs where a folder for it can be written."""
    try:
        kept: Callable[P, R] = numba.njit(nogil=True, cache=True)(kernel)
    except RuntimeError:  # numba found neither the package's folder nor the user's cache writable
        kept = numba.njit(nogil=True)(kernel)
    return kept
