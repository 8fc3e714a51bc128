import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geoseg.core.tiling import Axis, Span, Tiling, reflect
from geoseg.errors import SpecError

axes = st.integers(1, 64).flatmap(
    lambda tile: st.builds(Axis, st.integers(1, 400), st.just(tile), st.integers(0, tile // 2))
)


def test_the_fewest_tiles_that_cover():
    assert Tiling.over((512, 512), 512, 128).count == 1
    assert Tiling.over((3072, 3072), 512, 128).count == 64
    assert Tiling.over((513, 512), 512, 128).count == 2
    assert Tiling.over((1, 1), 512, 256).count == 1


@given(axis=axes)
def test_tiles_cover_every_pixel_and_one_fewer_would_not(axis):
    spans = [axis.span(i) for i in range(axis.count)]
    assert spans[0].start == 0
    assert spans[-1].stop >= axis.size > spans[-1].start
    assert all(a.stop - b.start == axis.overlap for a, b in itertools.pairwise(spans))
    if axis.count > 1:
        assert spans[-2].stop < axis.size


@given(axis=axes, data=st.data())
def test_touching_finds_exactly_the_tiles_that_hold_a_pixel(axis, data):
    start = data.draw(st.integers(0, axis.size - 1))
    stop = data.draw(st.integers(start + 1, axis.size))
    expected = [i for i in range(axis.count) if axis.span(i).start < stop and axis.span(i).stop > start]
    assert list(axis.touching(Span(start, stop))) == expected


@given(axis=axes)
def test_final_is_where_the_next_tile_starts(axis):
    for index in range(axis.count):
        after = [axis.span(i).start for i in range(index + 1, axis.count)]
        assert axis.final(index) == min([*after, axis.size])


@given(
    shape=st.tuples(st.integers(1, 200), st.integers(1, 200)),
    tile=st.integers(2, 40),
    tiles=st.tuples(st.integers(1, 5), st.integers(1, 5)),
)
def test_blocks_own_every_pixel_once(shape, tile, tiles):
    tiling = Tiling.over(shape, tile, tile // 3)
    rows, columns = set(), set()
    area = 0
    for block in tiling.blocks(tiles):
        area += block.y.size * block.x.size
        rows |= set(range(block.y.start, block.y.stop))
        columns |= set(range(block.x.start, block.x.stop))
    assert area == shape[0] * shape[1]
    assert (len(rows), len(columns)) == shape


def test_tiles_come_row_by_row():
    places = [(tile.row, tile.column) for tile in Tiling.over((20, 30), 10, 0)]
    assert places == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]


@pytest.mark.parametrize(("size", "tile", "overlap"), [(0, 8, 0), (8, 0, 0), (8, 8, 5), (8, 8, -1)])
def test_what_no_tiling_can_be_is_refused(size, tile, overlap):
    with pytest.raises(SpecError, match=r"expected|at least"):
        Axis(size, tile, overlap)


@pytest.mark.parametrize(("index", "expected"), [(3, 3), (4, 2), (5, 1), (6, 0), (7, 1), (8, 2), (9, 3), (10, 2)])
def test_reflection_does_not_repeat_the_edge(index, expected):
    assert reflect(index, 4) == expected


def test_a_single_pixel_reflects_on_itself():
    assert reflect(7, 1) == 0
