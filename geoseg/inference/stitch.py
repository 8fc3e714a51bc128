"""Chips back to one raster: scores are blended where tiles overlap and decided as soon as they are final."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from geoseg.core.classes import NODATA
from geoseg.core.protocols import Strip
from geoseg.core.tiling import Axis, Block, Span, Tiling
from geoseg.core.values import SCORE_UNIT, Decision
from geoseg.core.window import window
from geoseg.errors import GeosegError
from geoseg.inference.kernels import blend_and_decide


@dataclass(frozen=True, slots=True)
class Canvas:
    """What is stitched: the tiling, the block of it, how scores become classes, and whether scores are wanted."""

    tiling: Tiling
    block: Block
    decision: Decision
    with_scores: bool

    @property
    def extent(self) -> Span:
        """Columns from the first tile's start to the last tile's stop, which may lie beyond the scene."""
        columns = self.block.columns
        return Span(self.tiling.x.span(columns[0]).start, self.tiling.x.span(columns[-1]).stop)

    def rows_of(self, row: int) -> Span:
        """The block's rows that are final once tile row `row` is done, and were not before."""
        start = row * self.tiling.y.stride if row > self.block.rows[0] else self.block.y.start
        stop = self.block.y.stop if row == self.block.rows[-1] else self.tiling.y.final(row)
        return Span(start, stop).clip(self.block.y)


class Stitcher(Protocol):
    """Takes the scores of tiles in the global order; a tile that is never added must hold no valid pixel."""

    def add(self, row: int, column: int, scores: torch.Tensor) -> None:
        """Blend the scores (channel, y, x) of one tile."""
        ...

    def finish_row(self, row: int, valid: NDArray[np.bool_] | None) -> Strip:
        """The rows that became final. `valid` (y, x) covers the whole tile row, columns from the extent's start."""
        ...


def stitcher(canvas: Canvas, device: torch.device) -> Stitcher:
    """The stitcher for a device: one fused kernel on the CPU, tensors elsewhere. Both do the same additions."""
    return KernelStitcher(canvas) if device.type == "cpu" else TensorStitcher(canvas, device)


def _final(axis: Axis, index: int) -> int:
    """Number of a tile's pixels, from its start, that no later tile touches."""
    return axis.tile if index == axis.count - 1 else axis.stride


def _windows(axis: Axis) -> dict[tuple[bool, bool], NDArray[np.float32]]:
    return {
        (first, last): window(axis.tile, axis.overlap, first=first, last=last)
        for first in (False, True)
        for last in (False, True)
    }


def _weights(windows: dict[tuple[bool, bool], NDArray[np.float32]], axis: Axis, index: int) -> NDArray[np.float32]:
    return windows[index == 0, index == axis.count - 1]


class KernelStitcher:
    """Stitching on the CPU. Memory: channels x overlap x width, plus one tile."""

    def __init__(self, canvas: Canvas) -> None:
        """Allocate the ring."""
        self._canvas = canvas
        tiling, decision = canvas.tiling, canvas.decision
        channels, width = len(decision.ids), canvas.extent.size
        self._ring = np.zeros((channels, tiling.y.overlap, width), np.float32)
        self._carried = np.zeros((channels, tiling.y.tile, tiling.x.overlap), np.float32)
        self._wy, self._wx = _windows(tiling.y), _windows(tiling.x)
        self._ids = np.array(decision.ids, np.uint8)
        threshold = -1.0 if decision.threshold is None else decision.threshold
        shown = decision.foreground[0] if decision.binary else -1
        self._rule = np.array(
            [threshold, -1 if decision.background is None else decision.background, shown], np.float32
        )
        self._new_row()

    def _new_row(self) -> None:
        shape = (self._canvas.tiling.y.tile, self._canvas.extent.size)
        self._classes = np.full(shape, NODATA, np.uint8)
        self._best = np.full(shape if self._canvas.with_scores else (shape[0], 0), NODATA, np.uint8)

    def add(self, row: int, column: int, scores: torch.Tensor) -> None:
        """Blend the scores (channel, y, x) of one tile. Raises GeosegError when they are not numbers."""
        tiling, block = self._canvas.tiling, self._canvas.block
        place = np.array(
            [
                tiling.x.span(column).start - self._canvas.extent.start,
                tiling.x.overlap if column > block.columns[0] else 0,
                tiling.y.overlap if row > block.rows[0] else 0,
                _final(tiling.y, row),
                _final(tiling.x, column),
                self._canvas.with_scores,
            ],
            np.int64,
        )
        undecided = blend_and_decide(
            scores.contiguous().numpy(),
            _weights(self._wy, tiling.y, row),
            _weights(self._wx, tiling.x, column),
            place,
            self._ring,
            self._carried,
            self._ids,
            self._rule,
            self._classes,
            self._best,
        )
        if undecided:
            raise not_numbers(row, column)

    def finish_row(self, row: int, valid: NDArray[np.bool_] | None) -> Strip:
        """The rows that became final."""
        strip = cut(self._canvas, row, self._classes, self._best if self._canvas.with_scores else None, valid)
        self._new_row()
        return strip


