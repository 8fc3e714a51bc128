"""Objects told apart by a class for where they end: a watershed of strips, as they come."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator

import numpy as np
from numpy.typing import NDArray

from geoseg.core.classes import NODATA, ClassSet
from geoseg.core.protocols import Strip
from geoseg.core.tiling import Span
from geoseg.inference.separation import giving, kernels
from geoseg.inference.separation.waiting import Settled, Waiting

CHUNK_PIXELS = 1 << 20  # the watershed runs after so many pixels, or as many as wait


Rim = Callable[[Span], NDArray[np.bool_]]


def separate(
    strips: Iterator[Strip], classes: ClassSet, width: int, rows: Span, rim: Rim | None = None
) -> Generator[Strip, None, None]:
    """The strips of rows `rows`, later and of other heights, with the objects that the classes' separator tells apart.

    Each 4-connected part of the pixels of one class of things is the marker of one object. Pixels of the separator go
    to the marker with the fewest steps through the separator (4-connected), of several to that whose first pixel comes
    first; where no marker can be reached they become background, nodata where there is none. That is the watershed by
    flooding from markers (Vincent and Soille 1991; Meyer 1994) of the geodesic distance within the separator. All else
    stays as it is. Objects count from 1 in the order of their first pixels, row by row; the result is the same for
    strips of any height.

    An object's score is the mean of its marker's pixels: elsewhere the scores are the separator's. Its pixels bear it;
    without scores it is NaN.

    A row is given when every object in it is settled: its marker has ended, and nothing below can be nearer to its
    pixels, which is known a few rows later. So memory is that of the rows from the first pixel of the oldest object
    that goes on (some 25 bytes a pixel, twice as many rows at most), however far a net of boundaries reaches. The rows
    themselves, 5 to 7 bytes a pixel, may take `waiting.MOST_BYTES`. Time is linear in the pixels.

    Where less than the scene is computed, `rim` gives the pixels (y, x) of rows that have a neighbour (of four) in the
    scene that is not computed; None where there is none. What is as near to the unknown as to any marker, in steps
    through the separator, is nobody's: its `instance_ids` are -1. Objects beside those pixels, markers at the rim and
    objects that tie with one of those are listed as `cut`. All others are those of the whole scene, but for numbers.

    Raises ResourceError where an object is so tall that more rows wait than memory should hold.
    Raises ValueError where there is no separator, or strips do not follow one another, are of another width, or only
    some come with scores.
    """
    watershed = _Watershed(classes, width, rows, rim)
    try:
        for strip in strips:
            yield from watershed.feed(strip)
        yield from watershed.finish()
    finally:
        if isinstance(strips, Generator):
            strips.close()


class _Watershed:
    def __init__(self, classes: ClassSet, width: int, rows: Span, rim: Rim | None) -> None:
        if classes.separator is None:
            raise ValueError("the classes have no separator; expected the id of a class for where objects end")
        self._kinds = np.full(NODATA + 1, kernels.WALL, np.uint8)
        self._kinds[[c.id for c in classes.foreground if c.kind == "thing"]] = kernels.THING
        self._kinds[classes.separator] = kernels.SEPARATOR
        self._nothing = NODATA if classes.background is None else classes.background
        self._rows, self._next = rows, rows.start
        self._waiting = Waiting(width, rows.start)
        self._settled = Settled()
        self._new = self._left = 0  # pixels since the last run, and that it left
        self._scored: bool | None = None
        self._rim = rim

    def feed(self, strip: Strip) -> Iterator[Strip]:
        """The rows that are settled, now that these are known."""
        self._check(strip)
        step = max(1, CHUNK_PIXELS // max(1, strip.class_ids.shape[1]))
        for start in range(0, strip.y.size, step):
            part = slice(start, start + step)
            ids, scores = strip.class_ids[part], None if strip.scores is None else strip.scores[part]
            y = Span(strip.y.start + start, strip.y.start + start + len(ids))
            self._waiting.append(ids, scores, None if self._rim is None else self._rim(y).astype(np.uint8))
            self._new += strip.class_ids[part].size
            if self._new >= max(CHUNK_PIXELS, self._left):
                yield from self._run(last=False)

    def finish(self) -> Iterator[Strip]:
        """All rows that are left. Raises ValueError where some are missing."""
        if self._next != self._rows.stop:
            raise ValueError(f"found rows up to {self._next}; expected them up to {self._rows.stop}")
        yield from self._run(last=True)

    def _check(self, strip: Strip) -> None:
        shape = (strip.y.size, self._waiting.width)
        if strip.y.start != self._next or strip.y.stop > self._rows.stop or strip.class_ids.shape != shape:
            raise ValueError(
                f"found rows {strip.y.start} to {strip.y.stop} of shape {strip.class_ids.shape}; expected rows from "
                f"{self._next} on, {self._waiting.width} wide, up to {self._rows.stop}"
            )
        if self._scored not in (None, strip.scores is not None):
            raise ValueError("either all strips come with scores, or none does")
        self._scored, self._next = strip.scores is not None, strip.y.stop

    def _run(self, *, last: bool) -> Iterator[Strip]:
        """Settle what can be, and give the rows before the first that is not."""
        held = self._waiting.held
        if not len(held.class_ids):
            return
        labels, ends = self._flooded(held, last)
        found = giving.measure(held, self._kinds, labels, len(ends.open) - 1)
        numbers = self._settled.add(found, ends, self._waiting.first, bool(self._scored))
        ready = giving.settle(held, self._kinds, labels, numbers, found)
        del labels
        step = max(1, CHUNK_PIXELS // self._waiting.width)
        for start in range(0, ready, step):
            yield self._given(held, Span(start, min(ready, start + step)))
        self._waiting.drop(ready)
        self._settled.compact(self._waiting.first, self._waiting.held.settled)
        self._new, self._left = 0, self._waiting.held.class_ids.size

    def _flooded(self, held: kernels.Held, last: bool) -> tuple[NDArray[np.int32], kernels.Ends]:
        """The markers (y, x) of what was not settled, and what is known of them; 0 is no marker."""
        most, separators = kernels.count(held, self._kinds)
        shape, kinds, drained = held.class_ids.shape, self._kinds, (self._nothing, last)
        labels, steps = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
        queue, far = np.empty(separators, np.int64), self._far(held, separators)
        flooded = kernels.Flooded(labels, steps, np.zeros(shape, np.uint8), far, queue)
        markers = kernels.mark(held, kinds, labels, most)
        if markers < 0:
            raise RuntimeError(f"found more than {most} labels of markers; expected no more than were counted")
        below = np.zeros(markers + 1, np.bool_) if last else kernels.touching(labels, markers)
        ends = kernels.Ends(below, np.zeros(markers + 1, np.bool_))
        if len(far):
            kernels.at_rim(held, labels, ends.cut)
        reached = kernels.flood(held, kinds, flooded, ends)
        if len(far):
            kernels.leave_unknown(flooded)
        if not last:
            kernels.keep_open(flooded, reached, ends.open)
        kernels.drain(held, kinds, flooded, reached, drained)
        if len(far):
            kernels.keep_cut(held, kinds, flooded, ends, last)
            kernels.settle_unknown(held, flooded, drained)
        return labels, ends

    def _far(self, held: kernels.Held, separators: int) -> NDArray[np.int32]:
        """The steps (y, x) from the separator's pixels to the unknown; no rows where all is known."""
        if not len(held.rim):
            return np.zeros((0, self._waiting.width), np.int32)
        far, queue = np.zeros(held.class_ids.shape, np.int32), np.empty(separators, np.int64)
        seeds = queue[: kernels.sources(held, self._kinds, far, queue)]
        kernels.wade(held, self._kinds, far, seeds[np.argsort(far.ravel()[seeds], kind="stable")])
        return far

    def _given(self, held: kernels.Held, y: Span) -> Strip:
        """Some settled rows, counted from the first that is held."""
        rows = slice(y.start, y.stop)
        part = held._replace(
            class_ids=held.class_ids[rows].copy(), scores=held.scores[rows].copy(), settled=held.settled[rows]
        )
        instances, objects = self._settled.numbered(part)
        first = self._waiting.first
        scores = part.scores if self._scored else None
        return Strip(Span(first + y.start, first + y.stop), part.class_ids, scores, instances, objects)
