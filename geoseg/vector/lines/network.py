"""One class's lines: their pixels taken as they become known, and made into lines at the end."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geoseg.vector.lines import graph as linegraph
from geoseg.vector.lines import pieces as linepieces
from geoseg.vector.lines.bridge import bridge
from geoseg.vector.lines.ends import blunt
from geoseg.vector.lines.junctions import aligned
from geoseg.vector.lines.net import Limits, clean, contracted, join
from geoseg.vector.lines.pieces import Nodes, Pieces
from geoseg.vector.lines.shape import Frame, Lines, shape
from geoseg.vector.lines.skeleton import Skeleton, joined, taken

_CROSSING = 2.0  # radii of a junction within which a crossing may be that it is half of


class Network:
    """Centre pixels from top to bottom, kept as chains of steps, a byte a pixel."""

    def __init__(self, frame: Frame) -> None:
        """Expect the skeleton of that raster."""
        self._frame, self._rows = frame, frame.height
        self._parts: list[tuple[Nodes, Pieces]] = []
        self._waiting: list[tuple[Skeleton, NDArray[np.uint8]]] = []  # pixels of the last two rows at least
        self._linked = 0  # rows whose pixels are in chains

    def add(self, found: list[tuple[Skeleton, NDArray[np.uint8]]], end: int) -> None:
        """Take the pixels of the next rows, up to `end`, with their scores; parts may lie beside each other."""
        parts = [*self._waiting, *found]
        if not parts:
            self._linked = end - (end < self._rows)
            return
        skeleton = joined([part[0] for part in parts])
        order = np.lexsort((skeleton.x, skeleton.y))
        skeleton = taken(skeleton, order)
        scores = np.concatenate([part[1] for part in parts])[order]
        until = end - (end < self._rows)  # links of the last row need the next one
        self._parts.append(linepieces.cut(skeleton, scores, (self._linked, until), self._frame.walk.columns))
        last = skeleton.y >= until - 1
        self._waiting = [(taken(skeleton, last), scores[last])] if last.any() else []
        self._linked = until

    def lines(self, limits: Limits, gap_m: float) -> Lines:
        """The lines, when all rows are known, in no defined order."""
        frame = self._frame
        nodes, pieces = linepieces.joined(self._parts) if self._parts else linepieces.nothing()
        sizes, walk = frame.sizes, frame.walk
        graph = linegraph.assemble(nodes, pieces, walk)
        net = clean(graph, sizes, walk, limits)
        net = contracted(net, aligned(graph, net, sizes, walk, _CROSSING).point, sizes)
        graph, net = blunt(graph, aligned(graph, net, sizes, walk), sizes, walk)
        lines = shape(graph, net, frame)
        pairs = bridge(lines, net, frame, gap_m)
        if not len(pairs):
            return lines
        for one, other in pairs:
            join(net, one, other)
        net.degree[net.node[pairs.ravel()]] = 0
        return shape(graph, net, frame)
