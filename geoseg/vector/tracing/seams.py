"""Kernels that join the parts of a class raster, one below the other."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoseg.core.compiled import compiled
from geoseg.vector.tracing.parts import Beyond, Border
from geoseg.vector.tracing.trace import (
    CHAIN,
    COMPONENT_FIELDS,
    GROUP,
    LAST_Y,
    LINK,
    MARKS,
    NONE,
    PARENT,
    SUM,
    TAIL,
    TWIN,
    VERTEX_FIELDS,
    VERTICES,
    Store,
    X,
    find,
    union,
)

# Entries of Store.counts here: places ever used, the first of those that are free again, and how many these are.
USED, FREE, FREED = 0, 1, 2

# Columns of `groups`: the first and last component that waits for the rest of its group, how many do, and how many
# vertices they have.
FIRST, LAST, MEMBERS, SIZE = 0, 1, 2, 3
GROUP_FIELDS = 4
NEXT = PARENT  # what leads from one waiting component to the next


class Groups(NamedTuple):
    """Groups that have ended: their first waiting components, members and vertices, arrays of shape (group,)."""

    first: NDArray[np.int64]
    members: NDArray[np.int64]
    size: NDArray[np.int64]


@compiled
def attach(store: Store, border: Border, beyond: Beyond) -> NDArray[np.int32]:
    """The places that a part's vertices took, below the border of what lies above it."""
    vertices = store.vertices
    places = _take(store, beyond.vertices.shape[0])
    for number in range(places.size):
        place, vertex = places[number], beyond.vertices[number]
        for field in range(VERTEX_FIELDS):
            vertices[place, field] = vertex[field]
        link = vertex[LINK]
        if link > NONE:
            vertices[place, LINK] = places[link]
        elif link < NONE:
            vertices[place, LINK] = border.up[(NONE - 1 - link) // 2]
        if vertex[TWIN] != NONE:
            vertices[place, TWIN] = places[vertex[TWIN]]
        vertices[place, CHAIN] = places[number + 1] if number + 1 < places.size else NONE
        store.sums[place, SUM] += border.passed[vertex[X] >> MARKS]
    for number in range(beyond.components.shape[0]):
        if beyond.components[number, TAIL] != NONE:
            vertices[places[beyond.components[number, TAIL]], CHAIN] = NONE
    for line in range(beyond.started.size):
        if beyond.started[line] != NONE:
            vertices[border.down[line], LINK] = places[beyond.started[line]]
    return places


@compiled
def bridge(places: NDArray[np.int32], above: NDArray[np.int64], below: NDArray[np.int64]) -> NDArray[np.int64]:
    """The vertices at the column lines of a part's last row, `below`, by their places; some are those `above` it."""
    vertices = below.copy()
    for line in range(below.size):
        if below[line] > NONE:
            vertices[line] = places[below[line]]
        elif below[line] < NONE:
            vertices[line] = above[(NONE - 1 - below[line]) // 2]
    return vertices


@compiled
def _take(store: Store, count: int) -> NDArray[np.int32]:
    """So many places for vertices, the free ones first."""
    counts = store.counts
    places = np.empty(count, np.int32)
    for number in range(count):
        if counts[FREE] != NONE:
            places[number] = counts[FREE]
            counts[FREE] = store.vertices[counts[FREE], CHAIN]
            counts[FREED] -= 1
        else:
            places[number] = counts[USED]
            counts[USED] += 1
    return places


@compiled
def unite(
    store: Store,
    groups: NDArray[np.int64],
    waiting: NDArray[np.int64],
    upper: NDArray[np.int64],
    lower: NDArray[np.int64],
) -> None:
    """Make one component of each two labels that a run has in the part above and in that below it, and one group."""
    components = store.components
    for run in range(upper.size):
        union(store, upper[run], lower[run])
    for label in range(groups.shape[0]):
        group = find(components, label, GROUP)
        if group == label or groups[label, FIRST] == NONE:
            continue
        if groups[group, FIRST] == NONE:
            groups[group, FIRST] = groups[label, FIRST]
        else:
            waiting[groups[group, LAST], NEXT] = groups[label, FIRST]
        groups[group, LAST] = groups[label, LAST]
        groups[group, MEMBERS] += groups[label, MEMBERS]
        groups[group, SIZE] += groups[label, SIZE]


@compiled
def settle(
    store: Store, groups: NDArray[np.int64], waiting: NDArray[np.int64], places: NDArray[np.int64], last: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], Groups]:
    """The components that reach row `last`, what waits for them, their numbers by label, and the groups that ended.

    The other components wait, of ended groups too.
    """
    components, count = store.components, store.components.shape[0]
    numbers = np.full(count, NONE, np.int64)
    leaders = np.full(count, NONE, np.int64)  # the new number that stands for a group, by the label that did
    alive = 0
    for label in range(count):
        if components[label, PARENT] != label:
            continue
        group = find(components, label, GROUP)
        if components[label, LAST_Y] >= last:
            numbers[label] = alive
            if leaders[group] == NONE:
                leaders[group] = alive
            alive += 1
        else:
            _wait(components[label], groups[group], waiting, places)
    going, waited = _going(components, groups, numbers, leaders, alive)
    ended = np.empty((3, count), np.int64)
    closed = 0
    for label in range(count):
        if components[label, GROUP] == label and leaders[label] == NONE:
            ended[0, closed], ended[1, closed] = groups[label, FIRST], groups[label, MEMBERS]
            ended[2, closed] = groups[label, SIZE]
            closed += 1
    for label in range(count):
        numbers[label] = numbers[find(components, label, PARENT)]
    ends = Groups(ended[0, :closed].copy(), ended[1, :closed].copy(), ended[2, :closed].copy())
    return going, waited, numbers, ends


@compiled
def _going(
    components: NDArray[np.int64],
    groups: NDArray[np.int64],
    numbers: NDArray[np.int64],
    leaders: NDArray[np.int64],
    alive: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The components that go on by their new numbers, and what waits for them."""
    going, waited = np.empty((alive, COMPONENT_FIELDS), np.int64), np.empty((alive, GROUP_FIELDS), np.int64)
    for label in range(numbers.size):
        number = numbers[label]
        if number == NONE:
            continue
        group = find(components, label, GROUP)
        going[number] = components[label]
        going[number, PARENT], going[number, GROUP] = number, leaders[group]
        waited[number, FIRST] = waited[number, LAST] = NONE
        waited[number, MEMBERS] = waited[number, SIZE] = 0
        if leaders[group] == number:
            waited[number] = groups[group]
    return going, waited


@compiled
def _wait(
    component: NDArray[np.int64], group: NDArray[np.int64], waiting: NDArray[np.int64], places: NDArray[np.int64]
) -> None:
    """Let a component wait for its group."""
    if places[FREE] != NONE:
        place = places[FREE]
        places[FREE] = waiting[place, NEXT]
        places[FREED] -= 1
    else:
        place = places[USED]
        places[USED] += 1
    for field in range(COMPONENT_FIELDS):
        waiting[place, field] = component[field]
    waiting[place, NEXT] = group[FIRST]
    group[FIRST] = place
    if group[LAST] == NONE:
        group[LAST] = place
    group[MEMBERS] += 1
    group[SIZE] += component[VERTICES]
