"""A scene and what training may see of it, with an index from which pixels of a class are drawn."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray

from geoseg.core.classes import NODATA
from geoseg.core.tiling import Span
from geoseg.io.outputs import STAGED, writing
from geoseg.io.region import RegionMask
from geoseg.training.data.ground import Ground
from geoseg.training.data.places import Rectangle
from geoseg.training.data.store import ArrayFile, mapped

CELL = 64  # pixels a side of the squares that the index counts
ANY = 0  # what the pixels of a scene without labels count as


@dataclass(frozen=True, slots=True, eq=False)
class Plot:
    """A scene by its number in the run, its blocks for validation, and what training sees.

    `seen` (y, x) bool is None where that is all. `ids` are the classes that training sees, and `totals` (class, cell)
    int64 their pixels in all cells so far, cells counted row by row; a scene without labels has one class of all its
    valid pixels.
    """

    index: int
    ground: Ground
    blocks: tuple[Rectangle, ...]
    seen: NDArray[np.bool_] | None
    ids: tuple[int, ...]
    totals: NDArray[np.int64]

    @property
    def counts(self) -> dict[int, int]:
        """Pixels of each class that training sees, by id; valid pixels as class 0 of a scene without labels."""
        return {class_id: int(total[-1]) for class_id, total in zip(self.ids, self.totals, strict=True)}

    @property
    def known_pixels(self) -> int:
        """Pixels that training sees and that have a class; valid ones of a scene without labels."""
        return sum(self.counts.values())

    @property
    def hidden_share(self) -> float:
        """The share of all pixels that training may not see."""
        return 0.0 if self.seen is None else 1 - float(np.count_nonzero(self.seen)) / self.seen.size

    @property
    def validation_pixels(self) -> int:
        """Pixels with a class in the blocks."""
        return sum(int(np.count_nonzero(self.ground.classes_at(y, x) != NODATA)) for y, x in self.blocks)

    def pixel(self, class_id: int, share: float) -> tuple[int, int]:
        """The pixel (y, x) of a class at a share (0 to below 1) of all of its pixels."""
        total = self.totals[self.ids.index(class_id)]
        number = min(int(share * total[-1]), int(total[-1]) - 1)
        cell = int(np.searchsorted(total, number, side="right"))
        before = int(total[cell - 1]) if cell else 0
        y, x = self._cell(cell)
        found = np.flatnonzero(_marks(self.ground, self.seen, y, x) == class_id)[number - before]
        return y.start + int(found) // x.size, x.start + int(found) % x.size

    def _cell(self, number: int) -> tuple[Span, Span]:
        height, width = self.ground.shape
        row, column = divmod(number, -(-width // CELL))
        starts = row * CELL, column * CELL
        y, x = (Span(s, s + CELL).clip(Span(0, n)) for s, n in zip(starts, (height, width), strict=True))
        return y, x


def make_plot(index: int, ground: Ground, blocks: tuple[Rectangle, ...], hidden: RegionMask | None) -> Plot:
    """The plot of a ground of which `hidden` is kept from training."""
    seen = None if hidden is None else _seen(ground, hidden)
    ids = tuple(sorted(ground.known.counts)) if ground.labelled else (ANY,)
    counts = _cell_counts(ground, seen, ids)
    used = [i for i in range(len(ids)) if counts[i].any()]
    totals = np.cumsum(counts[used], axis=1)
    return Plot(index, ground, blocks, seen, tuple(ids[i] for i in used), totals)


def _seen(ground: Ground, hidden: RegionMask) -> NDArray[np.bool_]:
    """What is not hidden (y, x), mapped from a file beside the ground's others."""
    name = f"seen-{hashlib.sha256(b''.join(shapely.to_wkb(hidden.polygons))).hexdigest()[:16]}"
    if not (ground.folder / f"{name}.npy").is_file():
        staged = ground.folder / f"{STAGED}{name}-{secrets.token_hex(4)}"
        with writing(ground.folder / name):
            try:
                _write_seen(ground, hidden, staged)
                staged.replace(ground.folder / f"{name}.npy")
            finally:
                staged.unlink(missing_ok=True)
    return mapped(ground.folder, name)


def _write_seen(ground: Ground, hidden: RegionMask, path: Path) -> None:
    height, width = ground.shape
    file = ArrayFile(path, (height, width), np.dtype(np.bool_))
    try:
        for start in range(0, height, CELL * 8):
            y = Span(start, min(start + CELL * 8, height))
            file.write(start, ~hidden.mask(ground.grid, y, Span(0, width)))
    finally:
        file.close()


def _cell_counts(ground: Ground, seen: NDArray[np.bool_] | None, ids: tuple[int, ...]) -> NDArray[np.int64]:
    """Pixels of each class in each cell: (class, cell)."""
    height, width = ground.shape
    across = -(-width // CELL)
    columns = (np.arange(width) // CELL) * 256
    rows = []
    for start in range(0, height, CELL):
        marks = _marks(ground, seen, Span(start, min(start + CELL, height)), Span(0, width))
        counted = np.bincount((columns + marks).ravel(), minlength=across * 256).reshape(across, 256)
        rows.append(counted[:, list(ids)])
    return np.ascontiguousarray(np.concatenate(rows).T, np.int64)


def _marks(ground: Ground, seen: NDArray[np.bool_] | None, y: Span, x: Span) -> NDArray[np.uint8]:
    """The classes of a window as training sees them: 255 where it does not."""
    part = slice(y.start, y.stop), slice(x.start, x.stop)
    if ground.labelled:
        marks = np.array(ground.classes[part])
    else:
        marks = np.where(ground.valid[part], np.uint8(ANY), np.uint8(NODATA))
    if seen is not None:
        marks[~seen[part]] = NODATA
    return marks
