"""Where tiles start. This is the only place in geoseg that computes it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from geoseg.errors import SpecError


@dataclass(frozen=True, slots=True)
class Span:
    """A half-open range of pixels along one axis."""

    start: int
    stop: int

    @property
    def size(self) -> int:
        """Number of pixels."""
        return self.stop - self.start

    def clip(self, other: Span) -> Span:
        """The part inside `other`; empty (size 0) when they do not meet."""
        start = min(max(self.start, other.start), other.stop)
        return Span(start, max(start, min(self.stop, other.stop)))


@dataclass(frozen=True, slots=True)
class Axis:
    """Tiles along one axis of `size` pixels: regular starts, the fewest tiles that cover.

    The last tile may reach beyond the axis. `overlap` is at most half of `tile`, so that no pixel lies in more than
    two tiles of an axis.
    """

    size: int
    tile: int
    overlap: int

    def __post_init__(self) -> None:
        """Refuse sizes for which the promises above cannot hold."""
        if self.size < 1 or self.tile < 1:
            raise SpecError(f"a tiling needs at least one pixel: found size {self.size}, tile {self.tile}")
        if not 0 <= self.overlap <= self.tile // 2:
            raise SpecError(
                f"overlap {self.overlap} does not fit tile {self.tile}: expected 0 to {self.tile // 2}; "
                "choose a larger tile or a smaller overlap"
            )

    @property
    def stride(self) -> int:
        """Pixels between the starts of neighbouring tiles."""
        return self.tile - self.overlap

    @property
    def count(self) -> int:
        """Number of tiles."""
        return max(1, -(-(self.size - self.overlap) // self.stride))

    def span(self, index: int) -> Span:
        """Pixels of one tile; the last tile's stop may lie beyond the axis."""
        start = index * self.stride
        return Span(start, start + self.tile)

    def touching(self, pixels: Span) -> range:
        """Indices of the tiles that hold at least one pixel of `pixels`."""
        inside = pixels.clip(Span(0, self.size))
        if inside.size == 0:
            return range(0)
        first = max(0, -(-(inside.start - self.tile + 1) // self.stride))
        last = min(self.count - 1, (inside.stop - 1) // self.stride)
        return range(first, last + 1)

    def final(self, index: int) -> int:
        """First pixel that a tile after `index` can still change; the axis' size after the last one."""
        return self.size if index >= self.count - 1 else min(self.size, (index + 1) * self.stride)


@dataclass(frozen=True, slots=True)
class Tile:
    """A place in the scene: its indices in the grid of tiles and the pixels it covers."""

    row: int
    column: int
    y: Span
    x: Span


@dataclass(frozen=True, slots=True)
class Block:
    """The unit of distribution and of resume: the pixels that it owns, and the tiles needed to know them."""

    y: Span
    x: Span
    rows: range
    columns: range


@dataclass(frozen=True, slots=True)
class Tiling:
    """The tiles of a scene: `y` and `x` are its two axes. Tiles are ordered by row, then column."""

    y: Axis
    x: Axis

    @classmethod
    def over(cls, shape: tuple[int, int], tile: int, overlap: int) -> Tiling:
        """The tiling of a scene of `shape` (height, width) by square tiles, all in pixels."""
        return cls(Axis(shape[0], tile, overlap), Axis(shape[1], tile, overlap))

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the scene in pixels."""
        return self.y.size, self.x.size

    @property
    def count(self) -> int:
        """Number of tiles."""
        return self.y.count * self.x.count

    def tile(self, row: int, column: int) -> Tile:
        """The tile at one place of the grid of tiles."""
        return Tile(row, column, self.y.span(row), self.x.span(column))

    def __iter__(self) -> Iterator[Tile]:
        """All tiles in the global order."""
        return (self.tile(row, column) for row in range(self.y.count) for column in range(self.x.count))

    def block(self, y: Span, x: Span) -> Block:
        """The block that owns the given pixels."""
        return Block(y, x, self.y.touching(y), self.x.touching(x))

    def whole(self) -> Block:
        """The block that owns the whole scene."""
        return self.block(Span(0, self.y.size), Span(0, self.x.size))

    def blocks(self, tiles: tuple[int, int]) -> Iterator[Block]:
        """Blocks of about `tiles` (rows, columns) tiles, in order; together they own every pixel exactly once."""
        for y in _cuts(self.y, tiles[0]):
            for x in _cuts(self.x, tiles[1]):
                yield self.block(y, x)


def _cuts(axis: Axis, tiles: int) -> Iterator[Span]:
    step = max(1, tiles) * axis.stride
    starts = list(range(0, axis.size, step))
    if len(starts) > 1 and axis.size - starts[-1] <= axis.overlap:
        starts.pop()  # the rest lies inside the last tile of the block before it
    for start, stop in zip(starts, [*starts[1:], axis.size], strict=True):
        yield Span(start, stop)


def reflect(index: int, size: int) -> int:
    """The pixel in 0..size-1 that stands for pixel `index` when the axis is mirrored at its last pixel."""
    if size == 1:
        return 0
    period = 2 * (size - 1)
    index %= period
    return index if index < size else period - index
