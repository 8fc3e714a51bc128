"""Whether a bundle is what it says: every check that can be made without a scene."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from geoseg.core.card import ModelCard
from geoseg.errors import GeosegError, ModelError
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

    @property
    def header(self) -> BundleHeader:
        return self.headers[0]


def verify(reference: str | Path) -> Report:
    """A report on the bundle that `reference` names: header, checksum, shapes, finite weights, and a chip of zeros.

    Faults of the bundle are in the report. Raises ModelError or UnknownNameError only when there is no such bundle.
    """
    subject = _Subject(resolve(reference))
    checks: list[Check] = []
    for name, step in _STEPS.items():
        try:
            checks.append(Check(name, True, step(subject)))
        except GeosegError as error:
            checks.append(Check(name, False, str(error)))
            break
    return Report(subject.path, subject.header.card if subject.headers else None, tuple(checks))


def _card(subject: _Subject) -> str:
    subject.headers.append(read_header(subject.path))
    card = subject.header.card
    return f"{card.name} {card.version}, {card.license}"


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
    shape = chip_shape(loaded.card)
    run_zeros(loaded.module, loaded.card)
    return f"a chip of {shape[2]} x {shape[3]} gives {len(loaded.card.channel_ids)} channels of that size"


_STEPS: dict[str, Callable[[_Subject], str]] = {
    "card": _card,
    "checksum": _checksum,
    "shapes": _shapes,
    "weights": _finite,
    "chip": _chip,
}


def chip_shape(card: ModelCard) -> tuple[int, int, int, int]:
    """The shape (batch, band, y, x) of one chip of the card's tile size, or of a smaller one where that is huge."""
    side = card.tile_size
    if side > _LARGEST_CHIP:
        side = max(card.divisor, _LARGEST_CHIP // card.divisor * card.divisor)
    return 1, len(card.bands), side, side


def run_zeros(module: nn.Module, card: ModelCard) -> None:
    """Raise ModelError unless a chip of zeros gives finite scores of the right shape, in 0..1 where they are final."""
    shape = chip_shape(card)
    expected = (1, len(card.channel_ids), *shape[2:])
    try:
        with torch.inference_mode():
            scores = module(torch.zeros(shape))
    except (RuntimeError, ValueError, TypeError, AssertionError) as error:
        raise ModelError(f"card {card.name}: the network fails on a chip of {shape[2]} pixels: {error}") from error
    if not isinstance(scores, torch.Tensor) or tuple(scores.shape) != expected:
        found = list(scores.shape) if isinstance(scores, torch.Tensor) else type(scores).__name__
        raise ModelError(f"card {card.name}: found an answer of shape {found}; expected {list(expected)}")
    if not scores.isfinite().all():
        raise ModelError(f"card {card.name}: found NaN or infinite scores for a chip of zeros; expected finite ones")
    low, high = float(scores.min()), float(scores.max())
    if card.activation == "none" and not (low >= 0 and high <= 1):
        raise ModelError(
            f"card {card.name}: found scores from {low:g} to {high:g}; expected 0 to 1, as activation 'none' "
            "promises: set it to softmax or sigmoid"
        )
