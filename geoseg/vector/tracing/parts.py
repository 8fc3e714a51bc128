"""A part of a class raster, some rows of it, traced for itself: what ended within it, and what goes beyond."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from geoseg.core.compiled import compiled
from geoseg.vector.tracing import rings, trace
from geoseg.vector.tracing.closed import Closed, in_order
from geoseg.vector.tracing.store import make_room, new_columns, new_store
from geoseg.vector.tracing.trace import (
    CHAIN,
    COMPONENT_FIELDS,
    FOREGROUND,
    GROUP,
    HEAD,
    LABELS,
    LAST_Y,
    LINK,
    NONE,
    PAD,
    PARENT,
    ROW,
    TAIL,
    TWIN,
    USED,
    VERTEX_FIELDS,
    VERTICES,
    Columns,
    Store,
    Values,
    find,
    kind_of,
)


class Rows(NamedTuple):
    """Rows of a raster, from row `start` on, and the row `above` them (x,).

    `class_ids` (y, x) and `above` are uint8 or int32, `scores` (y, x) uint8 or (0, 0).
    """

    start: int
    above: NDArray[Any]
    class_ids: NDArray[Any]
    scores: NDArray[np.uint8]


class Border(NamedTuple):
    """The last row of a part: `labels` of its runs of classes in order, and the vertices at its column lines.

    `down` and `up` (line,) are those from which the side comes down and to which it goes up, in the order of the column
    lines where the row's value changes; NONE where no class is on that side. `passed` (width + 1,) is that of Columns.
    """

    labels: NDArray[np.int64]
    down: NDArray[np.int64]
    up: NDArray[np.int64]
    passed: NDArray[np.int64]


class Beyond(NamedTuple):
    """The components of a part that go on above or below it, or whose groups do.

    `components` (component, field) are numbered anew, and so are their `vertices`, one component after another. A link
    below NONE stands for a place of the row above: NONE - 1 - 2 * line for the vertex from which a side comes down, one
    less for that to which one goes up. `above` are the labels of the runs above, `started` (line,) the vertices to
    which the sides lead that come down from there, and `below` is the last row.
    """

    components: NDArray[np.int64]
    vertices: NDArray[np.int32]
    above: NDArray[np.int64]
    started: NDArray[np.int64]
    below: Border


class Part(NamedTuple):
    """What was found: `inner` components that ended within it, and those that go `beyond`; `last` is the last row."""

    inner: Closed
    beyond: Beyond
    last: int


class Tracer:
    """Traces one part after another in memory of its own; two threads need two."""

    def __init__(self, width: int, values: Values, dtype: DTypeLike, origin: tuple[int, int]) -> None:
        """Expect rows of `width` pixels; `origin` (x, y) is the first corner of the raster."""
        self._values, self._origin = values, origin
        self._columns = new_columns(width, values.nodata, dtype)
        self._store = new_store(width)

    def trace(self, rows: Rows) -> Part:
        """The components of a part."""
        columns, values = self._columns, self._values
        trace.begin(columns, self._store, values, rows.above, rows.start)
        runs, lines = int(self._store.counts[LABELS]), int(self._store.counts[USED]) // 2
        row = trace.sweep(columns, self._store, values, rows.class_ids, rows.scores, 0)
        while row < len(rows.class_ids):
            self._store = make_room(self._store)
            row = trace.sweep(columns, self._store, values, rows.class_ids, rows.scores, row)
        inner, outer = divide(self._store, runs)
        closed = self._close(inner)
        return Part(closed, pack(columns, self._store, values, outer, (runs, lines)), int(self._store.counts[ROW]) - 1)

    def _close(self, labels: NDArray[np.int64]) -> Closed:
        components = self._store.components[labels]
        order, keys = in_order(components)
        components = components[order]
        outlines = rings.close(self._store, components[:, HEAD].copy(), components[:, VERTICES].copy(), self._origin)
        return Closed(components, keys.group_first, keys.group_last, outlines)


@compiled
def divide(store: Store, runs: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The labels of components whose groups ended within a part, and of the others; the first `runs` are from above.

    All labels lead to those that stand for their components and groups directly then.
    """
    components, labels, last = store.components, store.counts[LABELS], store.counts[ROW] - 1
    goes_on = np.zeros(labels, np.bool_)
    count = 0
    for label in range(labels):
        components[label, PARENT] = find(components, label, PARENT)
        components[label, GROUP] = find(components, label, GROUP)
        if components[label, PARENT] == label:
            count += 1
            if label < runs or components[label, LAST_Y] == last:
                goes_on[components[label, GROUP]] = True
    inner, outer = np.empty(count, np.int64), np.empty(count, np.int64)
    inside = outside = 0
    for label in range(labels):
        if components[label, PARENT] != label:
            continue
        if goes_on[components[label, GROUP]]:
            outer[outside] = label
            outside += 1
        else:
            inner[inside] = label
            inside += 1
    return inner[:inside].copy(), outer[:outside].copy()


