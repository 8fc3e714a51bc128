"""From what a network answers to classes and objects of pixels."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from geoseg.core.card import ModelCard
from geoseg.core.classes import NODATA
from geoseg.core.values import Decision
from geoseg.models.answers import Answer, Objects

LEAST_PIXELS = 1  # an object whose pixels all lie under better ones is none


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """What windows show: `classes` (window, y, x) int64 class ids, `objects` int32 as in Batch, `sure` float32 scores.

    `sure` is the score of the class that was chosen: for a binary model's background 1 less the foreground's, and where
    objects were too faint to be any, 1 less the best one's at most.
    """

    classes: Tensor
    objects: Tensor
    sure: Tensor


def enlarged(logits: Tensor, size: torch.Size) -> Tensor:
    """Logits (window, channel, y, x) float32 at the `size` (y, x) of their windows, brought there as predictions do."""
    logits = logits.float()
    return logits if logits.shape[2:] == size else functional.interpolate(logits, size, mode="bilinear")


def scores_of(logits: Tensor, card: ModelCard) -> Tensor:
    """Scores (window, channel, y, x) float32 from a semantic network's answer."""
    logits = logits.float()
    if card.activation == "softmax":
        return logits.softmax(1)
    return logits.sigmoid() if card.activation == "sigmoid" else logits


def shown_by(answer: Tensor | Answer, card: ModelCard, size: torch.Size) -> Shown:
    """What a network of the card says of windows of `size` (y, x), as predictions decide it."""
    if isinstance(answer, Answer):
        return _objects_shown(answer, card, size)
    scores = scores_of(enlarged(answer, size), card)
    decision = Decision.of(card)
    ids = torch.tensor(decision.ids, device=scores.device)
    sure, winner = scores.max(1)
    classes = ids[winner]
    if decision.threshold is not None and decision.background is not None:
        best, place = scores[:, list(decision.foreground)].max(1)
        taken = best >= decision.threshold
        classes = torch.where(taken, ids[list(decision.foreground)][place], decision.background)
        sure = torch.where(taken, best, 1 - best)
    return Shown(classes, torch.zeros_like(classes, dtype=torch.int32), sure)


def without_separator(classes: Tensor, answer: Tensor | Answer, card: ModelCard) -> Tensor:
    """Class ids (window, y, x) in which the separator's pixels are of the thing that scores best there."""
    separator = card.classes.separator
    if separator is None or isinstance(answer, Answer):
        return classes
    things = [i for i in card.channel_ids if i != separator and card.classes.by_id(i).kind == "thing"]
    scores = enlarged(answer[:, [card.channel_ids.index(i) for i in things]], classes.shape[1:])
    best = torch.tensor(things, device=classes.device)[scores.argmax(1)]
    return torch.where(classes == separator, best, classes)


def _objects_shown(answer: Answer, card: ModelCard, size: torch.Size) -> Shown:
    """Objects above the stuff, better ones above worse ones; those below the threshold are left out."""
    count, threshold = len(answer.objects), Decision.of(card).object_threshold
    device = answer.objects[0].scores.device if count else torch.device("cpu")
    classes = torch.full((count, *size), card.classes.background or 0, dtype=torch.int64, device=device)
    sure = torch.ones((count, *size), device=device)
    if answer.scores is not None:
        ids = torch.tensor(card.channel_ids, device=device)
        best, winner = answer.scores.float().max(1)
        classes, sure = ids[winner], best
    objects = torch.zeros((count, *size), dtype=torch.int32, device=device)
    for index, found in enumerate(answer.objects):
        _paint(found, card, threshold, (classes[index], objects[index], sure[index]))
    return Shown(classes, objects, sure)


def _paint(found: Objects, card: ModelCard, threshold: float, planes: tuple[Tensor, Tensor, Tensor]) -> None:
    classes, objects, sure = planes
    for number in found.scores.argsort().tolist():
        score = float(found.scores[number])
        left, top, right, bottom = found.boxes[number].tolist()
        place, mask = (slice(top, bottom), slice(left, right)), found.masks[number]
        if score < threshold:
            sure[place][mask] = sure[place][mask].clamp(max=1 - score)
            continue
        classes[place][mask] = card.object_ids[int(found.labels[number])]
        objects[place][mask] = number + 1
        sure[place][mask] = score


def confident(shown: Shown, least: float) -> Tensor:
    """The classes of `shown`, 255 where they are less sure than `least`."""
    return torch.where(shown.sure >= least, shown.classes, NODATA)
