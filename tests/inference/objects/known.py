"""Networks whose objects are known: what they find in a chip is drawn in the chip's own pixels."""

import numpy as np
import torch
from torch import nn

from geoseg.core.card import ModelCard
from geoseg.core.classes import ClassInfo, ClassSet
from geoseg.core.tiling import Tiling
from geoseg.core.values import Decision, normalisation
from geoseg.inference.device import choose
from geoseg.inference.network import Augmentation, Network
from geoseg.inference.objects.predict import predict_objects
from geoseg.inference.passes import Pass
from geoseg.inference.stitch import Canvas
from geoseg.models.answers import Answer, Objects
from tests.inference.array_reader import ArrayReader

CPU = choose("cpu", "fp32", 1)
ROOF, TREE = 3, 7  # class ids of the things
WATER, FIELD = 1, 2  # and of the stuff


def card(kind="instance", things=(ROOF, TREE), **changes):
    def info(class_id, what):
        return ClassInfo(id=class_id, name=f"{what} {class_id}", colour="#112233", kind=what)

    stuff = (WATER, FIELD) if kind == "panoptic" else ()
    classes = [*(info(i, "stuff") for i in (0, *stuff)), *(info(i, "thing") for i in things)]
    values = {
        "name": "known", "version": "1", "kind": kind, "task": "toy", "description": "", "architecture": "none",
        "license": "MIT", "bands": ("red", "green"), "resolution": 1.0, "resolution_range": (0.5, 2.0),
        "value_range": (0, 1), "mean": (0.0, 0.0), "std": (1.0, 1.0), "classes": ClassSet(classes=tuple(classes)),
        "divisor": 1, "tile_size": 8, "overlap": 2,
    }  # fmt: skip
    return ModelCard(**(values | changes))


def label_of(number):
    """Which thing an object is: roofs have odd numbers."""
    return 0 if number % 2 else 1


def score_of(number):
    return 0.5 + (number * 37 % 100) / 200


def objects(found, shape):
    """Objects from (mask (y, x), label, score), in boxes looser than need be."""
    boxes, masks = [], []
    for mask, _, _ in found:
        y, x = np.nonzero(mask)
        box = max(0, x.min() - 1), max(0, y.min() - 1), min(shape[1], x.max() + 3), min(shape[0], y.max() + 2)
        boxes.append(box)
        masks.append(torch.from_numpy(mask[box[1] : box[3], box[0] : box[2]].copy()))
    return Objects(
        torch.tensor(boxes, dtype=torch.int64).reshape(-1, 4),
        torch.tensor([label for _, label, _ in found], dtype=torch.int64),
        torch.tensor([score for _, _, score in found], dtype=torch.float32),
        masks,
    )


class Known(nn.Module):
    """Finds the numbered objects of the first band, in a shuffled order, and the stuff that the second band scores."""

    def __init__(self, stuff=0, find=None):
        super().__init__()
        self.stuff, self.find = stuff, find or self.exact

    def forward(self, chips):
        answers = []
        for chip in chips[:, 0].numpy().astype(np.int64):
            found = self.find(chip)
            order = np.random.default_rng(int(chip.sum())).permutation(len(found))
            answers.append(objects([found[i] for i in order], chip.shape))
        scores = None
        if self.stuff:
            phase = torch.arange(self.stuff)[None, :, None, None] / self.stuff
            y, x = torch.meshgrid(*(torch.arange(n) for n in chips.shape[2:]), indexing="ij")
            scores = (torch.cos(6 * (chips[:, 1:2] + phase)) + 0.1 * torch.sin(x + 2.0 * y)).softmax(1)
        return Answer(answers, scores)

    @staticmethod
    def exact(chip):
        numbers = [n for n in np.unique(chip) if n]
        return [(chip == n, label_of(n), score_of(n)) for n in numbers]


