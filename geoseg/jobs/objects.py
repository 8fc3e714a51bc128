"""Objects that were told from one another, on their way to vectors: one number a pixel, and what each number is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoseg.core.classes import NODATA, ClassSet
from geoseg.core.protocols import ObjectTable, Strip
from geoseg.errors import SpecError
from geoseg.jobs.naming import looked_up
from geoseg.tasks import Postprocess

MOST = np.iinfo(np.int32).max - NODATA  # objects that can be told apart


def coded(strip: Strip) -> Strip:
    """The strip with int32 ids (y, x): the class where there is no object, NODATA + its number on an object.

    Raises SpecError where there are more objects than numbers.
    """
    if strip.instance_ids is None:
        return strip
    if strip.instance_ids.size and int(strip.instance_ids.max()) > MOST:
        raise SpecError(f"found more than {MOST} objects; expected fewer: vectorize the scene in pieces (--bounds)")
    ids = np.where(strip.instance_ids > 0, strip.instance_ids + np.int32(NODATA), strip.class_ids)
    return replace(strip, class_ids=ids.astype(np.int32, copy=False))


def is_object(ids: NDArray[Any]) -> NDArray[np.bool_]:
    """Which of coded ids, of any shape, are those of objects."""
    return np.asarray(ids > NODATA)


def check_objects(wanted: Postprocess) -> None:
    """Nothing where objects can be drawn as it is asked. Raises SpecError."""
    if wanted.shape == "lines":
        raise SpecError("--shape lines follows classes, found a model that tells objects apart; give --shape polygons")
    if wanted.outline == "subpixel":
        raise SpecError(
            "--outline subpixel draws where the score of one class crosses its threshold, found a model that tells "
            "objects apart, which share that class; choose another --outline"
        )
    if wanted.small == "merge" and wanted.min_area_m2 > 0:
        raise SpecError(
            "--small merge makes neighbours of one class, found a model that tells objects apart; give --small drop"
        )


class ObjectNaming:
    """The classes of a model's card, and the objects that were found, by their coded ids.

    Only objects that are open are known: tables are learned as strips pass, and what was written is forgotten.
    """

    def __init__(self, known: ClassSet) -> None:
        """Know the classes, and no object."""
        self.known = known
        self.table = ObjectTable(
            np.empty(0, np.int32),
            np.empty(0, np.uint8),
            np.empty(0, np.float32),
            np.empty(0, np.int64),
            np.empty(0, np.bool_),
        )

    def fresh(self) -> ObjectNaming:
        """The same classes, and no object: for another pass."""
        return ObjectNaming(self.known)

    @property
    def fixed(self) -> ClassSet:
        """All classes."""
        return self.known

    def classes(self) -> ClassSet:
        """All classes."""
        return self.known

    def learn(self, table: ObjectTable) -> None:
        """Know further objects; their numbers are larger than all before. Raises ValueError where they are not."""
        numbers = np.concatenate([self.table.instance_id, table.instance_id])
        if (np.diff(numbers) <= 0).any():
            raise ValueError("objects come out of order; expected rising instance_id over all strips")
        self.table = ObjectTable(
            numbers,
            np.concatenate([self.table.class_id, table.class_id]),
            np.concatenate([self.table.score, table.score]),
            np.concatenate([self.table.last_row, table.last_row]),
            np.concatenate([_cut(self.table), _cut(table)]),
        )

    def keep(self, which: NDArray[np.bool_]) -> None:
        """Forget the objects that a mask (object,) does not select."""
        table = self.table
        self.table = ObjectTable(
            table.instance_id[which],
            table.class_id[which],
            table.score[which],
            table.last_row[which],
            _cut(table)[which],
        )

    def places(self, ids: NDArray[np.int32]) -> NDArray[np.int64]:
        """Where the objects of coded ids stand in the table, shape (object,). Raises ValueError for unknown ones."""
        numbers = ids - np.int32(NODATA)
        places = np.searchsorted(self.table.instance_id, numbers)
        if len(ids) and (
            places.max() >= len(self.table) or not np.array_equal(self.table.instance_id[places], numbers)
        ):
            raise ValueError("pixels bear the number of an object that no table lists; expected it with its first row")
        return places.astype(np.int64, copy=False)

    def cut(self, ids: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Which are objects that might be others if more of the scene had been looked at."""
        which = is_object(ids)
        found = np.zeros(len(ids), np.bool_)
        found[which] = _cut(self.table)[self.places(ids[which])]
        return found

    def names(self, ids: NDArray[np.int32]) -> NDArray[Any]:
        """The names of classes in the card, for an object that of its class."""
        return looked_up({info.id: info.name for info in self.known.classes}, self.values(ids))

    def values(self, ids: NDArray[np.int32]) -> NDArray[np.int32]:
        """The classes, for an object its class."""
        which, values = is_object(ids), ids.copy()
        values[which] = self.table.class_id[self.places(ids[which])]
        return values

    def instances(self, ids: NDArray[np.int32]) -> NDArray[np.int64]:
        """The numbers of objects, 0 for what is none."""
        return np.where(is_object(ids), ids.astype(np.int64) - NODATA, 0)

    def scores(self, ids: NDArray[np.int32], otherwise: NDArray[np.float64]) -> NDArray[np.float64]:
        """The scores of objects (0 to 1), those given for what is none."""
        which, scores = is_object(ids), otherwise.copy()
        scores[which] = self.table.score[self.places(ids[which])]
        return scores


def _cut(table: ObjectTable) -> NDArray[np.bool_]:
    return np.zeros(len(table), np.bool_) if table.cut is None else table.cut
