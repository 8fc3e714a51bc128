from __future__ import annotations

import math
import tomllib

from hypothesis import given
from hypothesis import strategies as st

from geoseg.jobs.toml import to_toml

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
PLAIN = st.one_of(TEXTS, st.booleans(), st.integers(-(2**60), 2**60), st.floats(allow_nan=False))
VALUES = st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=3))


@given(st.dictionaries(TEXTS, VALUES, max_size=5))
def test_what_is_written_is_read_again(values):
    assert tomllib.loads(to_toml(values)) == values


def test_tables_stand_below_plain_values_and_none_is_left_out():
    text = to_toml({"table": {"a": 1, "b": None}, "plain": (1, 2), "rows": [{"x": "y"}, {"z": {"deep": True}}]})
    assert text == 'plain = [1, 2]\n\n[table]\na = 1\n\n[[rows]]\nx = "y"\n\n[[rows]]\nz = {deep = true}\n'


def test_long_lists_are_broken():
    text = to_toml({"names": ["x" * 40, "y" * 40, "z" * 40]})
    assert text.count("\n") == 5
    assert tomllib.loads(text)["names"][2] == "z" * 40


def test_numbers_that_json_does_not_know_are_kept():
    read = tomllib.loads(to_toml({"a": math.inf, "b": math.nan}))
    assert read["a"] == math.inf
    assert math.isnan(read["b"])