class TensorStitcher:
    """Stitching where the scores are: on a GPU, so that only classes come back."""

    def __init__(self, canvas: Canvas, device: torch.device) -> None:
        """Allocate the ring on the device."""
        self._canvas = canvas
        tiling = canvas.tiling
        self._sums = torch.zeros((len(canvas.decision.ids), tiling.y.tile, canvas.extent.size), device=device)
        self._ids = torch.tensor(canvas.decision.ids, dtype=torch.uint8, device=device)
        self._foreground = torch.tensor(canvas.decision.foreground, dtype=torch.int64, device=device)
        background = canvas.decision.background
        self._background = torch.tensor(NODATA if background is None else background, dtype=torch.uint8, device=device)

        def on_device(axis: Axis) -> dict[tuple[bool, bool], torch.Tensor]:
            return {key: torch.from_numpy(value).to(device) for key, value in _windows(axis).items()}

        self._wy, self._wx = on_device(tiling.y), on_device(tiling.x)

    def add(self, row: int, column: int, scores: torch.Tensor) -> None:
        """Blend the scores (channel, y, x) of one tile."""
        axis_y, axis_x = self._canvas.tiling.y, self._canvas.tiling.x
        wy = self._wy[row == 0, row == axis_y.count - 1]
        wx = self._wx[column == 0, column == axis_x.count - 1]
        start = axis_x.span(column).start - self._canvas.extent.start
        self._sums[:, :, start : start + axis_x.tile] += (wy[:, None] * wx) * scores

    def finish_row(self, row: int, valid: NDArray[np.bool_] | None) -> Strip:
        """The rows that became final; the ring rolls on. Raises GeosegError when scores are not numbers."""
        rows = _final(self._canvas.tiling.y, row)
        classes, best = self._decide(self._sums[:, :rows], row)
        carried = self._sums[:, rows:].clone()
        self._sums.zero_()
        self._sums[:, : carried.shape[1]] = carried
        scores = best.cpu().numpy() if best is not None else None
        return cut(self._canvas, row, classes.cpu().numpy(), scores, valid)

    def _decide(self, sums: torch.Tensor, row: int) -> tuple[torch.Tensor, torch.Tensor | None]:
        decision = self._canvas.decision
        if torch.isnan(sums.sum(0)).any():
            raise not_numbers(row, None)
        if decision.threshold is None:
            high, winner = sums.max(0)
            classes = self._ids[winner]
        else:
            high, winner = sums.index_select(0, self._foreground).max(0)
            classes = self._ids[self._foreground][winner]
            classes = torch.where(high < decision.threshold, self._background, classes)
        if not self._canvas.with_scores:
            return classes, None
        shown = sums[decision.foreground[0]] if decision.binary else high
        return classes, (shown.clamp(0, 1) * SCORE_UNIT + 0.5).to(torch.uint8)


def not_numbers(row: int, column: int | None) -> GeosegError:
    """The error for scores that are NaN."""
    place = f"tile row {row}" if column is None else f"tile row {row}, column {column}"
    return GeosegError(
        f"the network's scores at {place} are not numbers: found NaN, expected 0 to 1; "
        "run again with --precision fp32, and check the bundle with `geoseg models verify`"
    )


def cut(
    canvas: Canvas,
    row: int,
    classes: NDArray[np.uint8],
    scores: NDArray[np.uint8] | None,
    valid: NDArray[np.bool_] | None,
) -> Strip:
    """The strip of a finished tile row: the block's own pixels, nodata where nothing is valid."""
    rows = canvas.rows_of(row)
    top = row * canvas.tiling.y.stride
    window = (
        slice(rows.start - top, rows.stop - top),
        slice(canvas.block.x.start - canvas.extent.start, canvas.block.x.stop - canvas.extent.start),
    )

    def taken(values: NDArray[Any]) -> NDArray[np.uint8]:
        part: NDArray[np.uint8] = values[window]
        if valid is not None:
            part = np.where(valid[window], part, np.uint8(NODATA))
        return part

    return Strip(rows, taken(classes), taken(scores) if scores is not None else None)
