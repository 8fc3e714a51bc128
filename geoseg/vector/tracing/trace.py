"""Kernels that trace the outlines of 4-connected components while the rows of a class raster go by.

The plane is swept one row line after another. A row line separates two rows; a corner is a point on it. Corners where
the four pixels around are equal are passed over. At every other corner the pixels that follow one another around it
and share a class form arcs: an arc of one pixel turns outwards, one of three turns inwards, and each of these turns is
a vertex, linked with the vertex before and after it. Two pixels in a line go straight on, without a vertex unless the
two across from them differ: such a corner, and one where all four sides bound something, is a node. Outlines run with
their component on the left as seen on the screen.

A raster is swept in parts, runs of rows, each for itself. A part starts with the pixels of the row above it: every run
of them gets a label, and every column line between two runs two places, one for the vertex from which its side comes
down and one for that to which it goes up. What these stand for is filled in when the part is joined to what lies above.

At a saddle, where pixels of one component touch across a corner only, each pixel's vertex turns around its own pixel
at first, because whether both belong to one component may come out many rows later. Where they turn out to, the two
links are exchanged when the component is closed: the ring falls into rings that touch there, and not themselves.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoseg.core.compiled import compiled

# What a pixel value is.
BACKGROUND, NODATA, FOREGROUND = 0, 1, 2
AT_EDGE = NODATA + FOREGROUND  # no other two add up to it

# Columns of Store.vertices. LINK goes to the ring's next vertex, CHAIN to another vertex of the component, TWIN to the
# vertex across a saddle; NONE is no vertex. BESIDE is the value across the side from the vertex to the next. X holds
# two marks besides: x << MARKS | NODE where the corner is a node.
X, Y, LINK, CHAIN, TWIN, BESIDE = 0, 1, 2, 3, 4, 5
VERTEX_FIELDS = 8  # the last two are those of Store.sums
SUM = 3  # their column there
NONE = -1
NODE, MARKS = 1, 2

# Columns of Store.components. FIRST_Y and FIRST_X are the topmost, then leftmost pixel; HEAD and TAIL end the chain.
# PARENT leads to the label of the same component that stands for it, GROUP likewise for its group.
PARENT, CLASS, FIRST_Y, FIRST_X, LAST_Y, PIXELS, SCORES, EDGE, HEAD, TAIL, VERTICES, GROUP = range(12)
COMPONENT_FIELDS = 12
FAR = 1 << 40  # the first row of a component of which no pixel was seen

# Entries of Store.counts: places and labels that are taken, and the number of the row to come.
USED, LABELS, ROW = 0, 1, 2
VERTICES_A_CORNER = 4  # at the most
PAD = 8  # pixels in a machine word of uint8

# Which components are a group: each by itself, those of one class that touch, those that touch.
ALONE, DIAGONAL, ADJOINING = 0, 1, 2

_WORD = 8  # bytes
_BYTES = np.uint64(0x0101010101010101)
_HALVES = np.uint64(0x0000000100000001)


class Values(NamedTuple):
    """The values that are no class, and what makes a group. `background` may be one that no pixel has."""

    background: int
    nodata: int
    grouping: int


class Columns(NamedTuple):
    """What the sweep knows of each column; the arrays are changed in place.

    `lines` (uint8 or int32) holds the last two rows, padded with nodata, column c at PAD + c; `words` is the same
    memory. `labels` holds the last row's components, column c at 1 + c. `down` and `up` (width + 1,) hold the vertex
    from which a vertical side comes down, and to which one goes up. `passed` (width + 1,) sums, over the rows in which
    a column line bounded something, the pixels left of it that are not background; a vertex keeps its column's sum,
    so that by Green's theorem the differences along a ring's vertical sides count what it encloses.
    """

    lines: NDArray[Any]
    words: NDArray[np.uint64]
    labels: NDArray[np.int64]
    down: NDArray[np.int64]
    up: NDArray[np.int64]
    passed: NDArray[np.int64]


class Store(NamedTuple):
    """Vertices and components; the arrays are changed in place, and replaced by longer ones.

    `sums` is the memory of `vertices` in words of eight bytes.
    """

    vertices: NDArray[np.int32]
    sums: NDArray[np.int64]
    components: NDArray[np.int64]
    counts: NDArray[np.int64]


@compiled
def kind_of(value: int, values: Values) -> int:
    """BACKGROUND, NODATA or FOREGROUND."""
    if value == values.nodata:
        return NODATA
    if value == values.background:
        return BACKGROUND
    return FOREGROUND


@compiled
def find(components: NDArray[np.int64], label: int, field: int) -> int:
    """The label that stands for another one, by PARENT or GROUP; the path to it is halved."""
    while components[label, field] != label:
        components[label, field] = components[components[label, field], field]
        label = int(components[label, field])
    return label


@compiled
def gather(components: NDArray[np.int64], one: int, other: int) -> None:
    """Put the groups of two labels together."""
    one, other = find(components, one, GROUP), find(components, other, GROUP)
    components[max(one, other), GROUP] = min(one, other)


@compiled
def _new_component(store: Store, class_id: int, x: int, y: int) -> int:
    label = int(store.counts[LABELS])
    store.counts[LABELS] += 1
    components = store.components
    components[label, PARENT] = components[label, GROUP] = label
    components[label, CLASS] = class_id
    components[label, FIRST_Y] = components[label, LAST_Y] = y
    components[label, FIRST_X] = x
    components[label, HEAD] = components[label, TAIL] = NONE
    components[label, PIXELS] = components[label, SCORES] = 0
    components[label, EDGE] = components[label, VERTICES] = 0
    return label


@compiled
def union(store: Store, one: int, other: int) -> None:
    """Make one component of two labels'; their groups are one then."""
    components = store.components
    one, other = find(components, one, PARENT), find(components, other, PARENT)
    if one == other:
        return
    gather(components, one, other)
    keep, gone = min(one, other), max(one, other)
    components[gone, PARENT] = keep
    first, rival = components[keep], components[gone]
    if (rival[FIRST_Y], rival[FIRST_X]) < (first[FIRST_Y], first[FIRST_X]):
        first[FIRST_Y], first[FIRST_X] = rival[FIRST_Y], rival[FIRST_X]
    first[LAST_Y] = max(first[LAST_Y], rival[LAST_Y])
    first[EDGE] |= rival[EDGE]
    for field in (PIXELS, SCORES, VERTICES):
        first[field] += rival[field]
    if first[HEAD] == NONE:
        first[HEAD], first[TAIL] = rival[HEAD], rival[TAIL]
    elif rival[HEAD] != NONE:
        store.vertices[first[TAIL], CHAIN] = rival[HEAD]
        first[TAIL] = rival[TAIL]


