"""Damage that GDAL only mumbles about: a JPEG tile with broken data is filled with grey, and reading it succeeds."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from rasterio.errors import RasterioIOError

_SIGNS = ("Corrupt JPEG data", "Premature end of JPEG")
_SPEAKERS = ("rasterio._err", "rasterio._env")  # the loggers through which rasterio passes GDAL's warnings on
_heard = threading.local()


class _Attentive(logging.Logger):
    """A logger whose warnings are listened to here, and then treated as the application has set it up.

    Levels, `logging.disable` and loggers that are switched off decide what is shown, never which pixels are believed.
    """

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802
        """Whether a record is made."""
        return level >= logging.WARNING or super().isEnabledFor(level)

    def handle(self, record: logging.LogRecord) -> None:
        """Listen, and pass on what the application wants to see."""
        message = record.getMessage()
        if any(sign in message for sign in _SIGNS):
            _heard.message = message
        if super().isEnabledFor(record.levelno):
            super().handle(record)


for _name in _SPEAKERS:  # rasterio holds these very loggers, so that they cannot be replaced by others
    logging.getLogger(_name).__class__ = _Attentive


@contextmanager
def damage_is_an_error() -> Iterator[None]:
    """Raises RasterioIOError at the end when GDAL has warned of damaged pixels in this thread since the beginning."""
    _heard.message = None
    yield
    if _heard.message:
        raise RasterioIOError(_heard.message)
