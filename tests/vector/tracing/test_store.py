from __future__ import annotations

import numpy as np
import pytest

from geoseg.vector.tracing import trace
from geoseg.vector.tracing.store import make_room, new_columns, new_store


@pytest.mark.parametrize("dtype", [np.uint8, np.int32])
@pytest.mark.parametrize("width", [0, 1, 7, 8, 9, 64])
def test_lines_hold_a_word_on_both_sides_of_the_row(width, dtype):
    columns = new_columns(width, 255, dtype)
    assert columns.lines.shape[1] >= trace.PAD + width + trace.PAD
    assert columns.words.nbytes == columns.lines.nbytes
    assert (columns.lines == 255).all()


def test_a_store_doubles_only_when_half_full():
    store = new_store(10)
    assert len(make_room(store).vertices) == len(store.vertices)
    store.counts[trace.USED] = len(store.vertices) // 2
    store.vertices[:] = 7
    larger = make_room(store)
    assert len(larger.vertices) == len(larger.sums) == 2 * len(store.vertices)
    assert (larger.vertices[: len(store.vertices)] == 7).all()
    assert np.shares_memory(larger.sums, larger.vertices)
    assert len(larger.components) == len(store.components)
