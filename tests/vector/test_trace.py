from __future__ import annotations

import importlib.util
import shutil
import sys

import numpy as np
import pytest
from numba.core import caching

from geoseg.vector import trace


def test_kernels_compile_where_no_folder_can_keep_them(monkeypatch):
    def double(value: int) -> int:
        return 2 * value

    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [])
    assert trace._compiled(double)(21) == 42


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
    assert module.find(components, 1) == 0
    assert list((tmp_path / "cache" / "numba").rglob("*.find-*.nbc"))


def test_words_of_equal_pixels_are_passed_over_up_to_the_first_other_pixel():
    columns = trace.new_columns(40, np.zeros(256, np.uint8), 255)
    columns.lines[:, trace.PAD : trace.PAD + 40] = 3
    columns.lines[1, trace.PAD + 17] = 4
    word = columns.repeated[3]
    assert trace._skip(columns.words, word, 0, 40) == 16
    assert trace._skip(columns.words, word, 24, 40) == 40


def test_skipping_never_leaves_the_lines():
    columns = trace.new_columns(16, np.zeros(256, np.uint8), 255)
    assert trace._skip(columns.words, columns.repeated[255], 0, 16) <= columns.lines.shape[1] - trace.PAD


@pytest.mark.parametrize("width", [0, 1, 7, 8, 9, 64])
def test_lines_hold_a_word_on_both_sides_of_the_row(width):
    columns = trace.new_columns(width, np.zeros(256, np.uint8), 255)
    assert columns.lines.shape[1] >= trace.PAD + width + trace.PAD
    assert columns.words.nbytes == columns.lines.nbytes


def test_a_store_doubles_only_when_more_than_half_full():
    store = trace.new_store(10)
    assert trace.make_room(store) is not None
    assert len(trace.make_room(store).vertices) == len(store.vertices)
    store.counts[trace.USED] = len(store.vertices) // 2 + 1
    store.vertices[:] = 7
    larger = trace.make_room(store)
    assert len(larger.vertices) == len(larger.content) == 2 * len(store.vertices)
    assert (larger.vertices[: len(store.vertices)] == 7).all()
    assert len(larger.components) == len(store.components)
