from __future__ import annotations

import numpy as np

from geoseg.vector import trace
from geoseg.vector.store import new_columns


def test_words_of_equal_pixels_are_passed_over_up_to_the_first_other_pixel():
    columns = new_columns(40, np.zeros(256, np.uint8), 255)
    columns.lines[:, trace.PAD : trace.PAD + 40] = 3
    columns.lines[1, trace.PAD + 17] = 4
    word = columns.repeated[3]
    assert trace._skip(columns.words, word, 0, 40) == 16
    assert trace._skip(columns.words, word, 24, 40) == 40


def test_skipping_never_leaves_the_lines():
    columns = new_columns(16, np.zeros(256, np.uint8), 255)
    assert trace._skip(columns.words, columns.repeated[255], 0, 16) <= columns.lines.shape[1] - trace.PAD
