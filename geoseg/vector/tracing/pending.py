"""Components that go on below what was traced so far, or wait for others of their groups, and how parts are joined."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoseg.core.compiled import compiled
from geoseg.errors import ResourceError
from geoseg.vector.spool import Spool
from geoseg.vector.tracing import large, rings
from geoseg.vector.tracing.closed import Closed, in_order
from geoseg.vector.tracing.large import POINT_BYTES
from geoseg.vector.tracing.parts import Beyond, Border
from geoseg.vector.tracing.seams import FREE, FREED, GROUP_FIELDS, NEXT, USED, Groups, attach, bridge, settle, unite
from geoseg.vector.tracing.trace import (
    CHAIN,
    COMPONENT_FIELDS,
    GROUP,
    HEAD,
    NONE,
    PARENT,
    TAIL,
    VERTEX_FIELDS,
    VERTICES,
    Store,
)

MOST = np.iinfo(np.int32).max  # vertices that can be told apart
APART = 4  # groups that end at once are closed together while they take this part of the spool's budget


class Pending:
    """Joins parts from top to bottom, and keeps the components of groups that have not ended.

    `_store.components` are those that reach the last row, one row each, and `_groups` what waits for them. The waiting
    components themselves lie in `_waiting`, and the vertices of both in the store: these two may be large, and are the
    spool's.
    """

    def __init__(self, width: int, origin: tuple[int, int], spool: Spool) -> None:
        """Start above a raster `width` pixels wide, whose first corner is at `origin` (x, y)."""
        self._spool, self._origin = spool, origin
        none = np.empty(0, np.int64)
        self._border = Border(none, none, none, np.zeros(width + 1, np.int64))
        vertices = spool.empty((0, VERTEX_FIELDS), np.int32)
        self._store = Store(
            vertices=vertices,
            sums=vertices.view(np.int64),
            components=np.empty((0, COMPONENT_FIELDS), np.int64),
            counts=np.array([0, NONE, 0]),
        )
        self._groups = np.empty((0, GROUP_FIELDS), np.int64)
        self._waiting = spool.empty((0, COMPONENT_FIELDS), np.int64)
        self._places = np.array([0, NONE, 0])

    def join(self, beyond: Beyond, last: int) -> tuple[Closed, list[Closed]]:
        """The components of the groups that have none in row `last`, the last of the part that is joined.

        Groups that are large, measured by the spool's budget, come one by one, their outlines in arrays of the spool.
        """
        self._make_room(len(beyond.vertices), len(beyond.components))
        places = attach(self._store, self._border, beyond)
        known = len(self._store.components)
        store = self._store._replace(components=np.concatenate([self._store.components, lifted(beyond, places, known)]))
        groups = np.concatenate([self._groups, np.full((len(beyond.components), GROUP_FIELDS), [NONE, NONE, 0, 0])])
        unite(store, groups, self._waiting, self._border.labels, beyond.above + known)
        components, self._groups, numbers, ended = settle(store, groups, self._waiting, self._places, last)
        self._store = store._replace(components=components)
        above, below = self._border, beyond.below
        down, up = bridge(places, above.down, below.down), bridge(places, above.up, below.up)
        self._border = Border(numbers[below.labels + known], down, up, above.passed + below.passed)
        apart = self._apart(ended)
        singles = [self._close(ended.first[[i]], ended.members[[i]], apart=True) for i in np.flatnonzero(apart)]
        return self._close(ended.first[~apart], ended.members[~apart], apart=False), singles

    def _apart(self, ended: Groups) -> NDArray[np.bool_]:
        """Which groups are closed by themselves, so that the others together take but a part of the spool's budget."""
        order = np.argsort(ended.size, kind="stable")
        apart = np.empty(len(order), np.bool_)
        apart[order] = np.cumsum(ended.size[order]) * POINT_BYTES > self._spool.budget // APART
        return apart

    def _close(self, first: NDArray[np.int64], members: NDArray[np.int64], *, apart: bool) -> Closed:
        """The components of groups that have ended; `apart` puts their outlines into arrays of the spool."""
        components = collect(self._waiting, self._places, first, int(members.sum()))
        order, keys = in_order(components)
        components = components[order]
        if apart:
            outlines = large.close(self._store, components, self._origin, self._spool)
        else:
            heads, sizes = components[:, HEAD].copy(), components[:, VERTICES].copy()
            outlines = rings.close(self._store, heads, sizes, self._origin)
        free(self._store, components)
        return Closed(components, keys.group_first, keys.group_last, outlines)

    def _make_room(self, vertices: int, components: int) -> None:
        needed = vertices + int(self._store.counts[USED] - self._store.counts[FREED])
        if needed > MOST:
            raise ResourceError(
                f"{needed} corners belong to polygons that are still open; at most {MOST} can be kept: smooth or sieve "
                "the class raster first, or vectorize it in pieces"
            )
        if needed > len(self._store.vertices):
            longer = self._longer(self._store.vertices, needed)
            self._store = self._store._replace(vertices=longer, sums=longer.view(np.int64))
        needed = len(self._store.components) + components + int(self._places[USED] - self._places[FREED])
        if needed > len(self._waiting):
            self._waiting = self._longer(self._waiting, needed)

    def _longer(self, array: NDArray[Any], needed: int) -> NDArray[Any]:
        return self._spool.longer(array, max(needed, min(2 * len(array), MOST)))


def lifted(beyond: Beyond, places: NDArray[np.int32], known: int) -> NDArray[np.int64]:
    """A part's components (component, field), counted on from those known, with the places of their vertices."""
    components = beyond.components.copy()
    components[:, (PARENT, GROUP)] += known
    drawn = components[:, HEAD] != NONE
    for end in (HEAD, TAIL):
        components[drawn, end] = places[components[drawn, end]]
    return components


@compiled
def collect(
    waiting: NDArray[np.int64], places: NDArray[np.int64], first: NDArray[np.int64], members: int
) -> NDArray[np.int64]:
    """The components (component, field) of groups, numbered as given; their places are free then."""
    components = np.empty((members, COMPONENT_FIELDS), np.int64)
    count = 0
    for group in range(first.size):
        place = first[group]
        while place != NONE:
            components[count] = waiting[place]
            components[count, GROUP] = group
            following = waiting[place, NEXT]
            waiting[place, NEXT] = places[FREE]
            places[FREE] = place
            places[FREED] += 1
            place = following
            count += 1
    return components


@compiled
def free(store: Store, components: NDArray[np.int64]) -> None:
    """Make the places of closed components' vertices free."""
    for number in range(components.shape[0]):
        store.vertices[components[number, TAIL], CHAIN] = store.counts[FREE]
        store.counts[FREE] = components[number, HEAD]
        store.counts[FREED] += components[number, VERTICES]
