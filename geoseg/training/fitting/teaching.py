"""Learning from a bigger model: its scores for the same windows are what the network's should be like."""

from __future__ import annotations

import copy
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional

from geoseg.core.card import ModelCard
from geoseg.core.values import normalisation
from geoseg.errors import ModelError, SpecError
from geoseg.models import LoadedModel
from geoseg.training.batch import Batch
from geoseg.training.fitting.answers import enlarged
from geoseg.training.fitting.course import Course
from geoseg.training.options import DistillationOptions


class Teacher:
    """A frozen model and how far a network's scores are from its own.

    Hinton, Vinyals and Dean 2015, arXiv:1503.02531: the Kullback-Leibler divergence of softened scores, times the
    temperature squared. The teacher sees the augmented windows, normalised as for its own predictions.
    """

    def __init__(self, model: LoadedModel, card: ModelCard, options: DistillationOptions, device: torch.device) -> None:
        """Raises SpecError or ModelError when the teacher's bands or classes do not fit the card."""
        _check(model.card, card)
        self.weight, self._temperature, self._activation = options.weight, options.temperature, card.activation
        self._module = copy.deepcopy(model.module).to(device).eval().requires_grad_(False)
        self._bands = [card.bands.index(band) for band in model.card.bands]
        names = [c.name for c in _channels(model.card)]
        self._order = [names.index(c.name) for c in _channels(card)]
        low, high = card.value_range
        self._low, self._span = low, high - low
        own = normalisation(model.card, None)
        self._scale, self._offset = (torch.from_numpy(v).to(device)[:, None, None] for v in (own.scale, own.offset))

    @classmethod
    def of(cls, course: Course, device: torch.device) -> Self | None:
        """The course's teacher, on the device."""
        if course.teacher is None or course.options.distillation is None:
            return None
        return cls(course.teacher, course.card, course.options.distillation, device)

    def term(self, logits: Tensor, batch: Batch) -> Tensor:
        """The mean divergence over the valid pixels, for `logits` (window, channel, y, x) of the network."""
        with torch.no_grad():
            known = self.logits(batch)
        soft, mine = known / self._temperature, logits / self._temperature
        if self._activation == "softmax":
            far = functional.kl_div(mine.log_softmax(1), soft.log_softmax(1), reduction="none", log_target=True).sum(1)
        else:
            truth = soft.sigmoid()
            least = functional.binary_cross_entropy_with_logits(soft, truth, reduction="none")
            far = (functional.binary_cross_entropy_with_logits(mine, truth, reduction="none") - least).sum(1)
        return self._temperature**2 * (far * batch.valid).sum() / batch.valid.sum().clamp(min=1)

    def logits(self, batch: Batch) -> Tensor:
        """What the teacher says of the windows, in the network's order of channels, float32."""
        raw = batch.images[:, self._bands] * self._span + self._low
        inputs = torch.where(batch.valid[:, None], raw * self._scale + self._offset, 0.0)
        answer: Tensor = self._module(inputs.contiguous(memory_format=torch.channels_last))
        return enlarged(answer, inputs.shape[2:])[:, self._order]


def _check(teacher: ModelCard, card: ModelCard) -> None:
    missing = [band for band in teacher.bands if band not in card.bands]
    if missing:
        raise ModelError(
            f"distillation: the teacher {teacher.name} eats {', '.join(teacher.bands)}; expected bands that the model "
            f"eats too ({', '.join(card.bands)}): choose another teacher, or add {', '.join(missing)} to model.bands"
        )
    if teacher.kind != "semantic" or teacher.activation != card.activation:
        raise SpecError(
            f"distillation: the teacher {teacher.name} is {teacher.kind} with the activation {teacher.activation}; "
            f"expected semantic and {card.activation}: choose another teacher"
        )
    found, expected = ([c.name for c in _channels(c)] for c in (teacher, card))
    if sorted(found) != sorted(expected):
        raise ModelError(
            f"distillation: the teacher {teacher.name} knows {', '.join(found)}; expected the model's own classes "
            f"({', '.join(expected)}), in any order: choose another teacher, or name the classes alike"
        )


def _channels(card: ModelCard) -> list:  # type: ignore[type-arg]
    return [card.classes.by_id(i) for i in card.channel_ids]