@compiled
def _new_vertex(store: Store, corner: tuple[int, int, int], label: int, beside: int) -> int:
    """A vertex at the corner (x with its marks, y, the column's sum) of the component with that label."""
    x, y, passed = corner
    vertices = store.vertices
    vertex = int(store.counts[USED])
    store.counts[USED] += 1
    vertices[vertex, X] = x
    vertices[vertex, Y] = y
    vertices[vertex, LINK] = vertices[vertex, CHAIN] = vertices[vertex, TWIN] = NONE
    vertices[vertex, BESIDE] = beside
    store.sums[vertex, SUM] = passed
    components = store.components
    root = find(components, label, PARENT)
    if components[root, HEAD] == NONE:
        components[root, HEAD] = vertex
    else:
        vertices[components[root, TAIL], CHAIN] = vertex
    components[root, TAIL] = vertex
    components[root, VERTICES] += 1
    return vertex


@compiled
def _skip(columns: Columns, x: int, value: int) -> int:
    """The corner to go on with, from `x` on: around those between, both rows hold `value` only."""
    words, step = columns.words, _WORD // columns.lines.itemsize
    word = np.uint64(value) * _BYTES if step == _WORD else np.uint64(np.uint32(value)) * _HALVES
    width = columns.down.size - 1
    while x <= width and words[0, (x + PAD) // step] == word and words[1, (x + PAD) // step] == word:
        x += step
    return x


@compiled
def begin(columns: Columns, store: Store, values: Values, line: NDArray[Any], row: int) -> None:
    """Start a part whose first row is `row`, below the row `line` (x,).

    Labels are given to the line's runs of classes in order, and two places to each column line where its value changes,
    also in order: that from which the side comes down, and that to which it goes up.
    """
    counts, above = store.counts, columns.lines[(row + 1) % 2]
    counts[USED] = counts[LABELS] = 0
    counts[ROW] = row
    above[PAD : PAD + line.size] = line
    columns.passed[:] = 0
    label = 0
    for x in range(line.size + 1):
        value = above[x + PAD]
        if value != above[x + PAD - 1]:
            for ends in (columns.down, columns.up):
                store.vertices[counts[USED], LINK] = NONE
                ends[x] = counts[USED]
                counts[USED] += 1
            if kind_of(value, values) == FOREGROUND:
                label = _new_component(store, value, x, FAR)
                store.components[label, LAST_Y] = row - 1
        columns.labels[x + 1] = label


@compiled
def _gather(components: NDArray[np.int64], around: int, label: int) -> int:
    """The label, in one group with the one before it around a corner, if there was one."""
    if around != NONE:
        gather(components, around, label)
    return label


@compiled
def _cross(columns: Columns, store: Store, values: Values, scores: NDArray[np.uint8]) -> None:  # noqa: C901 - one pass
    """Pass the row line between the last row and the next, whose scores are given, or none.

    Around corner `x` are the pixels north west, north east, south east and south west; between them the sides north,
    east, south and west, true where the pixels differ.
    """
    labels, passed, down, up = columns.labels, columns.passed, columns.down, columns.up
    components, vertices, y, grouping = store.components, store.vertices, store.counts[ROW], values.grouping
    above, below = columns.lines[(y + 1) % 2], columns.lines[y % 2]
    width = down.size - 1
    from_west = to_west = NONE  # the vertex where the horizontal side left of the corner began, or will end
    run_start = 0
    filled = 0  # pixels of this row, left of the corner, that are not background
    label_nw = label_sw = label_ne = label_se = 0
    changed = -2  # the last corner that was not passed over; the old label of the pixel south east is in label_ne
    step = _WORD // columns.lines.itemsize
    nw, sw = above[PAD - 1], below[PAD - 1]
    x = -1
    while x < width:
        x += 1
        if x % step == 0 and nw == sw:
            x = _skip(columns, x, nw)
            if x > width:
                break
        ne, se = above[x + PAD], below[x + PAD]
        if nw == ne and ne == se and sw == se:
            continue
        kind_nw = kind_of(nw, values)
        kind_ne = kind_nw if nw == ne else kind_of(ne, values)
        kind_sw = kind_nw if nw == sw else kind_of(sw, values)
        kind_se = kind_ne if ne == se else kind_of(se, values)
        north, east, south, west = nw != ne, ne != se, se != sw, sw != nw
        label_nw = label_ne if changed == x - 1 else labels[x]
        label_sw = labels[x]
        label_ne = label_se = labels[x + 1]
        changed = x
        if kind_se == FOREGROUND:
            if not east:
                if not south:
                    union(store, label_sw, label_se)
            elif not south:
                label_se = label_sw
            else:
                label_se = _new_component(store, se, x, y)
            labels[x + 1] = label_se
        if south:
            if kind_sw + kind_se == AT_EDGE:
                components[find(components, label_sw if kind_sw == FOREGROUND else label_se, PARENT), EDGE] = 1
            if kind_sw != BACKGROUND:
                filled += x - run_start
            if kind_sw == FOREGROUND:
                component = find(components, label_sw, PARENT)
                components[component, LAST_Y] = y
                components[component, PIXELS] += x - run_start
                if scores.size:
                    total = 0
                    for column in range(run_start, x):
                        total += scores[column]
                    components[component, SCORES] += total
            run_start = x
        if east and kind_ne + kind_se == AT_EDGE:
            components[find(components, label_ne if kind_ne == FOREGROUND else label_se, PARENT), EDGE] = 1

        sides = int(north) + int(east) + int(south) + int(west)
        corner = (x << MARKS | int(sides >= 3), y, passed[x])
        vertex_nw = vertex_ne = vertex_se = vertex_sw = NONE
        if north and west:
            if kind_nw == FOREGROUND:  # its own corner: along its bottom, then up its right side
                vertex_nw = _new_vertex(store, corner, label_nw, ne)
                vertices[from_west, LINK] = vertex_nw
                vertices[vertex_nw, LINK] = up[x]
            if not east and not south and kind_se == FOREGROUND:  # the other three: down, then west
                vertex = _new_vertex(store, corner, label_se, nw)
                vertices[down[x], LINK] = vertex
                vertices[vertex, LINK] = to_west
        if north and east:
            if kind_ne == FOREGROUND:  # down its left side, then along its bottom
                vertex_ne = _new_vertex(store, corner, label_ne, se)
                vertices[down[x], LINK] = vertex_ne
                from_west = vertex_ne
            if not south and not west and kind_sw == FOREGROUND:  # along the top from the east, then up
                vertex = _new_vertex(store, corner, label_sw, ne)
                vertices[vertex, LINK] = up[x]
                to_west = vertex
        if south and west:
            if kind_sw == FOREGROUND:  # up its right side, then west along its top
                vertex_sw = _new_vertex(store, corner, label_sw, nw)
                vertices[vertex_sw, LINK] = to_west
                up[x] = vertex_sw
            if not north and not east and kind_ne == FOREGROUND:  # along the bottom from the west, then down
                vertex = _new_vertex(store, corner, label_ne, sw)
                vertices[from_west, LINK] = vertex
                down[x] = vertex
        if south and east:
            if kind_se == FOREGROUND:  # along its top from the east, then down its left side
                vertex_se = _new_vertex(store, corner, label_se, sw)
                to_west = vertex_se
                down[x] = vertex_se
            if not north and not west and kind_nw == FOREGROUND:  # up, then east along the bottom
                vertex = _new_vertex(store, corner, label_nw, se)
                up[x] = vertex
                from_west = vertex
        if sides == 3:  # one component goes straight on, past a side that ends here
            if not north:
                if kind_nw == FOREGROUND:
                    vertex = _new_vertex(store, corner, label_nw, se)
                    vertices[from_west, LINK] = vertex
                    from_west = vertex
            elif not south:
                if kind_sw == FOREGROUND:
                    vertex = _new_vertex(store, corner, label_sw, nw)
                    vertices[vertex, LINK] = to_west
                    to_west = vertex
            elif not west:
                if kind_nw == FOREGROUND:
                    vertex = _new_vertex(store, corner, label_nw, ne)
                    vertices[vertex, LINK] = up[x]
                    up[x] = vertex
            elif kind_ne == FOREGROUND:
                vertex = _new_vertex(store, corner, label_ne, sw)
                vertices[down[x], LINK] = vertex
                down[x] = vertex
        if sides == 4:
            if nw == se and vertex_nw != NONE:
                vertices[vertex_nw, TWIN] = vertex_se
                vertices[vertex_se, TWIN] = vertex_nw
            if ne == sw and vertex_ne != NONE:
                vertices[vertex_ne, TWIN] = vertex_sw
                vertices[vertex_sw, TWIN] = vertex_ne
            if grouping == DIAGONAL:
                if nw == se and kind_nw == FOREGROUND:
                    gather(components, label_nw, label_se)
                if ne == sw and kind_ne == FOREGROUND:
                    gather(components, label_ne, label_sw)
        if grouping == ADJOINING:
            around = NONE
            if kind_nw == FOREGROUND:
                around = label_nw
            if kind_ne == FOREGROUND:
                around = _gather(components, around, label_ne)
            if kind_se == FOREGROUND:
                around = _gather(components, around, label_se)
            if kind_sw == FOREGROUND:
                around = _gather(components, around, label_sw)
        if south:
            passed[x] += filled
        nw, sw = ne, se


@compiled
def sweep(
    columns: Columns, store: Store, values: Values, class_ids: NDArray[Any], scores: NDArray[np.uint8], start: int
) -> int:
    """The index of the first row, from `start` on, for which there is no room left, or the number of rows.

    `class_ids` is (y, x), `scores` the same or (0, 0).
    """
    rows, width = class_ids.shape
    counts, none = store.counts, np.empty(0, np.uint8)
    for row in range(start, rows):
        places = store.vertices.shape[0] - counts[USED]
        if places < VERTICES_A_CORNER * (width + 1) or store.components.shape[0] - counts[LABELS] < width:
            return row
        line = columns.lines[counts[ROW] % 2]
        for x in range(width):
            line[x + PAD] = class_ids[row, x]
        _cross(columns, store, values, scores[row] if scores.size else none)
        counts[ROW] += 1
    return int(rows)
