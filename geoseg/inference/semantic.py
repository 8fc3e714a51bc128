"""The streaming pass: rows of pixels in, strips of classes out, everything overlapped through bounded queues."""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial

from torch import Tensor

from geoseg.core.protocols import Strip
from geoseg.inference.chips import Chip, RowDone
from geoseg.inference.device import device_memory
from geoseg.inference.network import Network
from geoseg.inference.passes import Pass, answers, own
from geoseg.inference.stitch import stitcher


def predict_strips(work: Pass, advance: Callable[[int, int], None]) -> Generator[Strip, None, None]:
    """Finished strips of the block, top to bottom; together they hold each of its rows once.

    `advance(tiles, pixels)` is told of each tile that is done or skipped, and of the pixels that became final. Closing
    the generator ends all threads.
    Raises ReadError, ModelError, GeosegError.
    """
    device = work.network.compute.device
    with answers(work, partial(_scores, work.network)) as scored:
        with device_memory(device, "making room for the blended scores"):
            stitch = stitcher(work.canvas, device)
        for step in scored:
            if not isinstance(step, RowDone):
                chip, scores = step
                with device_memory(device, "blending scores"):
                    stitch.add(chip.row, chip.column, scores)
                work.tally.predicted += 1
                advance(1, 0)
                continue
            work.tally.skipped += step.skipped
            with device_memory(device, "deciding classes"):
                strip = stitch.finish_row(step.row, step.valid)
            advance(step.skipped, strip.class_ids.size)
            if strip.y.size:
                yield strip


def _scores(network: Network, inputs: Tensor) -> Callable[[Chip], Tensor]:
    scores = own(network(inputs), inputs)
    return lambda chip: scores[chip.slot]
