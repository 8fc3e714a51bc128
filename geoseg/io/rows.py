"""Runs of rows, read ahead by threads: each of a file's blocks is decoded once, however the rows are cut.

Threads work on units: bands of rows that lie on the file's own blocks. A unit is read piece by piece, straight into the
arrays of the runs of rows that it meets; a second piece of a block comes out of GDAL's cache. What is resampled is
computed in cells that depend on the grid alone, so that no pixel depends on how the rows were cut.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from odc.geo.geobox import GeoBox

from geoseg.core.protocols import BadBlock, Rows
from geoseg.core.tiling import Span
from geoseg.errors import ReadError
from geoseg.io.assembly import Selection, Target, assemble
from geoseg.io.cells import Cells, cells_for
from geoseg.io.patches import Patches, joined
from geoseg.io.raster import session

BadBlocks = Literal["error", "nodata"]


@dataclass(frozen=True, slots=True)
class Reading:
    """How to read: by how many threads, and what to do about bad blocks."""

    threads: int = 2
    on_bad_block: BadBlocks = "error"


class SceneRows:
    """Reads rows of a scene on one grid (a `core.protocols.RowReader`)."""

    def __init__(self, selection: Selection, grid: GeoBox, reading: Reading) -> None:
        """Nothing is opened before `rows` is called."""
        self.grid = grid
        self._selection = selection
        self._reading = reading
        self._assembly = assemble(selection, grid)
        self._bad: dict[tuple[str, Span, Span], BadBlock] = {}

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return int(self.grid.shape[0]), int(self.grid.shape[1])

    @property
    def count(self) -> int:
        """Number of bands."""
        return len(self._selection.bidx)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of what comes back."""
        return self._selection.dtype

    @property
    def bad_blocks(self) -> list[BadBlock]:
        """Windows of files that could not be read so far, in the files' own pixels, in order; neighbours are one."""
        return joined(list(self._bad.values()))

    @cached_property
    def _cells(self) -> Cells:
        return cells_for(self._assembly, self.shape, self.count * self.dtype.itemsize)

    def rows(self, spans: Sequence[Span], x: Span) -> Iterator[Rows]:
        """The rows of each span, columns `x` only, in order; spans rise and do not overlap. Raises ReadError.

        The threads stay at most `threads` + 1 spans ahead of the one that was handed out last.
        """
        cells, threads = self._cells, self._threads()
        workers = _Workers(self, threads)
        targets: dict[int, Target] = {}
        waiting: dict[int, list[Future[None]]] = {}
        units, following = _units(cells.rows, spans), 0
        try:
            for index, span in enumerate(spans):
                ahead = spans[min(index + threads + 1, len(spans) - 1)].stop
                while following < len(units) and units[following].y.start < ahead:
                    unit = units[following]
                    for i in unit.targets:
                        targets.setdefault(i, self._target(spans[i], x))
                    future = workers.submit(unit.y, [targets[i] for i in unit.targets])
                    for i in unit.targets:
                        waiting.setdefault(i, []).append(future)
                    following += 1
                for future in waiting.pop(index, []):
                    future.result()
                done = targets.pop(index, None) or self._target(span, x)
                yield Rows(span, done.pixels, done.valid)
        finally:
            workers.close()

    def _threads(self) -> int:
        return 1 if self._cells.sequential else max(1, self._reading.threads)

    def _target(self, span: Span, x: Span) -> Target:
        return Target(span, x, np.empty((self.count, span.size, x.size), dtype=self.dtype))

    def fill(self, patches: Patches, y: Span, targets: Sequence[Target]) -> None:
        """Read one unit of rows into the targets that it meets."""
        with session(self._cells.cache_bytes):
            for x in self._cells.across(targets[0].x):
                wanted = [(t, t.y.clip(y), t.x.clip(x)) for t in targets]
                self._fill_cell(patches, (y, x), wanted)

    def _fill_cell(
        self, patches: Patches, cell: tuple[Span, Span], wanted: Sequence[tuple[Target, Span, Span]]
    ) -> None:
        if self._assembly.direct:
            for target, y, x in wanted:
                target.restrict(y, x, self._assembly.read(patches, y, x, target.view(y, x)))
            return
        pixels = np.empty((self.count, cell[0].size, cell[1].size), dtype=self.dtype)
        valid = self._assembly.read(patches, *cell, pixels)
        for target, y, x in wanted:
            inside = (
                slice(y.start - cell[0].start, y.stop - cell[0].start),
                slice(x.start - cell[1].start, x.stop - cell[1].start),
            )
            target.view(y, x)[...] = pixels[:, *inside]
            target.restrict(y, x, None if valid is None else valid[inside])

    def take_note(self, bad: BadBlock) -> None:
        """Remember a window that cannot be read, or raise ReadError."""
        if self._reading.on_bad_block == "error":
            raise ReadError(
                f"{bad.path}: rows {bad.y.start} to {bad.y.stop - 1}, columns {bad.x.start} to {bad.x.stop - 1} cannot "
                f"be read ({bad.reason}); the file is damaged or incomplete: copy or download it again, or go on "
                "without these pixels with --on-bad-block nodata"
            )
        self._bad.setdefault((bad.path, bad.y, bad.x), bad)


class _Workers:
    """Threads that fill units, each with its own open files."""

    def __init__(self, reader: SceneRows, threads: int) -> None:
        self._reader = reader
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="geoseg-read")
        self._local = threading.local()
        self._all: list[Patches] = []

    def submit(self, y: Span, targets: Sequence[Target]) -> Future[None]:
        return self._pool.submit(self._fill, y, targets)

    def _fill(self, y: Span, targets: Sequence[Target]) -> None:
        patches = getattr(self._local, "patches", None)
        if patches is None:
            patches = self._local.patches = Patches(self._reader.take_note)
            self._all.append(patches)
        self._reader.fill(patches, y, targets)

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        for patches in self._all:
            patches.close()


@dataclass(frozen=True, slots=True)
class _Unit:
    y: Span
    targets: tuple[int, ...]


def _units(edges: Sequence[int], spans: Sequence[Span]) -> list[_Unit]:
    """The units that the spans meet, in order, each with the indices of those spans."""
    met: dict[int, list[int]] = {}
    for index, span in enumerate(spans):
        for unit in range(bisect_right(edges, span.start) - 1, len(edges) - 1):
            if edges[unit] >= span.stop:
                break
            met.setdefault(unit, []).append(index)
    return [_Unit(Span(edges[unit], edges[unit + 1]), tuple(indices)) for unit, indices in sorted(met.items())]
