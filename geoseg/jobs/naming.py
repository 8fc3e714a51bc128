"""What the ids in a raster of classes stand for, in the file that is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from geoseg.core.classes import NODATA, ClassInfo, ClassSet
from geoseg.io.legend import Legend
from geoseg.jobs.codes import Codes

OBJECT = ClassSet(
    classes=(ClassInfo(id=0, name="background", colour="#000000"), ClassInfo(id=1, name="object", colour="#e4572e"))
)


class Naming(Protocol):
    """Names and values of class ids; a raster made elsewhere shows its values while it is read."""

    @property
    def fixed(self) -> ClassSet | None:
        """The classes where they are known from the start."""
        ...

    def classes(self) -> ClassSet:
        """The classes as far as they are known, for a legend."""
        ...

    def names(self, ids: NDArray[np.int32]) -> NDArray[Any]:
        """What each id is called, shape (object,)."""
        ...

    def values(self, ids: NDArray[np.int32]) -> NDArray[np.int32]:
        """The class in the raster that each id stands for, shape (object,)."""
        ...

    def instances(self, ids: NDArray[np.int32]) -> NDArray[np.int64] | None:
        """The number of each object, shape (object,); None where objects are numbered as they come."""
        ...


@dataclass(frozen=True, slots=True)
class CardNaming:
    """The classes of a model's card."""

    known: ClassSet

    @property
    def fixed(self) -> ClassSet:
        """All of them."""
        return self.known

    def classes(self) -> ClassSet:
        """All of them."""
        return self.known

    def names(self, ids: NDArray[np.int32]) -> NDArray[Any]:
        """The names in the card."""
        return looked_up({info.id: info.name for info in self.known.classes}, ids)

    def values(self, ids: NDArray[np.int32]) -> NDArray[np.int32]:
        """The ids themselves."""
        return ids

    def instances(self, ids: NDArray[np.int32]) -> None:
        """Nothing: an id is a class."""


@dataclass(frozen=True, slots=True)
class CodeNaming:
    """The values of a raster made elsewhere, by their codes; `given` names go before the legend's."""

    codes: Codes
    legend: Legend
    given: Mapping[int, str] = field(default_factory=dict)
    background: int | None = None

    @property
    def fixed(self) -> None:
        """Nothing: they are met while the raster is read."""

    def classes(self) -> ClassSet:
        """One class a value that was met so far."""
        known = [
            ClassInfo(id=code, name=self._name(value), colour=self.legend.colour(value))
            for code, value in self.codes.values.items()
        ]
        return ClassSet.model_construct(classes=tuple(known), background=self.background, ignore_index=NODATA)

    def names(self, ids: NDArray[np.int32]) -> NDArray[Any]:
        """The given name, else the legend's, else "class" with the value."""
        return looked_up({code: self._name(value) for code, value in self.codes.values.items()}, ids)

    def values(self, ids: NDArray[np.int32]) -> NDArray[np.int32]:
        """The raster's own values."""
        return np.asarray(looked_up(self.codes.values, ids), dtype=np.int32)

    def instances(self, ids: NDArray[np.int32]) -> None:
        """Nothing: a value is a class."""

    def _name(self, value: int) -> str:
        return self.given.get(value) or self.legend.name(value)


@dataclass(frozen=True, slots=True)
class InstanceNaming:
    """A raster in which every value is the number of one object; all are of one class."""

    name: str = "object"

    @property
    def fixed(self) -> ClassSet:
        """The one class, and background."""
        return self.classes()

    def classes(self) -> ClassSet:
        """The one class, and background."""
        background, info = OBJECT.classes
        return ClassSet(classes=(background, info.model_copy(update={"name": self.name})))

    def names(self, ids: NDArray[np.int32]) -> NDArray[Any]:
        """The class's name."""
        return np.full(len(ids), self.name, dtype=object)

    def values(self, ids: NDArray[np.int32]) -> NDArray[np.int32]:
        """Ones."""
        return np.ones(len(ids), np.int32)

    def instances(self, ids: NDArray[np.int32]) -> NDArray[np.int64]:
        """The raster's own values."""
        return ids.astype(np.int64)


def looked_up(table: Mapping[int, Any], ids: NDArray[np.int32]) -> NDArray[Any]:
    """The table's entry for each id, as objects, shape (object,)."""
    unique, place = np.unique(ids, return_inverse=True)
    entries = np.empty(len(unique), dtype=object)
    entries[:] = [table[int(i)] for i in unique]
    return np.asarray(entries[place])
