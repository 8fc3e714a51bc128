from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from geoseg.vector.arcs.arcs import LOOP, OPEN, RING, split
from tests.vector.rasters import NODATA, class_rasters, trace, unhurried


def chains(batch):
    """The points of each arc, as tuples, with what it joins."""
    arcs = split(batch.points, batch.node, batch.ring_offsets)
    found = []
    for ring, length, first, points, step, kind in zip(*arcs, strict=True):
        places = ring + (first + step * np.arange(points)) % length
        found.append((int(kind), tuple(map(tuple, batch.points[places].tolist()))))
    return found


@unhurried
@given(class_rasters(), st.sampled_from([0, None]))
def test_arcs_part_every_ring_at_its_nodes(raster, background):
    batch = trace(raster, background=background)
    nodes = {tuple(point) for point in batch.points[batch.node].tolist()}
    sides = Counter()
    for kind, chain in chains(batch):
        assert not nodes.intersection(chain[1:-1])
        assert (kind != RING) == (chain[0] in nodes)
        assert (kind == LOOP) == (chain[0] == chain[-1])
        closed = (*chain, chain[0]) if kind == RING else chain
        sides.update(frozenset(side) for side in pairwise(closed))
    expected = Counter()
    for start, stop in pairwise(batch.ring_offsets):
        ring = list(map(tuple, batch.points[start:stop].tolist()))
        expected.update(frozenset(side) for side in pairwise(ring))
    assert sides == expected


@unhurried
@given(class_rasters())
def test_both_sides_see_the_same_arc_and_one_another(raster):
    batch = trace(raster, background=None)
    arcs = split(batch.points, batch.node, batch.ring_offsets)
    rings = np.searchsorted(batch.ring_offsets, arcs.ring, "right") - 1
    own = batch.class_id[np.searchsorted(batch.polygon_offsets, rings, "right") - 1]
    backwards = (arcs.first - (arcs.step < 0)) % arcs.length
    across = batch.beside[arcs.ring + backwards]
    seen = {}
    for (_, chain), one, other in zip(chains(batch), own.tolist(), across.tolist(), strict=True):
        seen.setdefault(chain, []).append((one, other))
    for pairs in seen.values():
        if NODATA in pairs[0]:
            assert len(pairs) == 1
        else:
            assert len(pairs) == 2
            assert pairs[0] == pairs[1][::-1]


def test_arcs_run_from_the_end_that_comes_first():
    raster = np.array([[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 3, 3]], np.uint8)
    shared = [chain for _, chain in chains(trace(raster, background=None)) if chain[0] == (2, 0) and len(chain) == 2]
    assert shared == [((2, 0), (2, 2))] * 2


def test_a_ring_without_nodes_starts_at_its_first_point_along_the_row():
    raster = np.zeros((5, 5), np.uint8)
    raster[1:3, 1:4] = 1
    assert chains(trace(raster)) == [(RING, ((1, 1), (4, 1), (4, 3), (1, 3)))]


def test_an_arc_may_join_a_node_with_itself():
    found = chains(trace(np.array([[0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]], np.uint8)))
    assert found == [
        (LOOP, ((2, 2), (2, 1), (1, 1), (1, 2), (2, 2))),
        (LOOP, ((2, 2), (3, 2), (3, 3), (2, 3), (2, 2))),
    ]
    assert OPEN not in {kind for kind, _ in found}
