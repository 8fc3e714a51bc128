"""Kernels that trace the outlines of 4-connected components while the rows of a class raster go by.

The plane is swept one row line after another. A row line separates two rows; a corner is a point on it. Corners where
the four pixels around are equal are passed over. At every other corner the pixels that follow one another around it
and share a class form arcs: an arc of one pixel turns outwards, one of three turns inwards, and each of these turns is
a vertex, linked with the vertex before and after it. Two pixels in a line go straight on, without a vertex unless the
two across from them differ: such a corner, and one where all four sides bound something, is a node. Outlines run with
their component on the left as seen on the screen.

What is known of the columns after a row is all that the next row needs, so the result cannot depend on how rows were
grouped. Labels are joined by union-find as rows arrive. A component ends with the first row that holds none of it: its
vertices are then strung into rings, and their places are free for others.

At a saddle, where pixels of one component touch across a corner only, each pixel's vertex turns around its own pixel
at first, because whether both belong to one component may come out many rows later. Where they turn out to, the two
links are exchanged when the component ends: the ring falls into rings that touch there, none of which touches itself.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoseg.core.compiled import compiled
from geoseg.vector.rings import Rings

# What a pixel value is.
BACKGROUND, NODATA, FOREGROUND = 0, 1, 2
AT_EDGE = NODATA + FOREGROUND  # no other two add up to it

# Columns of Store.vertices. LINK goes to the ring's next vertex, CHAIN to another vertex of the component (or to
# another free place), TWIN to the vertex across a saddle. NONE is no vertex; for a twin below it, see `_meet`.
# BESIDE is the value across the side from the vertex to the next, NODE whether the corner is one.
X, Y, LINK, CHAIN, TWIN, BESIDE, NODE = 0, 1, 2, 3, 4, 5, 6
VERTEX_FIELDS = 7
NONE = -1

# Columns of Store.components. FIRST_Y and FIRST_X are the topmost, then leftmost pixel; HEAD and TAIL end the chain.
PARENT, CLASS, FIRST_Y, FIRST_X, LAST_Y, PIXELS, SCORES, EDGE, HEAD, TAIL, VERTICES = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
COMPONENT_FIELDS = 11

# Entries of Store.counts: the first free place left by an ended component, how many such places there are, places
# ever used, components, and rows swept.
FREE, FREED, USED, LABELS, ROWS = 0, 1, 2, 3, 4
VERTICES_A_CORNER = 4  # at the most
PAD = 8  # pixels in a machine word


class Columns(NamedTuple):
    """What the sweep knows of each column; the arrays are changed in place.

    `lines` holds the last two rows, padded with nodata, column c at PAD + c; `words` is the same memory, PAD pixels to
    a word, `repeated` (256,) the word of equal pixels. `labels` holds the last row's components, column c at 1 + c.
    `down` and `up` (width + 1,) hold the vertex from which a vertical side comes down, and to which one goes up.
    `passed` (width + 1,) sums, over the rows in which a column line bounded something, the pixels left of it that are
    not background; a vertex keeps its column's sum as `content`, so that by Green's theorem the differences along a
    ring's vertical sides count what it encloses.
    """

    kinds: NDArray[np.uint8]
    lines: NDArray[np.uint8]
    words: NDArray[np.uint64]
    repeated: NDArray[np.uint64]
    labels: NDArray[np.int64]
    down: NDArray[np.int64]
    up: NDArray[np.int64]
    passed: NDArray[np.int64]


class Store(NamedTuple):
    """Vertices and components that have not ended; the arrays are changed in place, and replaced by longer ones."""

    vertices: NDArray[np.int32]
    content: NDArray[np.int64]
    components: NDArray[np.int64]
    counts: NDArray[np.int64]


@compiled
def find(components: NDArray[np.int64], label: int) -> int:
    """The root of a label; the path to it is halved."""
    while components[label, PARENT] != label:
        components[label, PARENT] = components[components[label, PARENT], PARENT]
        label = int(components[label, PARENT])
    return label


@compiled
def _new_component(store: Store, class_id: int, x: int, y: int) -> int:
    label = int(store.counts[LABELS])
    store.counts[LABELS] += 1
    components = store.components
    components[label, PARENT] = label
    components[label, CLASS] = class_id
    components[label, FIRST_Y] = components[label, LAST_Y] = y
    components[label, FIRST_X] = x
    components[label, HEAD] = components[label, TAIL] = NONE
    components[label, PIXELS] = components[label, SCORES] = 0
    components[label, EDGE] = components[label, VERTICES] = 0
    return label


@compiled
def _union(store: Store, one: int, other: int) -> None:
    components = store.components
    one, other = find(components, one), find(components, other)
    if one == other:
        return
    keep, gone = min(one, other), max(one, other)  # the lower label was given first: its first pixel stays
    components[gone, PARENT] = keep
    components[keep, LAST_Y] = max(components[keep, LAST_Y], components[gone, LAST_Y])
    components[keep, EDGE] |= components[gone, EDGE]
    for field in (PIXELS, SCORES, VERTICES):
        components[keep, field] += components[gone, field]
    if components[keep, HEAD] == NONE:
        components[keep, HEAD] = components[gone, HEAD]
        components[keep, TAIL] = components[gone, TAIL]
    elif components[gone, HEAD] != NONE:
        store.vertices[components[keep, TAIL], CHAIN] = components[gone, HEAD]
        components[keep, TAIL] = components[gone, TAIL]


@compiled
def _new_vertex(store: Store, corner: tuple[int, int, int, int], label: int, beside: int) -> int:
    """A vertex at the corner (x, y, whether it is a node, content) of the component with that label."""
    x, y, node, content = corner
    counts = store.counts
    vertices = store.vertices
    if counts[FREE] != NONE:
        vertex = int(counts[FREE])
        counts[FREE] = vertices[vertex, CHAIN]
        counts[FREED] -= 1
    else:
        vertex = int(counts[USED])
        counts[USED] += 1
    vertices[vertex, X] = x
    vertices[vertex, Y] = y
    vertices[vertex, LINK] = vertices[vertex, CHAIN] = vertices[vertex, TWIN] = NONE
    vertices[vertex, BESIDE] = beside
    vertices[vertex, NODE] = node
    store.content[vertex] = content
    components = store.components
    root = find(components, label)
    if components[root, HEAD] == NONE:
        components[root, HEAD] = vertex
    else:
        vertices[components[root, TAIL], CHAIN] = vertex
    components[root, TAIL] = vertex
    components[root, VERTICES] += 1
    return vertex


@compiled
def _skip(words: NDArray[np.uint64], word: int, x: int, width: int) -> int:
    """The corner to go on with, from `x` on: around those between, both rows hold `word` only."""
    while x <= width and words[0, x // PAD + 1] == word and words[1, x // PAD + 1] == word:
        x += PAD
    return x


@compiled
def _cross(columns: Columns, store: Store, scores: NDArray[np.uint8], row: int) -> None:  # noqa: C901 - one pass
    """Pass the row line between the last row and the next, whose scores are `scores[row]`.

    Around corner `x` are the pixels north west, north east, south east and south west; between them the sides north,
    east, south and west, true where the pixels differ.
    """
    kinds, labels, passed, down, up = columns.kinds, columns.labels, columns.passed, columns.down, columns.up
    components, vertices = store.components, store.vertices
    y = store.counts[ROWS]
    above, below = columns.lines[(y + 1) % 2], columns.lines[y % 2]
    width = down.size - 1
    from_west = to_west = NONE  # the vertex where the horizontal side left of the corner began, or will end
    run_start = 0
    filled = 0  # pixels of this row, left of the corner, that are not background
    label_nw = label_sw = label_ne = label_se = 0
    changed = -2  # the last corner that was not passed over; the old label of the pixel south east is in label_ne
    nw, sw = above[PAD - 1], below[PAD - 1]
    x = -1
    while x < width:
        x += 1
        if x % PAD == 0 and nw == sw:
            x = _skip(columns.words, columns.repeated[nw], x, width)
            if x > width:
                break
        ne, se = above[x + PAD], below[x + PAD]
        if nw == ne and ne == se and sw == se:
            continue
        north, east, south, west = nw != ne, ne != se, se != sw, sw != nw
        label_nw = label_ne if changed == x - 1 else labels[x]
        label_sw = labels[x]
        label_ne = label_se = labels[x + 1]
        changed = x
        if kinds[se] == FOREGROUND:
            if not east:
                if not south:
                    _union(store, label_sw, label_se)
            elif not south:
                label_se = label_sw
            else:
                label_se = _new_component(store, se, x, y)
            labels[x + 1] = label_se
        if south:
            if kinds[sw] + kinds[se] == AT_EDGE:
                components[find(components, label_sw if kinds[sw] == FOREGROUND else label_se), EDGE] = 1
            if kinds[sw] != BACKGROUND:
                filled += x - run_start
            if kinds[sw] == FOREGROUND:
                component = find(components, label_sw)
                components[component, LAST_Y] = y
                components[component, PIXELS] += x - run_start
                if scores.size:
                    total = 0
                    for column in range(run_start, x):
                        total += scores[row, column]
                    components[component, SCORES] += total
            run_start = x
        if east and kinds[ne] + kinds[se] == AT_EDGE:
            components[find(components, label_ne if kinds[ne] == FOREGROUND else label_se), EDGE] = 1

        sides = int(north) + int(east) + int(south) + int(west)
        corner = (x, y, int(sides >= 3), passed[x])
        vertex_nw = vertex_ne = vertex_se = vertex_sw = NONE
        if north and west:
            if kinds[nw] == FOREGROUND:  # its own corner: along its bottom, then up its right side
                vertex_nw = _new_vertex(store, corner, label_nw, ne)
                vertices[from_west, LINK] = vertex_nw
                vertices[vertex_nw, LINK] = up[x]
            if not east and not south and kinds[se] == FOREGROUND:  # the other three: down, then west
                vertex = _new_vertex(store, corner, label_se, nw)
                vertices[down[x], LINK] = vertex
                vertices[vertex, LINK] = to_west
        if north and east:
            if kinds[ne] == FOREGROUND:  # down its left side, then along its bottom
                vertex_ne = _new_vertex(store, corner, label_ne, se)
                vertices[down[x], LINK] = vertex_ne
                from_west = vertex_ne
            if not south and not west and kinds[sw] == FOREGROUND:  # along the top from the east, then up
                vertex = _new_vertex(store, corner, label_sw, ne)
                vertices[vertex, LINK] = up[x]
                to_west = vertex
        if south and west:
            if kinds[sw] == FOREGROUND:  # up its right side, then west along its top
                vertex_sw = _new_vertex(store, corner, label_sw, nw)
                vertices[vertex_sw, LINK] = to_west
                up[x] = vertex_sw
            if not north and not east and kinds[ne] == FOREGROUND:  # along the bottom from the west, then down
                vertex = _new_vertex(store, corner, label_ne, sw)
                vertices[from_west, LINK] = vertex
                down[x] = vertex
        if south and east:
            if kinds[se] == FOREGROUND:  # along its top from the east, then down its left side
                vertex_se = _new_vertex(store, corner, label_se, sw)
                to_west = vertex_se
                down[x] = vertex_se
            if not north and not west and kinds[nw] == FOREGROUND:  # up, then east along the bottom
                vertex = _new_vertex(store, corner, label_nw, se)
                up[x] = vertex
                from_west = vertex
        if sides == 3:  # one component goes straight on, past a side that ends here
            if not north:
                if kinds[nw] == FOREGROUND:
                    vertex = _new_vertex(store, corner, label_nw, se)
                    vertices[from_west, LINK] = vertex
                    from_west = vertex
            elif not south:
                if kinds[sw] == FOREGROUND:
                    vertex = _new_vertex(store, corner, label_sw, nw)
                    vertices[vertex, LINK] = to_west
                    to_west = vertex
            elif not west:
                if kinds[nw] == FOREGROUND:
                    vertex = _new_vertex(store, corner, label_nw, ne)
                    vertices[vertex, LINK] = up[x]
                    up[x] = vertex
            elif kinds[ne] == FOREGROUND:
                vertex = _new_vertex(store, corner, label_ne, sw)
                vertices[down[x], LINK] = vertex
                down[x] = vertex
        if north and east and south and west:
            if nw == se and vertex_nw != NONE:
                vertices[vertex_nw, TWIN] = vertex_se
                vertices[vertex_se, TWIN] = vertex_nw
            if ne == sw and vertex_ne != NONE:
                vertices[vertex_ne, TWIN] = vertex_sw
                vertices[vertex_sw, TWIN] = vertex_ne
        if south:
            passed[x] += filled
        nw, sw = ne, se


@compiled
def sweep(columns: Columns, store: Store, class_ids: NDArray[np.uint8], scores: NDArray[np.uint8], row: int) -> int:
    """The index of the first row, from `row` on, for which there is no room left, or the number of rows.

    `class_ids` is (y, x), `scores` the same or (0, 0).
    """
    width, counts = class_ids.shape[1], store.counts
    while row < class_ids.shape[0]:
        places = store.vertices.shape[0] - counts[USED] + counts[FREED]
        if places < VERTICES_A_CORNER * (width + 1) or store.components.shape[0] - counts[LABELS] < width:
            break
        for x in range(width):
            columns.lines[counts[ROWS] % 2, x + PAD] = class_ids[row, x]
        _cross(columns, store, scores, row)
        counts[ROWS] += 1
        row += 1
    return row


@compiled
def ended(store: Store) -> NDArray[np.int64]:
    """The roots of components that have no pixel in the last row swept, in no order."""
    components, counts = store.components, store.counts
    found = np.empty(counts[LABELS], np.int64)
    count, last = 0, counts[ROWS] - 1
    for label in range(counts[LABELS]):
        if components[label, PARENT] == label and components[label, LAST_Y] < last:
            found[count] = label
            count += 1
    return found[:count].copy()


@compiled
def _meet(vertices: NDArray[np.int32], head: int) -> None:
    """Exchange the links of twins that turned out to belong to one component; forget twins in another one.

    The first of two twins leaves its number, as NONE - 1 - vertex, with the second.
    """
    vertex = head
    while vertex != NONE:
        twin = vertices[vertex, TWIN]
        if twin > NONE:
            vertices[twin, TWIN] = NONE - 1 - vertex
        elif twin < NONE:
            first = NONE - 1 - twin
            link = vertices[first, LINK]
            vertices[first, LINK] = vertices[vertex, LINK]
            vertices[vertex, LINK] = link
            beside = vertices[first, BESIDE]
            vertices[first, BESIDE] = vertices[vertex, BESIDE]
            vertices[vertex, BESIDE] = beside
            vertices[first, TWIN] = vertices[vertex, TWIN] = NONE
        vertex = vertices[vertex, CHAIN]
    vertex = head
    while vertex != NONE:
        twin = vertices[vertex, TWIN]
        if twin > NONE:
            vertices[twin, TWIN] = NONE
        vertex = vertices[vertex, CHAIN]


@compiled
def _walk(
    store: Store, start: int, points: NDArray[np.int32], node: NDArray[np.bool_], beside: NDArray[np.int32], count: int
) -> tuple[int, int, int]:
    """The number of points after a ring was added, the place of its first, and what it encloses.

    Links that were followed are cut.
    """
    vertices = store.vertices
    first = count
    content = 0
    vertex = start
    while vertices[vertex, LINK] != NONE:
        x, y = vertices[vertex, X], vertices[vertex, Y]
        points[count, 0] = x
        points[count, 1] = y
        node[count] = vertices[vertex, NODE] != 0
        beside[count] = vertices[vertex, BESIDE]
        if y < points[first, 1] or (y == points[first, 1] and x < points[first, 0]):
            first = count
        count += 1
        link = vertices[vertex, LINK]
        vertices[vertex, LINK] = NONE
        if vertices[link, X] == x:
            content += store.content[link] - store.content[vertex]
        vertex = link
    return count, first, abs(content)


@compiled
def close(store: Store, roots: NDArray[np.int64]) -> Rings:
    """The rings of ended components; the places of their vertices become free."""
    components, vertices, counts = store.components, store.vertices, store.counts
    total = 0
    for root in roots:
        total += components[root, VERTICES]
    most = total // 4
    points = np.empty((total, 2), np.int32)
    node = np.empty(total, np.bool_)
    beside = np.empty(total, np.int32)
    offsets = np.zeros(most + 1, np.int64)
    first = np.empty(most, np.int64)
    owner = np.empty(most, np.int64)
    content = np.empty(most, np.int64)
    count = rings = 0
    for place in range(roots.size):
        component = components[roots[place]]
        _meet(vertices, component[HEAD])
        vertex = component[HEAD]
        while vertex != NONE:
            if vertices[vertex, LINK] != NONE:
                count, first[rings], content[rings] = _walk(store, vertex, points, node, beside, count)
                owner[rings] = place
                rings += 1
                offsets[rings] = count
            vertex = vertices[vertex, CHAIN]
        vertices[component[TAIL], CHAIN] = counts[FREE]
        counts[FREE] = component[HEAD]
        counts[FREED] += component[VERTICES]
    return Rings(points, node, beside, offsets[: rings + 1], first[:rings], owner[:rings], content[:rings])


@compiled
def forget(columns: Columns, store: Store) -> None:
    """Renumber the components that go on below the last row swept, so that the numbers of the others are free."""
    components, counts, labels = store.components, store.counts, columns.labels
    last = counts[ROWS] - 1
    line = columns.lines[last % 2]
    numbers = np.full(counts[LABELS], NONE, np.int64)
    count = 0
    for label in range(numbers.size):
        if components[label, PARENT] == label and components[label, LAST_Y] == last:
            numbers[label] = count
            count += 1
    for column in range(columns.passed.size - 1):
        if columns.kinds[line[column + PAD]] == FOREGROUND:
            labels[column + 1] = numbers[find(components, labels[column + 1])]
    for label in range(numbers.size):
        if numbers[label] != NONE:
            for field in range(COMPONENT_FIELDS):
                components[numbers[label], field] = components[label, field]
            components[numbers[label], PARENT] = numbers[label]
    counts[LABELS] = count
