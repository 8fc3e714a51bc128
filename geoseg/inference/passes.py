"""What every pass over a block shares: pixels are read and stacked in one thread, the network answers in another."""

from __future__ import annotations

import queue
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import torch
from torch import Tensor

from geoseg.core.protocols import RowReader, Within
from geoseg.core.values import Normalisation
from geoseg.inference.ahead import ahead
from geoseg.inference.chips import HELD_BYTES, Chip, RowDone, beyond_of, chips_of, tile_rows, wanted_of
from geoseg.inference.device import device_memory
from geoseg.inference.network import Feeder, Network, feeder
from geoseg.inference.stitch import Canvas

DEPTH = 2  # items that wait between two stages
T = TypeVar("T")
Ask = Callable[[Tensor], Callable[[Chip], T]]  # a batch's inputs to what the network says of each of its chips


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
    """Chips for one forward pass, and what to do with the answers, in order. Without chips, `feed` is None."""

    feed: Feeder | None
    steps: list[Chip | RowDone] = field(default_factory=list)

    @property
    def held(self) -> int:
        masks = [mask for s in self.steps if isinstance(s, RowDone) for mask in (s.valid, s.beyond)]
        return sum(mask.nbytes for mask in masks if mask is not None)


_Queued = tuple[_Batch, queue.SimpleQueue[Feeder]]


@contextmanager
def answers(work: Pass, ask: Ask[T]) -> Iterator[Iterator[tuple[Chip, T] | RowDone]]:
    """Each chip with what the network says of it, and each end of a tile row, in the global tile order.

    `ask` runs in the network's thread; what it gives must not share memory with the inputs, whose buffers go round.
    Leaving the context ends all threads. Iterating raises ReadError, ModelError, GeosegError.
    """
    batches = ahead(_batches(work), DEPTH, "chips")
    answered = ahead(_answered(work, batches, ask), DEPTH, "network")
    try:
        yield answered
    finally:
        answered.close()
        batches.close()


def own(scores: Tensor, inputs: Tensor) -> Tensor:
    """The scores, copied when a network hands its input on: the input's buffer goes round."""
    shared = scores.untyped_storage().data_ptr() == inputs.untyped_storage().data_ptr()
    return scores.clone() if shared else scores


def _batches(work: Pass) -> Generator[_Queued, None, None]:
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
        rim = beyond_of(tile_row, work.region, tiling, block) if work.network.card.kind != "semantic" else None
        batch.steps.append(RowDone(tile_row.row, skipped, wanted, rim))
        if batch.held > HELD_BYTES or batch.feed is None:
            yield batch, free
            batch, used = _Batch(None), 0
    if batch.steps:
        yield batch, free


def _answered(work: Pass, batches: Iterator[_Queued], ask: Ask[T]) -> Generator[tuple[Chip, T] | RowDone, None, None]:
    """Each chip with its answer, and each end of a row, in order."""
    torch.set_num_threads(work.network.compute.threads)  # of this thread, too: the number is each thread's own
    for batch, free in batches:
        answer: Callable[[Chip], T] | None = None
        if batch.feed is not None:
            with device_memory(work.network.compute.device, f"with {work.batch_size} chips"):
                inputs = batch.feed.inputs()
            answer = ask(inputs)
            free.put(batch.feed)
        for step in batch.steps:
            if isinstance(step, RowDone):
                yield step
            elif answer is not None:
                yield step, answer(step)
