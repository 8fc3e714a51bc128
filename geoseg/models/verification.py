"""Whether a bundle is what it says: every check that can be made without a scene."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from geoseg.core.card import ModelCard
from geoseg.errors import GeosegError, ModelError
from geoseg.models import containers
from geoseg.models.answers import Answer, Objects
from geoseg.models.bundle import check_finite, checked_sum, load_model, read_weights
from geoseg.models.header import BundleHeader, read_header
from geoseg.models.network import check_fit, skeleton_of
from geoseg.models.packaged import resolve

_LARGEST_CHIP = 1024  # pixels a side: enough to run every network, whatever tile size a card asks for


@dataclass(frozen=True, slots=True)
class Check:
    """One check: its name, whether it passed, and what was found."""

    name: str
    passed: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Report:
    """What `verify` found. `card` is None when the header cannot be read; checks end at the first that fails."""

    path: Path
    card: ModelCard | None
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)

    def describe(self) -> dict[str, Any]:
        """The report as JSON-able values."""
        return {
            "path": str(self.path),
            "name": self.card.name if self.card else None,
            "version": self.card.version if self.card else None,
            "passed": self.passed,
            "checks": [{"name": c.name, "passed": c.passed, "detail": c.detail} for c in self.checks],
        }


@dataclass(slots=True)
class _Subject:
    """A bundle on its way through the checks, each of which may use what the ones before it found."""

    path: Path
    headers: list[BundleHeader] = field(default_factory=list)
    cards: list[ModelCard] = field(default_factory=list)

    @property
    def header(self) -> BundleHeader:
        return self.headers[0]


def verify(reference: str | Path) -> Report:
    """A report on the model that `reference` names: header, checksum, shapes, finite weights, and a chip of zeros.

    Models in other containers than bundles have their card read, their graph opened, and a chip run. Faults of the
    model are in the report. Raises ModelError or UnknownNameError only when there is no such bundle.
    """
    subject = _Subject(resolve(reference))
    steps = _BUNDLE_STEPS if containers.container_of(subject.path) is None else _CONTAINER_STEPS
    checks: list[Check] = []
    for name, step in steps.items():
        try:
            checks.append(Check(name, True, step(subject)))
        except GeosegError as error:
            checks.append(Check(name, False, str(error)))
            break
    return Report(subject.path, subject.cards[0] if subject.cards else None, tuple(checks))


def _header_card(subject: _Subject) -> str:
    subject.headers.append(read_header(subject.path))
    return _told(subject, subject.header.card)


def _container_card(subject: _Subject) -> str:
    return _told(subject, containers.read_card(subject.path))


def _told(subject: _Subject, card: ModelCard) -> str:
    subject.cards.append(card)
    return f"{card.name} {card.version}, {card.license}"


def _container_checksum(subject: _Subject) -> str:
    return f"sha256 {containers.checksum(subject.path)}; the file records no checksum of its own"


def _checksum(subject: _Subject) -> str:
    recorded = subject.header.checksum
    return f"sha256 {checked_sum(subject.header)}" + ("" if recorded else "; the bundle records no checksum of its own")


def _shapes(subject: _Subject) -> str:
    skeleton = skeleton_of(subject.header.card)
    check_fit(subject.path, skeleton, subject.header.tensors)
    parameters = sum(p.numel() for p in skeleton.parameters())
    return f"{subject.header.card.architecture}, {len(subject.header.tensors)} tensors, {parameters} parameters"


def _finite(subject: _Subject) -> str:
    weights = read_weights(subject.path)
    check_finite(subject.path, weights)
    return f"{sum(t.numel() for t in weights.values())} finite numbers"


def _chip(subject: _Subject) -> str:
    loaded = load_model(subject.path)
    shape = _chip_that_runs(loaded.module, loaded.card, own=loaded.backend == "torch")
    size = f"a chip of {shape[2]} x {shape[3]}"
    if loaded.card.kind == "instance":
        return f"{size} gives objects of {len(loaded.card.object_ids)} class(es)"
    objects = f", and objects of {len(loaded.card.object_ids)} class(es)" if loaded.card.kind == "panoptic" else ""
    return f"{size} gives {len(loaded.card.channel_ids)} channels of that size{objects}"


def _chip_that_runs(module: nn.Module, card: ModelCard, own: bool) -> tuple[int, int, int, int]:
    """The shape of a chip that the network answers: a small one, or the card's where the file may take no other."""
    small, whole = chip_shape(card), (1, len(card.bands), card.tile_size, card.tile_size)
    try:
        run_zeros(module, card)
    except ModelError:
        if own or small == whole:
            raise
        run_zeros(module, card, whole)
        return whole
    return small