def work_of(pixels, module, tiling, *, the_card=None, batch=2, valid=None, block=None, region=None, threshold=None):
    the_card = the_card or card()
    tiling = Tiling.over(pixels.shape[-2:], *tiling)
    canvas = Canvas(tiling, block or tiling.whole(), Decision.of(the_card, threshold), True)
    bands = np.zeros((2, *pixels.shape[-2:]), np.float32)
    bands[: len(pixels) if pixels.ndim == 3 else 1] = pixels
    network = Network(module, the_card, CPU, Augmentation())
    return Pass(ArrayReader(bands, valid), normalisation(the_card, None), network, canvas, batch, region)


def run(pixels, tiling, module=None, **options):
    """The strips as one, after a look at what holds for every pass: classes, scores, numbers (y, x), and the table."""
    work = work_of(pixels, module or Known(), tiling, **options)
    told = []
    strips = list(predict_objects(work, lambda tiles, count: told.append((tiles, count))))
    block, valid = work.canvas.block, options.get("valid")
    assert sum(tiles for tiles, _ in told) == len(block.rows) * len(block.columns)
    assert sum(count for _, count in told) == block.y.size * block.x.size
    stops = [block.y.start, *(s.y.stop for s in strips)]
    assert [s.y.start for s in strips] == stops[:-1], "strips follow each other"
    assert stops[-1] == block.y.stop
    classes, scores, numbers = (
        np.concatenate([getattr(s, name) for s in strips]) for name in ("class_ids", "scores", "instance_ids")
    )
    assert classes.shape == (block.y.size, block.x.size)
    assert (classes.dtype, scores.dtype, numbers.dtype) == (np.uint8, np.uint8, np.int32)
    numbers = np.maximum(numbers, 0)  # -1: nobody's for all that is known
    table = np.array([row for s in strips for row in rows_of(s.objects)]).reshape(-1, 4)
    check(strips, classes, scores, numbers, table, block)
    if valid is not None:
        outside = ~valid[block.y.start : block.y.stop, block.x.start : block.x.stop]
        assert (classes[outside] == 255).all()
        assert (scores[outside] == 255).all()
        assert (numbers[outside] == 0).all()
    return classes, scores, numbers, table


class Layers(Known):
    """Finds objects that may lie over one another: (mask (y, x), label, score) each, over the whole scene.

    The first band holds each pixel's place in the scene, counted from 1.
    """

    def __init__(self, layers):
        super().__init__(find=self.seen)
        self.layers = layers

    def seen(self, chip):
        crops = [(mask.ravel()[chip - 1] & (chip > 0), label, score) for mask, label, score in self.layers]
        return [crop for crop in crops if crop[0].any()]


def places(shape):
    """The pixels (y, x) that Layers takes."""
    return np.arange(1, shape[0] * shape[1] + 1).reshape(shape)


def rows_of(objects):
    return list(zip(objects.instance_id, objects.class_id, objects.score, objects.last_row, strict=True))


def check(strips, classes, scores, numbers, table, block):
    """Numbers have no holes and follow the first pixels; each object is listed where it begins, with its last row."""
    found, first = np.unique(numbers[numbers > 0], return_index=True)
    assert found.tolist() == list(range(1, len(table) + 1)) == table[:, 0].tolist()
    assert (np.diff(first) > 0).all()
    for number, class_id, score, last_row in table:
        mine = numbers == number
        assert (classes[mine] == class_id).all()
        assert (scores[mine] == np.floor(254 * np.float32(score) + 0.5)).all()
        assert np.nonzero(mine)[0].max() + block.y.start == last_row
    for strip in strips:
        before = numbers[: strip.y.start - block.y.start]
        here = np.setdiff1d(strip.instance_ids, [*np.unique(before), 0, -1])
        assert strip.objects.instance_id.tolist() == here.tolist()


def in_order(pixels):
    """The raster of object numbers (y, x), renumbered by their first pixels."""
    numbers, first = np.unique(pixels, return_index=True)
    order = [n for _, n in sorted(zip(first, numbers, strict=True)) if n]
    out = np.zeros(pixels.shape, np.int32)
    for place, number in enumerate(order, 1):
        out[pixels == number] = place
    return out, order
