"""The parts of objects brought together: one that lies over another may have cut it in two."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

import numpy as np
import shapely
from numpy.typing import NDArray

from geoseg.core.classes import NODATA
from geoseg.core.compiled import compiled
from geoseg.jobs.objects import ObjectNaming, is_object
from geoseg.vector.ground import Ground
from geoseg.vector.outlines import RawPolygons, RingBatch, counted, join, summed
from geoseg.vector.postprocess import centres

# What is known of an open object: its pixels so far, its first one as y << 32 | x, their extent, and how many of them
# belong to components that were drawn.
PIXELS, FIRST, LEFT, RIGHT, BOTTOM, DRAWN = range(6)
_FIELDS = 6
_NOWHERE = np.iinfo(np.int64).max
_END = np.iinfo(np.int64).max


class Gathering:
    """Orders groups of components so that an object's parts are drawn once all of it was shown, and joins them then.

    Rows and columns are the scene's. Everything but memory is the same for strips of any height: what comes out is
    ordered by the last row of objects, then by their first pixels (their blocks', where blocks are drawn as a whole).
    Memory is that of the objects that have not ended, and of their parts that have.
    """

    def __init__(self, naming: ObjectNaming, ground: Ground, whole_groups: bool) -> None:
        """Learn objects into `naming`; with `whole_groups` a group of components that are no object is one feature."""
        self._naming, self._ground, self._whole_groups = naming, ground, whole_groups
        self._seen = np.empty((0, _FIELDS), np.int64)
        self._held: list[_Keyed] = []  # groups that ended, with parts of objects that go on
        self._open: list[RawPolygons] = []  # drawn parts, of whose objects others are to come

    def learn(self) -> None:
        """Make room for the objects that the naming has learned."""
        new = np.zeros((len(self._naming.table) - len(self._seen), _FIELDS), np.int64)
        new[:, FIRST] = new[:, LEFT] = _NOWHERE
        self._seen = np.concatenate([self._seen, new])

    def show(self, ids: NDArray[np.int32], corner: tuple[int, int]) -> None:
        """Count the pixels of coded ids (y, x), the first of which is `corner` (x, y)."""
        if tally(np.ascontiguousarray(ids, np.int32), corner, self._naming.table.instance_id, self._seen):
            raise ValueError("pixels bear the number of an object that no table lists; expected it with its first row")

    def arranged(self, batches: list[RingBatch], until: int | None) -> Iterator[RingBatch]:
        """The groups in order whose objects end in row `until` at the latest, None for all of them.

        `batches` are those that ended there since the last call.
        """
        last = _END if until is None else until
        regular: list[_Keyed] = []
        for batch in batches:
            keys = self._keys(batch)
            odd = keys[:, 3].astype(np.bool_)
            regular.append(_Keyed(batch, keys) if not odd.any() else _Keyed(batch, keys).take(~odd))
            if odd.any():
                self._held.append(_Keyed(batch, keys).take(odd))
        ready = self._ready(last)
        for one in regular:
            if not len(ready.keys) or not len(one.keys):
                yield one.batch
                continue
            before = _not_after(ready.keys, one.keys[-1])
            yield _Keyed.joined([one, ready.take(before)]).in_order()
            ready = ready.take(~before)
        if len(ready.keys):
            yield ready.in_order()

    def _ready(self, last: int) -> _Keyed:
        """Take those from the held groups of which all is known up to a row; the rest stays as it lies."""
        ready, held = list[_Keyed](), list[_Keyed]()
        for one in self._held:
            ended = one.keys[:, 0] <= last
            if ended.any():
                ready.append(one.take(ended))
            if not ended.all():
                held.append(one if not ended.any() else one.take(~ended))
        self._held = held
        return _Keyed.joined(ready)

    def _keys(self, batch: RingBatch) -> NDArray[np.int64]:
        """What groups are ordered by, (component, 4).

        It is the same whenever it is asked for once their objects have begun.
        That is the last row and the first pixel of all of their objects, and their own first pixel; then whether one of
        the first two is another than the group's own.
        """
        if not len(batch):
            return np.empty((0, 4), np.int64)
        starts = batch.ring_offsets[batch.polygon_offsets[:-1]]
        points = batch.points.astype(np.int64)
        own = points[starts, 1] << 32 | points[starts, 0]
        own_last = np.maximum.reduceat(points[:, 1], starts) - 1
        first, last = own.copy(), own_last.copy()
        which = is_object(batch.class_id)
        places = self._naming.places(batch.class_id[which])
        first[which] = self._seen[places, FIRST]
        last[which] = np.maximum(last[which], self._naming.table.last_row[places])
        begins = np.flatnonzero(np.diff(batch.group, prepend=-1))
        least = [np.minimum.reduceat(values, begins)[batch.group] for values in (first, own)]
        most = [np.maximum.reduceat(values, begins)[batch.group] for values in (last, own_last)]
        differs = (least[0] != least[1]) | (most[0] != most[1])
        return np.column_stack([most[0], least[0], least[1], differs])

    def areas(self, batch: RingBatch) -> NDArray[np.float64]:
        """Square metres of what each component belongs to, shape (component,): its object, its group or itself."""
        if not len(batch):
            return np.empty(0)
        areas = batch.pixels * self._ground.pixel_areas(centres(batch))
        which = is_object(batch.class_id)
        if self._whole_groups:
            areas = summed(np.where(which, 0.0, areas), batch.group, int(batch.group[-1]) + 1)[batch.group]
        seen = self._seen[self._naming.places(batch.class_id[which])]
        top = seen[:, FIRST] >> 32
        middle = np.column_stack([seen[:, LEFT] + seen[:, RIGHT], top + seen[:, BOTTOM]]) / 2
        if which.any():
            areas[which] = seen[:, PIXELS] * self._ground.pixel_areas(middle)
        return areas

    def without_islands(self, batch: RingBatch, fill_m2: float) -> RingBatch:
        """The batch without small holes of objects that hold but parts of the same object, and without those parts.

        All parts of an object have to be in the batch.
        """
        objects, counts = np.unique(batch.class_id[is_object(batch.class_id)], return_counts=True)
        gone, kept = np.zeros(len(batch.enclosed), np.bool_), np.ones(len(batch), np.bool_)
        if fill_m2 <= 0 or not (counts > 1).any():
            return batch
        pixel = self._ground.pixel_areas(centres(batch))
        for code in objects[counts > 1]:
            parts = np.flatnonzero(batch.class_id == code)
            for part in parts:
                for ring in range(batch.polygon_offsets[part] + 1, batch.polygon_offsets[part + 1]):
                    island = _islands(batch, ring, parts, fill_m2 / pixel[part])
                    gone[ring], kept[island] = len(island) > 0, False
        return batch.without_rings(gone).take(kept)

    def drawing(self, batch: RingBatch) -> None:
        """Note that these components are drawn next, or dropped."""
        which = is_object(batch.class_id)
        np.add.at(self._seen[:, DRAWN], self._naming.places(batch.class_id[which]), batch.pixels[which])

    def joined(self, drawn: RawPolygons) -> RawPolygons:
        """The polygons of which all parts are drawn, one group a feature; others wait for the rest."""
        pool = _joined([*self._open, drawn])
        which = is_object(pool.class_id)
        whole = np.ones(len(pool), np.bool_)
        places = self._naming.places(pool.class_id[which])
        whole[which] = self._seen[places, DRAWN] == self._seen[places, PIXELS]
        self._open = [pool.take(~whole)] if not whole.all() else []
        return self.features(pool.take(whole))

    def features(self, drawn: RawPolygons) -> RawPolygons:
        """The polygons with those of an object together, where its last one stood; groups are the features."""
        if not len(drawn):
            return drawn
        own = drawn.group.astype(np.int64) if self._whole_groups else np.arange(len(drawn))
        key = np.where(is_object(drawn.class_id), drawn.class_id.astype(np.int64), -1 - own)
        _, feature = np.unique(key, return_inverse=True)
        last = np.zeros(int(feature.max()) + 1, np.int64)
        np.maximum.at(last, feature, np.arange(len(drawn)))
        order = np.argsort(last[feature], kind="stable")
        return replace(drawn.take(order), group=counted(last[feature][order]))

    def forget(self, until: int) -> None:
        """Forget the objects of rows up to `until` that are written, or have no pixel where it was looked."""
        ended = self._seen[:, DRAWN] == self._seen[:, PIXELS]
        ended &= self._naming.table.last_row <= until
        if not ended.any():
            return
        self._naming.keep(~ended)
        self._seen = self._seen[~ended]


@dataclass(frozen=True, slots=True)
class _Keyed:
    """Groups of components, and what they are ordered by (component, 4)."""

    batch: RingBatch
    keys: NDArray[np.int64]

    @classmethod
    def joined(cls, parts: list[_Keyed]) -> _Keyed:
        keys = [np.empty((0, 4), np.int64), *(part.keys for part in parts)]
        return cls(join([part.batch for part in parts if len(part.batch)]), np.concatenate(keys))

    def take(self, which: NDArray[np.bool_]) -> _Keyed:
        return _Keyed(self.batch.take(which), self.keys[which])

    def in_order(self) -> RingBatch:
        keys = self.keys
        return self.batch.reordered(np.lexsort((keys[:, 2], keys[:, 1], keys[:, 0])))


def _not_after(keys: NDArray[np.int64], key: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which keys, last row and first pixel, are not after one."""
    return np.asarray((keys[:, 0] < key[0]) | ((keys[:, 0] == key[0]) & (keys[:, 1] <= key[1])))


def _islands(batch: RingBatch, ring: int, parts: NDArray[np.int64], most: float) -> NDArray[np.int64]:
    """Which of an object's parts lie in a hole of at most `most` pixels, none where something else does too."""
    hole = shapely.Polygon(batch.points[batch.ring_offsets[ring] : batch.ring_offsets[ring + 1]])
    if batch.enclosed[ring] == 0 or not hole.area <= most:
        return parts[:0]
    first = batch.points[batch.ring_offsets[batch.polygon_offsets[parts]]] + 0.5
    inside = parts[shapely.contains_xy(hole, first[:, 0], first[:, 1])]
    return inside if batch.pixels[inside].sum() == batch.enclosed[ring] else parts[:0]


def _joined(parts: list[RawPolygons]) -> RawPolygons:
    """All polygons; groups of different parts are different."""
    if len(parts) == 1:
        return parts[0]
    columns = {f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(RawPolygons)}
    shift = np.cumsum([0, *(int(part.group.max(initial=-1)) + 1 for part in parts[:-1])])
    columns["group"] += np.repeat(shift, [len(part) for part in parts])
    return RawPolygons(**columns)


@compiled
def tally(ids: NDArray[np.int32], corner: tuple[int, int], numbers: NDArray[np.int32], seen: NDArray[np.int64]) -> int:
    """Add rows (y, x) of coded ids to what is known of objects; returns an id that is not among them, else 0."""
    left, top = corner
    place = 0
    for y in range(ids.shape[0]):
        x = 0
        while x < ids.shape[1]:
            value = ids[y, x]
            start = x
            x += 1
            if value <= NODATA:
                continue
            while x < ids.shape[1] and ids[y, x] == value:
                x += 1
            number = value - NODATA
            if place >= numbers.size or numbers[place] != number:
                place = int(np.searchsorted(numbers, number))
                if place >= numbers.size or numbers[place] != number:
                    return int(value)
            one = seen[place]
            one[PIXELS] += x - start
            one[FIRST] = min(one[FIRST], (y + top) << 32 | (start + left))
            one[LEFT] = min(one[LEFT], start + left)
            one[RIGHT] = max(one[RIGHT], x + left)
            one[BOTTOM] = max(one[BOTTOM], y + top + 1)
    return 0
