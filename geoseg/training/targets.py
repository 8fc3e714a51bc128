"""What a network should say of a batch: channels for semantic networks, objects for those that tell them apart."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from geoseg.core.card import ModelCard
from geoseg.core.classes import ClassSet
from geoseg.errors import SpecError
from geoseg.models.answers import Target
from geoseg.training.batch import Batch
from geoseg.training.neighbourhoods import (
    UNKNOWN,
    distances,
    edge_sites,
    highest_within,
    lowest_within,
    numbered,
)
from geoseg.training.options import SeparatorOptions

_NO_OBJECT = torch.iinfo(torch.int32).max


def semantic_target(
    batch: Batch, classes: ClassSet, separator: SeparatorOptions | None, channel_ids: Sequence[int]
) -> Tensor:
    """The channel that is right at each pixel, (window, y, x) int64; 255 where nobody knows.

    `channel_ids` gives each channel its class. The background of a sigmoid model, which has no channel, is the number
    of channels; other classes without a channel are unknown. Where `separator` is of a kind and the classes have a
    separator, its pixels are made from the objects, at each window's own resolution; else they are those of the labels.
    Raises SpecError for a separator that the classes do not have.
    """
    table = torch.full((256,), UNKNOWN, device=batch.classes.device)
    if classes.background is not None:
        table[classes.background] = len(channel_ids)
    for channel, class_id in enumerate(channel_ids):
        table[class_id] = channel
    target = table[batch.classes]
    if separator is None or separator.kind == "none":
        return target
    if classes.separator is None:
        raise SpecError(
            f"a separator of the kind {separator.kind!r} needs a class for its pixels; found none among "
            f"{[c.name for c in classes.classes]}: add a class and name it as the separator, or say kind = 'none'"
        )
    marked = separator_pixels(batch, separator) & (target != UNKNOWN)
    return target.masked_fill_(marked, int(table[classes.separator]))


def separator_pixels(batch: Batch, separator: SeparatorOptions) -> Tensor:
    """Where objects end, (window, y, x) bool, by their numbers and each window's resolution.

    A pixel is of the boundary when it lies in an object, and within the width of ground that does not; at the window's
    edge and beside unknown ground nothing is known to end. It is of a contact when it lies within the width of two
    objects. Widths count from the pixel's centre; they are at least a pixel.
    """
    widths = [max(separator.width_m / resolution, 1.0) for resolution in batch.resolution.tolist()]
    marked = [_marked(batch, i, separator.kind, width) for i, width in enumerate(widths)]
    return torch.stack(marked) if marked else batch.valid.clone()


def _marked(batch: Batch, index: int, kind: str, width: float) -> Tensor:
    """The separator's pixels (y, x) of one window; `width` in pixels."""
    objects, known = batch.objects[index].int(), batch.classes[index] != UNKNOWN
    distance = width + 0.5  # from centre to centre, where it is `width` from a centre to an edge
    highest = highest_within(torch.where(known, objects, -1), distance)
    marked = torch.zeros_like(known)
    if kind in ("boundary", "both"):
        lowest = lowest_within(torch.where(known, objects, _NO_OBJECT), distance)
        marked |= (objects > 0) & ((highest != objects) | (lowest != objects))
    if kind in ("contact", "both"):
        lowest = lowest_within(torch.where(known & (objects > 0), objects, _NO_OBJECT), distance)
        marked |= lowest < highest
    return marked & known


def edge_distances(batch: Batch, farthest_m: float) -> Tensor:
    """How far each pixel is from the nearest edge of a class or an object, in metres, (window, y, x) float32.

    Infinite beyond `farthest_m`, and where no edge is known. A pixel beside an edge is half a pixel from it.
    """
    rows = []
    for index, resolution in enumerate(batch.resolution.tolist()):
        sites = edge_sites(batch.classes[index], batch.objects[index])
        away = distances(sites, max(farthest_m / resolution - 0.5, 0.0))
        rows.append(away.add_(0.5).mul_(resolution))
    return torch.stack(rows) if rows else batch.valid.float()


def object_targets(batch: Batch, card: ModelCard) -> list[Target]:
    """What each window shows to a network that tells objects apart, the card's things as objects.

    An object is of the class that most of its known pixels have; those of classes that the model does not know as
    things, and those that nobody knows, are left out. Panoptic targets hold the stuff's channels besides.
    """
    labels = torch.full((256,), -1, device=batch.classes.device)
    for label, class_id in enumerate(card.object_ids):
        labels[class_id] = label
    stuff = None
    if card.kind == "panoptic":
        table = torch.full((256,), UNKNOWN, device=batch.classes.device)
        for channel, class_id in enumerate(card.channel_ids):
            table[class_id] = channel
        stuff = table[batch.classes]
    targets = []
    for index in range(len(batch)):
        masks, found = _things(labels[batch.classes[index]], batch.objects[index], len(card.object_ids))
        ground = None if stuff is None else stuff[index].masked_fill(batch.objects[index] > 0, UNKNOWN)
        targets.append(Target(masks=masks, labels=found, stuff=ground))
    return targets


def _things(labels: Tensor, objects: Tensor, kinds: int) -> tuple[Tensor, Tensor]:
    """Masks (object, y, x) bool and labels (object,) int64 of a window; `labels` (y, x) are -1 where no thing is."""
    ids, count = numbered(objects.masked_fill(labels < 0, 0))
    votes = torch.bincount(((ids - 1) * kinds + labels).flatten()[ids.flatten() > 0], minlength=count * kinds).reshape(
        count, kinds
    )
    numbers = torch.arange(1, count + 1, device=ids.device)
    masks = ids.to(torch.int32)[None] == numbers.to(torch.int32)[:, None, None]
    return masks, votes.argmax(1) if count else votes.sum(1)
