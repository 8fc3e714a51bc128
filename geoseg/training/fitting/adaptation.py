"""Self-training: the average of the weights labels scenes without labels, and the network learns from that."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import nn

from geoseg.core.card import ModelCard
from geoseg.core.classes import NODATA
from geoseg.errors import SpecError
from geoseg.training.batch import Batch
from geoseg.training.fitting.answers import confident, shown_by
from geoseg.training.fitting.course import Course
from geoseg.training.fitting.crew import Crew
from geoseg.training.fitting.objective import inputs_of

_ENDLESS = 1 << 50  # a batch number that no run reaches


class Unlabelled:
    """Batches of scenes without labels, labelled by a network on the way.

    Sohn et al. 2020, arXiv:2001.07685: labels come from windows as they are, and what is learnt are windows that were
    changed; only sure labels count.
    """

    def __init__(self, course: Course, crew: Crew, device: torch.device) -> None:
        """Raises SpecError without batches of such scenes."""
        options = course.options.adaptation
        if options is None or course.unlabelled is None:
            raise SpecError("adaptation: found no scenes without labels; expected some: name them in adaptation.images")
        self._card, self._options, self._crew, self._device = course.card, options, crew, device
        self._batches, self._next = course.unlabelled, -1
        self._open: Iterator[Batch] = iter(())

    @property
    def weight(self) -> float:
        """What its terms are multiplied with."""
        return self._options.weight

    def begun(self, share: float) -> bool:
        """Whether it is time."""
        return share >= self._options.start

    def batch(self, number: int, teacher: nn.Module) -> Batch:
        """The batch of that number on the device, with the classes that `teacher`, in eval mode, is sure of."""
        if number != self._next:
            self.close()
            self._open = self._batches(self._crew.number(number), self._crew.number(_ENDLESS))
        self._next = number + 1
        return labelled(next(self._open).to(self._device), teacher, self._card, self._options.confidence)

    def close(self) -> None:
        """Let go of readers."""
        _close(self._open)


def labelled(batch: Batch, teacher: nn.Module, card: ModelCard, confidence: float) -> Batch:
    """The batch with the classes (the separator's too) and objects that `teacher` sees; 255 where it is unsure."""
    with torch.no_grad():
        shown = shown_by(teacher(inputs_of(batch, card)), card, batch.images.shape[2:])
    classes = confident(shown, confidence).masked_fill(~batch.valid, NODATA)
    return replace(batch, classes=classes, objects=shown.objects.masked_fill(classes == NODATA, 0))


def _close(batches: Iterator[Batch]) -> None:
    close = getattr(batches, "close", None)
    if close is not None:
        close()
