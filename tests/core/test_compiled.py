from __future__ import annotations

import importlib.util
import shutil
import sys

import numpy as np
import pytest
from numba.core import caching

from geoseg.core.compiled import compiled
from geoseg.vector.tracing import trace


def test_kernels_compile_where_no_folder_can_keep_them(monkeypatch):
    def double(value: int) -> int:
        return 2 * value

    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [])
    assert compiled(double)(21) == 42


@pytest.mark.skipif(sys.platform != "linux", reason="the user's cache is named by another variable there")
def test_kernels_are_kept_in_the_users_cache_where_the_package_is_read_only(monkeypatch, tmp_path):
    copy = tmp_path / "installed" / "trace.py"
    copy.parent.mkdir()
    shutil.copy(trace.__file__, copy)
    (copy.parent / "__pycache__").touch()  # no folder can be made there, by root neither
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    spec = importlib.util.spec_from_file_location("read_only_trace", copy)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    components = np.array([[0], [0]])
    assert module.find(components, 1, 0) == 0
    assert list((tmp_path / "cache" / "numba").rglob("*.find-*.nbc"))
