"""What a network's answer to a batch costs, by its kind."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol, cast

import torch
from torch import Tensor, nn

from geoseg.core.card import ModelCard
from geoseg.core.classes import NODATA
from geoseg.errors import SpecError
from geoseg.models.answers import ObjectNetwork
from geoseg.training.batch import Batch
from geoseg.training.drafting import separator_of
from geoseg.training.fitting.answers import enlarged
from geoseg.training.fitting.course import Course
from geoseg.training.fitting.teaching import Teacher
from geoseg.training.losses import class_weights, make_loss
from geoseg.training.options import SeparatorOptions
from geoseg.training.targets import edge_distances, object_targets, semantic_target

Terms = dict[str, Tensor]


class Objective(Protocol):
    """The terms that are summed to the loss of a batch, by name, each with a gradient."""

    def terms(self, network: nn.Module, batch: Batch) -> Terms:
        """Of labelled windows."""
        ...

    def told(self, network: nn.Module, batch: Batch) -> Terms:
        """Of windows whose classes are what a network said (ids of channels, the separator's too)."""
        ...


def objective_for(course: Course, device: torch.device) -> Objective:
    """The objective of the course's kind of network. Raises SpecError or ModelError for what cannot be learnt."""
    if course.card.kind == "semantic":
        return SemanticObjective(course, device)
    if course.teacher is not None:
        raise SpecError(
            f"distillation: found a model of the kind {course.card.kind}; expected a semantic one, whose scores can be "
            "compared: leave distillation out"
        )
    return ObjectsObjective(course.card)


def inputs_of(batch: Batch, card: ModelCard) -> Tensor:
    """The batch's images as the network takes them: normalised, 0 where invalid, channels last in memory."""
    mean, std = (torch.tensor(v, device=batch.images.device)[:, None, None] for v in (card.mean, card.std))
    inputs = torch.where(batch.valid[:, None], (batch.images - mean) / std, 0.0)
    return inputs.contiguous(memory_format=torch.channels_last)


class SemanticObjective:
    """Losses between logits and labels, and towards a teacher where there is one."""

    def __init__(self, course: Course, device: torch.device) -> None:
        """Take card, loss options, labelled pixels and teacher of the course."""
        card, options = course.card, course.options.loss
        self._card, self._separator = card, separator_of(card)
        weights = class_weights(options, card.classes, card.channel_ids, course.class_pixels or {})
        self._loss = make_loss(options, card.classes, weights, card.activation).to(device)
        self._teacher = Teacher.of(course, device)

    def terms(self, network: nn.Module, batch: Batch) -> Terms:
        """The losses of the recipe, and "distillation"."""
        logits = self._logits(network, batch)
        terms = self._terms(logits, batch, self._separator)
        if self._teacher is None:
            return terms
        share = self._teacher.weight
        learnt = {name: (1 - share) * term for name, term in terms.items()}
        return learnt | {"distillation": share * self._teacher.term(logits, batch)}

    def told(self, network: nn.Module, batch: Batch) -> Terms:
        """The losses of the recipe against classes that a network gave."""
        return self._terms(self._logits(network, batch), batch, None)

    def _logits(self, network: nn.Module, batch: Batch) -> Tensor:
        return enlarged(network(inputs_of(batch, self._card)), batch.images.shape[2:])

    def _terms(self, logits: Tensor, batch: Batch, separator: SeparatorOptions | None) -> Terms:
        target = semantic_target(batch, self._card.classes, separator, self._card.channel_ids)
        edges = edge_distances(batch, self._loss.reach_m) if self._loss.reach_m else None
        return cast("Terms", self._loss(logits, target, edges))


class ObjectsObjective:
    """The losses that networks which find objects have themselves."""

    def __init__(self, card: ModelCard) -> None:
        """Take the card."""
        self._card = card

    def terms(self, network: nn.Module, batch: Batch) -> Terms:
        """The network's own losses.

        They cannot leave ground out: where nobody knows what stands there, nothing is seen, and nothing is to be found.
        """
        known = replace(batch, valid=batch.valid & (batch.classes != NODATA))
        found = cast("ObjectNetwork", network).losses(inputs_of(known, self._card), object_targets(batch, self._card))
        return {name: term.float() for name, term in found.items()}

    def told(self, network: nn.Module, batch: Batch) -> Terms:
        """The same."""
        return self.terms(network, batch)