@compiled
def pack(columns: Columns, store: Store, values: Values, labels: NDArray[np.int64], above: tuple[int, int]) -> Beyond:
    """The components with those labels by themselves; `above` is how many runs and column lines the row above had."""
    runs, lines = above
    numbers = np.full(store.counts[LABELS], NONE, np.int64)
    for number in range(labels.size):
        numbers[labels[number]] = number
    components = np.empty((labels.size, COMPONENT_FIELDS), np.int64)
    places = _number(store, labels, components, lines)
    total = 0
    for number in range(labels.size):
        total += components[number, VERTICES]
    vertices = np.empty((total, VERTEX_FIELDS), np.int32)
    new = 0
    for number in range(labels.size):
        vertex = store.components[labels[number], HEAD]
        while vertex != NONE:
            for field in range(VERTEX_FIELDS):
                vertices[new, field] = store.vertices[vertex, field]
            for field in (LINK, TWIN):
                if vertices[new, field] != NONE:
                    vertices[new, field] = places[vertices[new, field]]
            vertex = np.int64(store.vertices[vertex, CHAIN])
            new += 1
    started = np.empty(lines, np.int64)
    for line in range(lines):
        link = store.vertices[2 * line, LINK]
        started[line] = NONE if link == NONE else places[link]
    tops = np.empty(runs, np.int64)
    for run in range(runs):
        tops[run] = numbers[store.components[run, PARENT]]
    return Beyond(components, vertices, tops, started, _border(columns, store, values, numbers, places))


@compiled
def _number(store: Store, labels: NDArray[np.int64], components: NDArray[np.int64], lines: int) -> NDArray[np.int32]:
    """New numbers for the vertices of components, by place; the components are filled in, with new numbers too."""
    places = np.empty(store.counts[USED], np.int32)
    groups = np.full(store.counts[LABELS], NONE, np.int64)
    for place in range(2 * lines):
        places[place] = NONE - 1 - place
    count = 0
    for number in range(labels.size):
        components[number] = store.components[labels[number]]
        group = components[number, GROUP]
        if groups[group] == NONE:
            groups[group] = number
        components[number, GROUP] = groups[group]
        components[number, PARENT] = number
        vertex = components[number, HEAD]
        if vertex != NONE:
            components[number, HEAD] = count
        while vertex != NONE:
            places[vertex] = count
            count += 1
            vertex = np.int64(store.vertices[vertex, CHAIN])
        if components[number, HEAD] != NONE:
            components[number, TAIL] = count - 1
    return places


@compiled
def _border(
    columns: Columns, store: Store, values: Values, numbers: NDArray[np.int64], places: NDArray[np.int32]
) -> Border:
    width = columns.passed.size - 1
    line = columns.lines[(store.counts[ROW] - 1) % 2]
    labels, down, up = np.empty(width, np.int64), np.empty(width + 1, np.int64), np.empty(width + 1, np.int64)
    runs = changes = 0
    for x in range(width + 1):
        west, east = line[x + PAD - 1], line[x + PAD]
        if west == east:
            continue
        down[changes] = up[changes] = NONE
        if kind_of(west, values) == FOREGROUND:
            up[changes] = places[columns.up[x]]
        if kind_of(east, values) == FOREGROUND:
            down[changes] = places[columns.down[x]]
            labels[runs] = numbers[store.components[columns.labels[x + 1], PARENT]]
            runs += 1
        changes += 1
    return Border(labels[:runs].copy(), down[:changes].copy(), up[:changes].copy(), columns.passed.copy())
