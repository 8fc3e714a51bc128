"""Objects whose pixels are known, on their way to the raster."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from geoseg.core.protocols import ObjectTable
from geoseg.core.tiling import Block
from geoseg.inference.objects.views import Views, packed, unpacked

_FIELDS: list[tuple[str, type[np.generic]]] = [
    ("id", np.int64),  # of the earliest view
    ("class_id", np.uint8),
    ("score", np.float32),
    ("state", np.int64),
    ("area", np.int64),  # before overlaps
    ("y", np.int64),  # first pixel: before overlaps while waiting, then the final one inside the block
    ("x", np.int64),
    ("last_row", np.int64),  # inside the block; -1 when the object has no pixel there
    ("number", np.int32),  # 0 until its first row is final
    ("cut", np.bool_),  # might be another if more of the scene had been looked at
]
GROUP = np.dtype(_FIELDS)


class Part:
    """Views of finished objects, or of none (`left_out`): those that might be objects, had more been looked at."""

    def __init__(self, views: Views, *, left_out: bool = False) -> None:
        """Hold the views, one at least."""
        self.left_out = left_out
        self.top, self.bottom = int(views.boxes[:, 1].min()), int(views.boxes[:, 3].max())
        self._views, self._packed = views, b""

    @property
    def nbytes(self) -> int:
        """Bytes that are held."""
        return self._views.nbytes + len(self._packed)

    @property
    def views(self) -> Views:
        """The views with their masks."""
        return replace(self._views, masks=unpacked(self._packed)) if self._packed else self._views

    def pack(self) -> None:
        """Hold the masks compressed."""
        if not self._packed:
            self._packed = packed(self._views.masks)
            self._views = replace(self._views, masks=np.zeros(0, np.uint8))


@dataclass(frozen=True, slots=True, eq=False)
class Settled:
    """What is final: every object that reaches into the rows before `stop` is known, with all its pixels.

    `parts` are what lies there, `groups` (object,) GROUP the objects that they name, by rising id; `objects` those that
    begin in the rows that became final, in the rows `first_rows` (object,).
    """

    stop: int
    parts: tuple[Part, ...]
    groups: NDArray[np.void]
    objects: ObjectTable
    first_rows: NDArray[np.int64]


class Finished:
    """Finished objects, which wait for their rows to be final. They are numbered then, in order of their first pixels.

    Masks that wait for more than one row of tiles are held compressed.
    """

    def __init__(self, block: Block) -> None:
        """Begin with the block's first row."""
        self._stop, self._numbered = block.y.start, 0
        self._groups = np.zeros(0, GROUP)
        self._parts: list[Part] = []

    @property
    def nbytes(self) -> int:
        """Bytes that are held."""
        return self._groups.nbytes + sum(part.nbytes for part in self._parts)

    def add(self, groups: NDArray[np.void], views: Views) -> None:
        """Take objects (object,) GROUP with all their views."""
        self._groups = np.concatenate([self._groups, groups])
        self._groups = self._groups[np.argsort(self._groups["id"])]
        if len(views):
            self._parts.append(Part(views))

    def leave_out(self, views: Views) -> None:
        """Take views of what is no object, but might be one, had more of the scene been looked at."""
        if len(views):
            self._parts.append(Part(views, left_out=True))

    def settle(self, stop: int) -> Settled:
        """Number the objects that begin before row `stop`, say what lies there, and let go of what ends there."""
        groups = self._groups
        new = np.flatnonzero((groups["y"] < stop) & (groups["number"] == 0))
        new = new[np.lexsort((groups["x"][new], groups["y"][new]))]
        groups["number"][new] = np.arange(self._numbered + 1, self._numbered + len(new) + 1)
        self._numbered += len(new)
        fresh = groups[new]
        table = ObjectTable(
            fresh["number"].copy(),
            fresh["class_id"].copy(),
            fresh["score"].copy(),
            fresh["last_row"].copy(),
            fresh["cut"].copy() if fresh["cut"].any() else None,
        )
        settled = Settled(stop, tuple(p for p in self._parts if p.top < stop), groups, table, fresh["y"].copy())
        for part in self._parts:
            if part.top < self._stop or part.top >= stop:
                part.pack()
        self._parts = [part for part in self._parts if part.bottom > stop]
        self._groups = groups[(groups["last_row"] >= stop) | (groups["number"] == 0)]
        self._stop = stop
        return settled