_Steps = Mapping[str, Callable[[_Subject], str]]
_BUNDLE_STEPS: _Steps = {
    "card": _header_card,
    "checksum": _checksum,
    "shapes": _shapes,
    "weights": _finite,
    "chip": _chip,
}
_CONTAINER_STEPS: _Steps = {"card": _container_card, "checksum": _container_checksum, "chip": _chip}


def chip_shape(card: ModelCard) -> tuple[int, int, int, int]:
    """The shape (batch, band, y, x) of one chip of the card's tile size, or of a smaller one where that is huge."""
    side = card.tile_size
    if side > _LARGEST_CHIP:
        side = max(card.divisor, _LARGEST_CHIP // card.divisor * card.divisor)
    return 1, len(card.bands), side, side


def run_zeros(module: nn.Module, card: ModelCard, shape: tuple[int, int, int, int] | None = None) -> None:
    """Raise ModelError unless a chip of zeros gives what the card promises; of `chip_shape`, or another shape.

    Scores are finite, of the right shape, and in 0..1 where they are final; objects are whole, lie inside the chip and
    have labels of the card.
    """
    shape = shape or chip_shape(card)
    try:
        with torch.inference_mode():
            answer = module(torch.zeros(shape))
    except (RuntimeError, ValueError, TypeError, AssertionError) as error:
        raise ModelError(f"card {card.name}: the network fails on a chip of {shape[2]} pixels: {error}") from error
    if card.kind == "semantic":
        _check_scores(answer, card, shape, final=card.activation == "none")
    else:
        check_answer(answer, card, shape)


def check_answer(answer: Any, card: ModelCard, shape: Sequence[int]) -> None:
    """Raise ModelError unless an object network's answer to chips of `shape` (batch, band, y, x) fits the card."""
    if not isinstance(answer, Answer) or len(answer.objects) != shape[0]:
        found = f"objects of {len(answer.objects)} chips" if isinstance(answer, Answer) else type(answer).__name__
        raise ModelError(f"card {card.name}: found {found}; expected an Answer with the objects of {shape[0]} chip(s)")
    for objects in answer.objects:
        if fault := _fault(objects, len(card.object_ids), shape):
            raise ModelError(f"card {card.name}: found objects whose {fault}: build the network from its card")
    if card.kind == "panoptic":
        _check_scores(answer.scores, card, shape, final=True)
    elif answer.scores is not None:
        raise ModelError(f"card {card.name}: found scores of pixels; expected none from an instance model")


def _fault(objects: Objects, things: int, shape: Sequence[int]) -> str:
    """What is wrong with the objects of one chip; empty for nothing."""
    count, boxes = len(objects.scores), objects.boxes
    if not (tuple(boxes.shape) == (count, 4) and len(objects.labels) == count == len(objects.masks)):
        return f"{count} scores come with boxes of shape {list(boxes.shape)}, {len(objects.masks)} masks"
    if not count:
        return ""
    if int(objects.labels.min()) < 0 or int(objects.labels.max()) >= things:
        return (
            f"labels reach from {int(objects.labels.min())} to {int(objects.labels.max())}; expected 0 to {things - 1}"
        )
    sizes = boxes[:, 2:] - boxes[:, :2]
    if int(boxes.min()) < 0 or bool((boxes[:, 2] > shape[3]).any() or (boxes[:, 3] > shape[2]).any()):
        return f"boxes leave the chip of {shape[2]} x {shape[3]} pixels"
    if int(sizes.min()) < 1:
        return "boxes are empty"
    if any(tuple(m.shape) != (int(h), int(w)) for m, (w, h) in zip(objects.masks, sizes.tolist(), strict=True)):
        return "masks are not of their boxes' sizes"
    if not bool(((objects.scores >= 0) & (objects.scores <= 1)).all()):
        return "scores are not between 0 and 1"
    return ""


def _check_scores(scores: Any, card: ModelCard, shape: Sequence[int], final: bool) -> None:
    expected = (shape[0], len(card.channel_ids), *shape[2:])
    if not isinstance(scores, torch.Tensor) or tuple(scores.shape) != expected:
        found = list(scores.shape) if isinstance(scores, torch.Tensor) else type(scores).__name__
        raise ModelError(f"card {card.name}: found an answer of shape {found}; expected {list(expected)}")
    if not scores.isfinite().all():
        raise ModelError(f"card {card.name}: found NaN or infinite scores for a chip of zeros; expected finite ones")
    low, high = float(scores.min()), float(scores.max())
    if final and not (low >= 0 and high <= 1):
        remedy = ", as activation 'none' promises: set it to softmax or sigmoid" if card.kind == "semantic" else ""
        raise ModelError(f"card {card.name}: found scores from {low:g} to {high:g}; expected 0 to 1{remedy}")
