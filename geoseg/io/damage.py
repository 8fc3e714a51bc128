"""Damage that GDAL only mumbles about: a JPEG tile with broken data is filled with grey, and reading it succeeds."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from rasterio.errors import RasterioIOError

_SIGNS = ("Corrupt JPEG data", "Premature end of JPEG")


class _Listener(logging.Handler):
    """Keeps what rasterio logs of GDAL's warnings, each thread its own."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.heard = threading.local()

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if any(sign in message for sign in _SIGNS):
            self.heard.message = message


_listener = _Listener()
logging.getLogger("rasterio._err").addHandler(_listener)


@contextmanager
def damage_is_an_error() -> Iterator[None]:
    """Raises RasterioIOError at the end when GDAL has warned of damaged pixels in this thread since the beginning."""
    _listener.heard.message = None
    yield
    if _listener.heard.message:
        raise RasterioIOError(_listener.heard.message)
