"""A hub on this machine and a cache of its own for every test."""

from __future__ import annotations

import pytest

from geoseg.models.hub import transfer
from tests.models.hub.server import serving


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """The cache's folder, empty; nothing waits before it tries again."""
    monkeypatch.setenv("GEOSEG_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("GEOSEG_OFFLINE", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setattr(transfer, "PAUSE", 0.0)
    return tmp_path / "cache"


@pytest.fixture
def hub():
    with serving() as running:
        yield running


@pytest.fixture
def kept(cache):
    """What the cache holds: paths of all files but the (empty) locks, relative to it."""

    def look():
        files = (path for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock")
        return sorted(path.relative_to(cache).as_posix() for path in files)

    return look
