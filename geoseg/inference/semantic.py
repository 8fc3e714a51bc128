"""The streaming pass: rows of pixels in, strips of classes out, everything overlapped through bounded queues."""

from __future__ import annotations

import queue
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from geoseg.core.protocols import RowReader, Strip, Within
from geoseg.core.values import Normalisation
from geoseg.inference.ahead import ahead
from geoseg.inference.chips import HELD_BYTES, Chip, RowDone, chips_of, tile_rows, wanted_of
from geoseg.inference.device import device_memory
from geoseg.inference.network import Feeder, Network, feeder
from geoseg.inference.stitch import Canvas, stitcher

DEPTH = 2  # items that wait between two stages


@dataclass(slots=True)
class Tally:
    """How many tiles a pass has predicted, and how many it has skipped because they hold no valid pixel."""

    predicted: int = 0
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass over a block: what is read, how it is normalised, what predicts, what is stitched, and where."""

    reader: RowReader
    norm: Normalisation
    network: Network
    canvas: Canvas
    batch_size: int
    region: Within | None = None
    tally: Tally = field(default_factory=Tally)


@dataclass(slots=True)
class _Batch:
    """Chips for one forward pass, and what to do with the scores, in order. Without chips, `feed` is None."""

    feed: Feeder | None
    steps: list[Chip | RowDone] = field(default_factory=list)

    @property
    def chips(self) -> int:
        return sum(isinstance(step, Chip) for step in self.steps)

    @property
    def held(self) -> int:
        return sum(s.valid.nbytes for s in self.steps if isinstance(s, RowDone) and s.valid is not None)


@dataclass(frozen=True, slots=True)
class _Scored:
    """A chip with its scores (channel, y, x) on the device."""

    chip: Chip
    scores: Tensor


def predict_strips(work: Pass, advance: Callable[[int, int], None]) -> Generator[Strip, None, None]:
    """Finished strips of the block, top to bottom; together they hold each of its rows once.

    `advance(tiles, pixels)` is told of each tile that is done or skipped, and of the pixels that became final. Closing
    the generator ends all threads.
    Raises ReadError, ModelError, GeosegError.
    """
    batches = ahead(_batches(work), DEPTH, "chips")
    scored = ahead(_scored(work, batches), DEPTH, "network")
    device = work.network.compute.device
    try:
        with device_memory(device, "making room for the blended scores"):
            stitch = stitcher(work.canvas, device)
        for step in scored:
            if isinstance(step, _Scored):
                with device_memory(device, "blending scores"):
                    stitch.add(step.chip.row, step.chip.column, step.scores)
                work.tally.predicted += 1
                advance(1, 0)
                continue
            work.tally.skipped += step.skipped
            with device_memory(device, "deciding classes"):
                strip = stitch.finish_row(step.row, step.valid)
            advance(step.skipped, strip.class_ids.size)
            if strip.y.size:
                yield strip
    finally:
        scored.close()
        batches.close()


def _batches(work: Pass) -> Iterator[tuple[_Batch, queue.SimpleQueue[Feeder]]]:
    """Batches of constant size in the global tile order, the last one partly filled; buffers go round."""
    tiling, block = work.canvas.tiling, work.canvas.block
    shape = (work.batch_size, work.reader.count, tiling.y.tile, tiling.x.tile)
    free: queue.SimpleQueue[Feeder] = queue.SimpleQueue()
    for _ in range(DEPTH + 2):
        free.put(feeder(work.norm, shape, work.reader.dtype, work.network.compute.device))
    batch, used = _Batch(None), 0
    for tile_row in tile_rows(work.reader, tiling, block):
        skipped = len(block.columns)
        wanted = wanted_of(tile_row, work.region, tiling, block)
        for column, start in chips_of(tile_row, wanted, tiling, block):
            if batch.feed is None:
                batch.feed = free.get_nowait()
            batch.feed.put(used, tile_row.pixels, tile_row.valid, start)
            batch.steps.append(Chip(used, tile_row.row, column))
            used += 1
            skipped -= 1
            if used == work.batch_size:
                yield batch, free
                batch, used = _Batch(None), 0
        batch.steps.append(RowDone(tile_row.row, skipped, wanted))
        if batch.held > HELD_BYTES or batch.feed is None:
            yield batch, free
            batch, used = _Batch(None), 0
    if batch.steps:
        yield batch, free


def _scored(work: Pass, batches: Iterator[tuple[_Batch, queue.SimpleQueue[Feeder]]]) -> Iterator[_Scored | RowDone]:
    """Each chip with its scores, and each end of a row, in order."""
    torch.set_num_threads(work.network.compute.threads)  # of this thread, too: the number is each thread's own
    for batch, free in batches:
        scores: Tensor | None = None
        if batch.feed is not None:
            with device_memory(work.network.compute.device, f"with {work.batch_size} chips"):
                inputs = batch.feed.inputs()
            scores = work.network(inputs)
            if scores.untyped_storage().data_ptr() == inputs.untyped_storage().data_ptr():
                scores = scores.clone()  # a network that hands its input on: the buffer goes round
            free.put(batch.feed)
        for step in batch.steps:
            if isinstance(step, RowDone):
                yield step
            elif scores is not None:
                yield _Scored(step, scores[step.slot])
