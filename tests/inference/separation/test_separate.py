"""Objects that a class for their borders tells apart."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import deque

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geoseg.core.classes import NODATA, ClassInfo, ClassSet
from geoseg.core.protocols import Strip
from geoseg.core.tiling import Span
from geoseg.errors import ResourceError
from geoseg.inference.separation import kernels, waiting
from geoseg.inference.separation import separate as watershed
from geoseg.inference.separation.separate import separate

CLASSES = ClassSet(
    classes=(
        ClassInfo(id=0, name="background", colour="#000000"),
        ClassInfo(id=1, name="field", colour="#00ff00", kind="thing"),
        ClassInfo(id=2, name="boundary", colour="#ff0000"),
        ClassInfo(id=3, name="water", colour="#0000ff"),
        ClassInfo(id=4, name="orchard", colour="#00ffff", kind="thing"),
    ),
    separator=2,
)
LETTERS = {".": 0, "#": 1, "+": 2, "~": 3, "@": 4, "?": NODATA}


def drawn(text):
    return np.array([[LETTERS[letter] for letter in line] for line in text.split()], np.uint8)


def run(ids, heights=(1000,), scores=None, classes=CLASSES, first=0):
    """The whole raster of what comes out: classes, scores, instances, and the tables row by row."""

    def strips():
        start, turn = 0, 0
        while start < len(ids):
            stop = min(len(ids), start + heights[turn % len(heights)])
            part = None if scores is None else scores[start:stop]
            yield Strip(Span(first + start, first + stop), ids[start:stop], part)
            start, turn = stop, turn + 1

    out = list(separate(strips(), classes, ids.shape[1], Span(first, first + len(ids))))
    assert [strip.y.start for strip in out] == [first, *(strip.y.stop for strip in out[:-1])]
    assert out[-1].y.stop == first + len(ids)
    for strip in out:
        assert np.isin(strip.objects.instance_id, strip.instance_ids).all(), "listed where they begin"
    table = {
        name: np.concatenate([getattr(strip.objects, name) for strip in out])
        for name in ("instance_id", "class_id", "score", "last_row")
    }
    found = None if scores is None else np.concatenate([strip.scores for strip in out])
    classes = np.concatenate([strip.class_ids for strip in out])
    return classes, found, np.concatenate([strip.instance_ids for strip in out]), table


def around(y, x, shape):
    for dy, dx in ((-1, 0), (0, -1), (0, 1), (1, 0)):
        if 0 <= y + dy < shape[0] and 0 <= x + dx < shape[1]:
            yield y + dy, x + dx


def marked(ids):
    """The markers (y, x) in the order of their first pixels."""
    markers = np.zeros(ids.shape, int)
    for at in np.ndindex(ids.shape):
        if ids[at] in (1, 4) and not markers[at]:
            spread(ids == ids[at], [at], markers, markers.max() + 1)
    return markers


def spread(where, starts, markers, number):
    queue = list(starts)
    while queue:
        at = queue.pop()
        markers[at] = number
        queue += [other for other in around(*at, where.shape) if where[other] and not markers[other]]


def steps_from(starts, through):
    """The steps from some pixels to all that can be reached."""
    steps, queue = dict.fromkeys(starts, 0), deque(starts)
    while queue:
        at = queue.popleft()
        for other in around(*at, through.shape):
            if through[other] and other not in steps:
                steps[other] = steps[at] + 1
                queue.append(other)
    return steps


def naive(ids, scores):
    """The same, pixel by pixel: for every pixel of the separator, the steps from every marker."""
    markers = marked(ids)
    nearest = {}
    for marker in range(1, markers.max() + 1):
        starts = [tuple(map(int, at)) for at in np.argwhere(markers == marker)]
        for at, steps in steps_from(starts, ids == 2).items():
            nearest[at] = min(nearest.get(at, (9999, 0)), (steps, marker))
    labels = np.zeros(ids.shape, int)
    for at, (_, marker) in nearest.items():
        labels[at] = marker
    out, found, instances = ids.copy(), scores.copy(), np.zeros(ids.shape, np.int32)
    out[(ids == 2) & (labels == 0)] = 0
    table = []
    for label in dict.fromkeys(labels.ravel()[labels.ravel() > 0]):
        own, whole = markers == label, labels == label
        table.append((ids[own][0], scores[own].mean(), np.argwhere(whole)[:, 0].max()))
        instances[whole], out[whole], found[whole] = len(table), ids[own][0], np.rint(scores[own].mean())
    return out, found, instances, table


def expect(ids, scores, heights):
    classes, found, instances, table = run(ids, heights, scores, first=7)
    wanted = naive(ids, scores)
    assert np.array_equal(instances, wanted[2])
    assert np.array_equal(classes, wanted[0])
    assert np.abs(found.astype(int) - wanted[1]).max() <= 0
    assert table["instance_id"].tolist() == list(range(1, len(wanted[3]) + 1))
    assert table["class_id"].tolist() == [row[0] for row in wanted[3]]
    assert np.allclose(table["score"] * 254, [row[1] for row in wanted[3]], atol=1e-4)
    assert (table["last_row"] - 7).tolist() == [row[2] for row in wanted[3]]


def random_scene(seed, shape, thick):
    """Things and separators in all mixtures: noise, and cells with borders of some width."""
    rng = np.random.default_rng(seed)
    if thick == 0:
        share = rng.dirichlet([1.0] * 6)
        return rng.choice(np.array([0, 1, 2, 3, 4, NODATA], np.uint8), shape, p=share)
    y, x = np.mgrid[: shape[0], : shape[1]]
    points = rng.uniform(0, 1, (rng.integers(2, 12), 2)) * shape
    far = np.sort(np.hypot(y[..., None] - points[:, 0], x[..., None] - points[:, 1]), axis=2)
    ids = np.where(far[..., 1] - far[..., 0] < thick, 2, 1).astype(np.uint8)
    ids[(y // 6 + x // 9) % 5 == 0] = rng.integers(0, 5)
    return ids


@pytest.fixture
def often(monkeypatch):
    """Runs after every few pixels."""
    monkeypatch.setattr(watershed, "CHUNK_PIXELS", 1)


@settings(max_examples=150, derandomize=True, deadline=None)
@given(
    st.integers(0, 10**6),
    st.tuples(st.integers(1, 26), st.integers(1, 22)),
    st.sampled_from([0, 1, 3, 8]),
    st.lists(st.integers(1, 9), min_size=1, max_size=4),
    st.sampled_from([1, 60, 1 << 20]),
)
def test_it_is_the_watershed_of_the_whole_raster(seed, shape, thick, heights, chunk):
    ids = random_scene(seed, shape, thick)
    scores = np.random.default_rng(seed).integers(0, 255, shape).astype(np.uint8)
    before, watershed.CHUNK_PIXELS = watershed.CHUNK_PIXELS, chunk
    try:
        expect(ids, scores, heights)
    finally:
        watershed.CHUNK_PIXELS = before


def test_touching_squares_with_a_line_of_contact_are_two():
    ids = drawn("""
        ..........
        .###+####.
        .###+####.
        .###+####.
        ..........
    """)
    classes, _, instances, table = run(ids)
    assert instances[2].tolist() == [0, 1, 1, 1, 1, 2, 2, 2, 2, 0]
    assert classes[2].tolist() == [0, 1, 1, 1, 1, 1, 1, 1, 1, 0]
    assert np.isnan(table["score"]).all()
    assert table["last_row"].tolist() == [3, 3]


def test_borders_are_given_back_to_their_objects():
    ids = drawn("""
        ++++++++++
        +###++@@@+
        +###++@@@+
        ++++++++++
        ..........
        ++++.+++++
    """)
    classes, _, instances, table = run(ids)
    assert instances[:4].tolist() == [[1] * 5 + [2] * 5] * 4
    assert classes[0].tolist() == [1] * 5 + [4] * 5
    assert table["class_id"].tolist() == [1, 4]
    assert (classes[5] == 0).all(), "there is no object for them"
    assert not instances[4:].any()


def test_objects_count_by_their_first_pixels_with_what_was_given_to_them():
    ids = drawn("""
        .......
        ...+++.
        .#...+.
        .#.@.#.
        ...@.#.
    """)
    _, _, instances, table = run(ids)
    assert instances[1, 3] == 1
    assert instances[3].tolist() == [0, 2, 0, 3, 0, 1, 0]
    assert table["last_row"].tolist() == [4, 3, 4]


def test_stuff_and_nodata_stay_and_stop_the_flood():
    ids = drawn("""
        #++~+
        #?+~+
    """)
    scores = np.array([[10, 90, 90, 70, 60], [30, 255, 90, 70, 60]], np.uint8)
    classes, found, instances, table = run(ids, scores=scores)
    assert classes.tolist() == [[1, 1, 1, 3, 0], [1, NODATA, 1, 3, 0]]
    assert found.tolist() == [[20, 20, 20, 70, 60], [20, 255, 20, 70, 60]]
    assert instances.tolist() == [[1, 1, 1, 0, 0], [1, 0, 1, 0, 0]]
    assert table["score"] == pytest.approx([20 / 254])


def test_without_a_background_what_no_object_takes_is_nodata():
    bare = ClassSet(classes=CLASSES.classes[1:], background=None, separator=2)
    ids = drawn("#~+")
    classes, found, _, _ = run(ids, scores=np.full(ids.shape, 100, np.uint8), classes=bare)
    assert classes.tolist() == [[1, 3, NODATA]]
    assert found.tolist() == [[100, 100, 255]]


def test_a_net_of_boundaries_as_long_as_the_scene_holds_no_rows_back(often):
    ids = np.full((600, 24), 1, np.uint8)
    ids[::6] = ids[:, ::6] = 2
    fed = 0

    def strips():
        nonlocal fed
        for y in range(0, 600, 3):
            fed = y + 3
            yield Strip(Span(y, y + 3), ids[y : y + 3], None)

    behind = [fed - strip.y.stop for strip in separate(strips(), CLASSES, 24, Span(0, 600))]
    assert max(behind) <= 21


def test_an_object_as_long_as_the_scene_is_one(often):
    ids = np.zeros((500, 9), np.uint8)
    ids[:, 4] = 1
    ids[:, 3] = 2
    ids[::10, 7] = 4
    _, _, instances, table = run(ids, (7,))
    assert (instances[:, 3:5] == 1).all()
    assert table["instance_id"].tolist() == list(range(1, 52))
    assert table["last_row"][0] == 499


def test_a_line_that_ties_waits_for_what_joins_below(often):
    ids = drawn("""
        @......
        .#+#.#.
        .....#.
        .#+#.#.
        ...###.
    """)
    _, _, instances, _ = run(ids, (1,))
    whole = run(ids, (5,))
    assert np.array_equal(instances, whole[2])
    assert instances[3, 2] == instances[3, 1] or instances[3, 2] == instances[3, 3]
    expect(ids, np.full(ids.shape, 9, np.uint8), (1,))


def test_pixels_given_to_a_settled_object_lie_beside_another_marker_of_its_class(often):
    """The labels that were counted are enough: with bounds checks, writing past them would be an IndexError."""
    cells = np.ones((40, 60), np.uint8)
    cells[::10] = cells[:, ::10] = 2
    cells[:, 5:7] = 1
    expect(cells, np.full(cells.shape, 9, np.uint8), (3,))
    rng = np.random.default_rng(0)
    for _ in range(60):
        ids = rng.choice(np.array([0, 1, 2, 4], np.uint8), rng.integers(3, 20, 2), p=[0.1, 0.45, 0.35, 0.1])
        expect(ids, np.full(ids.shape, 9, np.uint8), (1,))


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.integers(0, 10**6), st.tuples(st.integers(1, 12), st.integers(1, 12)))
def test_labels_that_are_counted_are_as_many_as_are_used(seed, shape):
    """Plain Python checks every index."""
    rng = np.random.default_rng(seed)
    ids = rng.choice(np.array([0, 1, 2, 4], np.uint8), shape)
    none, above = np.empty((0, shape[1]), np.uint8), np.zeros(shape[1], np.int32)
    held = kernels.Held(ids, none, (rng.random(shape) < 0.3).astype(np.int32), none, above)
    kinds = np.full(256, kernels.WALL, np.uint8)
    kinds[[1, 4]], kinds[2] = kernels.THING, kernels.SEPARATOR
    most, separators = kernels.count.py_func(held, kinds)
    labels = np.zeros(shape, np.int32)
    markers = kernels.mark.py_func(held, kinds, labels, most)
    free = (held.settled == 0) & np.isin(ids, (1, 4))
    assert 0 <= markers <= most
    assert separators == ((held.settled == 0) & (ids == 2)).sum()
    assert np.array_equal(labels, marked(np.where(free, ids, 0)))
    if most:
        short = kernels.mark.py_func(held, kinds, np.zeros(shape, np.int32), most - 1)
        assert short == -1, "it does not write past what was counted"


@pytest.mark.slow
def test_every_kernel_stays_inside_its_arrays(tmp_path):
    """The tests of this module once more, where numba checks every index."""
    chosen = "watershed_of_the_whole or settled_object or ties or as_long"
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", __file__, "-k", chosen]
    checked = os.environ | {"NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(command, env=checked, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]


def test_background_is_no_object_whatever_its_kind():
    ground = CLASSES.classes[0].model_copy(update={"kind": "thing"})
    classes = CLASSES.model_copy(update={"classes": (ground, *CLASSES.classes[1:])})
    found, _, instances, table = run(drawn("..+#"), classes=classes)
    assert found.tolist() == [[0, 0, 1, 1]]
    assert instances.tolist() == [[0, 0, 1, 1]]
    assert table["class_id"].tolist() == [1]


def test_an_object_that_keeps_too_many_rows_waiting_is_refused_with_a_remedy(often, monkeypatch):
    monkeypatch.setattr(waiting, "MOST_BYTES", 9 * 100 * 5)
    ids = np.zeros((200, 9), np.uint8)
    ids[:, 2::3] = 1
    with pytest.raises(ResourceError, match=r"rows wait for an object .*expected 0 MB at most.*--bounds"):
        run(ids, (7,))
    ids[::40] = 0
    assert len(run(ids, (7,))[3]["instance_id"]) == 15


def test_closing_it_closes_what_feeds_it():
    closed = []

    def strips():
        try:
            for y in range(100):
                yield Strip(Span(y, y + 1), np.zeros((1, 1 << 20), np.uint8), None)
        finally:
            closed.append(True)

    given_back = separate(strips(), CLASSES, 1 << 20, Span(0, 100))
    next(given_back)
    given_back.close()
    assert closed == [True]


def test_what_does_not_fit_is_told():
    rows = np.zeros((2, 3), np.uint8)
    with pytest.raises(ValueError, match="no separator"):
        list(separate(iter([]), CLASSES.model_copy(update={"separator": None}), 3, Span(0, 2)))
    with pytest.raises(ValueError, match="expected rows from 0 on, 3 wide"):
        list(separate(iter([Strip(Span(1, 3), rows, None)]), CLASSES, 3, Span(0, 4)))
    with pytest.raises(ValueError, match="up to 2; expected them up to 4"):
        list(separate(iter([Strip(Span(0, 2), rows, None)]), CLASSES, 3, Span(0, 4)))
    mixed = [Strip(Span(0, 2), rows, rows), Strip(Span(2, 4), rows, None)]
    with pytest.raises(ValueError, match="either all strips"):
        list(separate(iter(mixed), CLASSES, 3, Span(0, 4)))
