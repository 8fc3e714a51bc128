"""How errors are told: one line each, with the exit code that belongs to it."""

from __future__ import annotations

import os

FAILURE = 1
INTERRUPTED = 130


def internal(error: BaseException) -> str:
    """What is said of an error that nobody foresaw."""
    if isinstance(error, MemoryError):
        return "out of memory: choose a smaller --batch-size or --tile-size"
    return (
        f"internal error, {type(error).__name__}: {error}; please report it with the output of `geoseg doctor` "
        "and the traceback that GEOSEG_DEBUG=1 shows"
    )


def one_line(message: str) -> str:
    """The message without line breaks, so that one error is one line."""
    return " ".join(part.strip() for part in message.splitlines() if part.strip())


def debugging() -> bool:
    """Whether the user asked for tracebacks."""
    return os.environ.get("GEOSEG_DEBUG", "") not in ("", "0")
