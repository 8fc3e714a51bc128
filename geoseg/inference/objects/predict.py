"""The pass of networks that tell objects apart: rows of pixels in, strips of numbered objects out."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from geoseg.core.classes import NODATA
from geoseg.core.detections import Detections
from geoseg.core.protocols import Strip
from geoseg.core.values import Decision
from geoseg.errors import ResourceError
from geoseg.inference.chips import Chip, RowDone
from geoseg.inference.device import device_memory
from geoseg.inference.objects.joiner import Joiner
from geoseg.inference.objects.painting import Painter, bare_ground
from geoseg.inference.passes import Pass, answers, own
from geoseg.inference.stitch import Stitcher, not_numbers, stitcher
from geoseg.models.answers import Objects

MOST_BYTES = 1 << 30  # that may wait for objects to end

_Said = tuple[Detections, Tensor | None]  # the objects of a chip, and the scores of its stuff


def predict_objects(work: Pass, advance: Callable[[int, int], None]) -> Generator[Strip, None, None]:
    """Finished strips of the block, top to bottom, with objects; together they hold each of its rows once.

    For networks of the kinds instance and panoptic. Each object is whole, whatever the tiles, and listed in the strip
    that holds its first pixel; numbers count from 1 in the order of the first pixels. Objects count from the
    decision's threshold for objects on. Around them lies the best class of the stuff, or the background
    where there is none, with its score or 0. Strips wait for the objects in them to be complete.

    Memory: rows of tiles, and what waits for objects that go on below: masks, rows of stuff and of missing pixels, both
    compressed, and about a hundred bytes for each object in a tile. That grows with the height of objects, not of the
    scene. An object's masks, a byte for each pixel of their boxes, are all there at once when it ends.

    `advance(tiles, pixels)` is told of each tile that is done or skipped, and of the pixels that became final. Closing
    the generator ends all threads.
    Raises ReadError, ModelError, ResourceError when more than MOST_BYTES wait, GeosegError.
    """
    joiner, painter = Joiner(work.canvas.tiling, work.canvas.block), Painter(work.canvas.block)
    with answers(work, partial(_said, work)) as said:
        ground, found = _Ground(work), list[tuple[int, Detections]]()
        for step in said:
            if not isinstance(step, RowDone):
                chip, (detections, scores) = step
                found.append((chip.column, detections))
                ground.add(chip, scores)
                work.tally.predicted += 1
                advance(1, 0)
                continue
            work.tally.skipped += step.skipped
            painter.lay(ground.finish_row(step))
            settled = joiner.add_row(step.row, found, step.valid, step.beyond)
            found = []
            _check_held(joiner.nbytes + painter.nbytes, work)
            advance(step.skipped, 0)
            for strip in painter.draw(settled):
                advance(0, strip.class_ids.size)
                yield strip


def _check_held(held: int, work: Pass) -> None:
    if held > MOST_BYTES:
        raise ResourceError(
            f"model {work.network.card.name}: found objects so tall or so crowded that {held / 2**30:.1f} GiB wait for "
            f"their last rows; expected {MOST_BYTES / 2**30:g} GiB at most: predict the scene in pieces (--bounds)"
        )


def _said(work: Pass, inputs: Tensor) -> Callable[[Chip], _Said]:
    """What the network says of each chip of a batch, objects on the host."""
    answer = work.network.answer(inputs)
    scores = None if answer.scores is None else own(answer.scores, inputs)
    ids, threshold = work.network.card.object_ids, work.canvas.decision.object_threshold

    def of(chip: Chip) -> _Said:
        objects = answer.objects[chip.slot]
        if torch.isnan(objects.scores).any():
            raise not_numbers(chip.row, chip.column)
        counted = _counted(objects, threshold)
        return counted.detections(ids), None if scores is None else scores[chip.slot]

    return of


def _counted(objects: Objects, threshold: float) -> Objects:
    """The objects whose score reaches the threshold."""
    kept = objects.scores >= threshold
    masks = [mask for mask, counts in zip(objects.masks, kept.tolist(), strict=True) if counts]
    return Objects(objects.boxes[kept], objects.labels[kept], objects.scores[kept], masks)


class _Ground:
    """What lies around the objects: stitched stuff, or bare background."""

    def __init__(self, work: Pass) -> None:
        """Make room for the scores of the stuff, where there are some."""
        self._canvas, self._device = work.canvas, work.network.compute.device
        ids, background = work.canvas.decision.ids, work.canvas.decision.background
        self._background = NODATA if background is None else background
        self._stitch: Stitcher | None = None
        if ids:
            known = background if background in ids else None
            canvas = replace(work.canvas, decision=Decision(ids, known, None))
            with device_memory(self._device, "making room for the blended scores"):
                self._stitch = stitcher(canvas, self._device)

    def add(self, chip: Chip, scores: Tensor | None) -> None:
        if self._stitch is not None and scores is not None:
            with device_memory(self._device, "blending scores"):
                self._stitch.add(chip.row, chip.column, scores)

    def finish_row(self, done: RowDone) -> Strip:
        canvas = self._canvas
        if self._stitch is not None:
            with device_memory(self._device, "deciding classes"):
                return self._stitch.finish_row(done.row, done.valid)
        rows, block, top = canvas.rows_of(done.row), canvas.block, canvas.tiling.y.span(done.row).start
        valid = done.valid
        if valid is not None:
            left = canvas.extent.start
            valid = valid[rows.start - top : rows.stop - top, block.x.start - left : block.x.stop - left]
        return bare_ground(rows, block.x.size, self._background, valid, with_scores=canvas.with_scores)
