"""What networks that find objects must keep to, checked once for each batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from geoseg.core.card import ModelCard
from geoseg.errors import ModelError
from geoseg.models.answers import Answer, Objects


def check_answer(answer: Any, card: ModelCard, shape: Sequence[int]) -> Answer:
    """The answer to chips of `shape` (batch, band, y, x), if it is one that fits the card.

    Looks at shapes and dtypes, and at the values of boxes, labels and scores, which it fetches from the device at once.
    Scores that are not numbers pass: who asks knows which chip that is. Raises ModelError.
    """
    if not isinstance(answer, Answer):
        raise _unfit(card, f"{type(answer).__name__}", f"an Answer with the objects of {shape[0]} chips")
    if len(answer.objects) != shape[0]:
        raise _unfit(card, f"the objects of {len(answer.objects)} chips", f"those of {shape[0]} chips")
    if card.kind == "panoptic":
        expected = (shape[0], len(card.channel_ids), *shape[2:])
        found = tuple(answer.scores.shape) if isinstance(answer.scores, Tensor) else answer.scores
        if found != expected:
            raise _unfit(card, f"scores {found}", f"scores {expected}")
    for objects in answer.objects:
        _check_parts(objects, card)
    _check_values(answer.objects, card, shape)
    return answer


def _unfit(card: ModelCard, found: str, expected: str) -> ModelError:
    return ModelError(
        f"model {card.name}: the network returned {found}; expected {expected}; check it with `geoseg models verify`"
    )


def _check_parts(objects: Objects, card: ModelCard) -> None:
    """Raise ModelError unless the tensors belong together and have the right dtypes."""
    boxes, labels, scores, masks = objects.boxes, objects.labels, objects.scores, objects.masks
    count = len(scores)
    shapes = (tuple(boxes.shape), tuple(labels.shape), tuple(scores.shape), len(masks))
    if shapes != ((count, 4), (count,), (count,), count):
        found = f"boxes {shapes[0]}, labels {shapes[1]}, scores {shapes[2]} and {shapes[3]} masks for a chip"
        raise _unfit(card, found, "boxes (n, 4), labels (n,), scores (n,) and n masks")
    if not count:
        return  # empty lists become tensors of any dtype
    for name, values in (("boxes", boxes), ("labels", labels)):
        if values.is_floating_point() or values.dtype == torch.bool:
            raise _unfit(card, f"{name} of {values.dtype}", "whole numbers")
    if not scores.is_floating_point():
        raise _unfit(card, f"scores of {scores.dtype}", "floating-point numbers")
    for mask in masks:
        if mask.dtype != torch.bool:
            raise _unfit(card, f"a mask of {mask.dtype}", "masks of torch.bool")


def _check_values(chips: Sequence[Objects], card: ModelCard, shape: Sequence[int]) -> None:
    """Raise ModelError unless boxes lie in the chip and have the sizes of their masks, and labels and scores fit."""
    boxes = torch.cat([objects.boxes for objects in chips]).float()
    labels = torch.cat([objects.labels for objects in chips]).float()[:, None]
    scores = torch.cat([objects.scores for objects in chips]).float()[:, None]
    values = torch.cat([boxes, labels, scores], 1).cpu()  # the only wait for the device
    sizes = [tuple(mask.shape) for objects in chips for mask in objects.masks]
    for (left, top, right, bottom, label, score), size in zip(values.tolist(), sizes, strict=True):
        box = [int(left), int(top), int(right), int(bottom)]
        if not (0 <= left < right <= shape[3] and 0 <= top < bottom <= shape[2]):
            raise _unfit(card, f"a box {box} (left, top, right, bottom)", f"boxes in chips of {shape[2]} x {shape[3]}")
        if size != (bottom - top, right - left):
            raise _unfit(card, f"a mask {size} in a box {box}", f"a mask {(int(bottom - top), int(right - left))}")
        if not 0 <= label < len(card.object_ids):
            raise _unfit(card, f"label {int(label)}", f"labels from 0 to {len(card.object_ids) - 1}, the card's things")
        if score < 0 or score > 1:
            raise _unfit(card, f"score {score:g}", "scores from 0 to 1")
