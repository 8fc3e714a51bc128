"""How errors are told: one line each, with the exit code that belongs to it."""

from __future__ import annotations

import os
import sys
import traceback

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


def unwritten() -> str | None:
    """What is said when standard output does not take what was printed; None when it does."""
    if sys.stdout is None:
        return "standard output is closed; send it to a file, or to /dev/null"
    try:
        sys.stdout.flush()
    except OSError as error:
        return _not_taken(error)
    return None


def unprinted(error: BaseException) -> str | None:
    """What is said of an error that came out of printing; None for every other error."""
    if not isinstance(error, OSError) or error.__traceback__ is None:
        return None
    *_, (frame, _line) = traceback.walk_tb(error.__traceback__)
    package = str(frame.f_globals.get("__name__")).partition(".")[0]
    return _not_taken(error) if package in ("click", "rich", "geoseg_cli") else None


def _not_taken(error: OSError) -> str:
    return f"standard output cannot be written to ({error.strerror}); send it somewhere else, or to /dev/null"


def drop_output() -> None:
    """Let nothing more be written to standard output, so that Python does not try again at its end."""
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123  a device, not a file
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


def one_line(message: str) -> str:
    """The message without line breaks, so that one error is one line."""
    return " ".join(part.strip() for part in message.splitlines() if part.strip())


def debugging() -> bool:
    """Whether the user asked for tracebacks."""
    return os.environ.get("GEOSEG_DEBUG", "") not in ("", "0")
