"""The loss of a recipe."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor, nn

from geoseg.core.classes import ClassSet
from geoseg.errors import SpecError
from geoseg.training.losses.lovasz import lovasz
from geoseg.training.losses.pixels import cross_entropy, focal
from geoseg.training.losses.reading import UNKNOWN, Reading
from geoseg.training.losses.regions import dice, tversky
from geoseg.training.options import LossOptions, LossTerm

_TERMS: Mapping[str, Callable[[Reading, LossTerm], Tensor]] = MappingProxyType(
    {"cross-entropy": cross_entropy, "focal": focal, "dice": dice, "tversky": tversky, "lovasz": lovasz}
)


class Loss(nn.Module):
    """The weighted terms of a loss, to be summed. `reach_m` is how far from edges pixels count more, 0 for nowhere."""

    class_weights: Tensor | None

    def __init__(self, options: LossOptions, counted: tuple[int, ...], weights: Tensor | None, exclusive: bool) -> None:
        """Take the options, the channels whose regions count, class weights, and whether channels are exclusive."""
        super().__init__()
        self.options, self.counted, self.exclusive = options, counted, exclusive
        self.reach_m = max((term.edge_m for term in options.terms if term.edge), default=0.0)
        self.register_buffer("class_weights", weights, persistent=False)

    def forward(self, logits: Tensor, target: Tensor, edges: Tensor | None = None) -> dict[str, Tensor]:
        """Each term, weighted, a float32 scalar; a batch that nobody knows anything of gives 0 with a gradient of 0.

        `logits` (window, channel, y, x) are the network's before softmax or sigmoid; `target` (window, y, x) int64 as
        `semantic_target` gives it, `edges` (window, y, x) metres as `edge_distances` gives them up to `reach_m`.
        """
        names = _names(self.options)
        flat = target.flatten()
        known = flat != UNKNOWN
        if not bool(known.any()):
            return dict.fromkeys(names, (logits.float() * 0).sum())
        reading = Reading(
            logits=logits.float().transpose(0, 1).flatten(1),
            target=flat,
            known=None if bool(known.all()) else known.float(),
            edges=None if edges is None else edges.flatten(),
            counted=self.counted,
            exclusive=self.exclusive,
            class_weights=self.class_weights,
            smoothing=self.options.label_smoothing,
        )
        terms = zip(names, self.options.terms, strict=True)
        return {name: term.weight * _TERMS[term.name](reading, term) for name, term in terms}


def make_loss(
    options: LossOptions,
    classes: ClassSet,
    class_weights: Tensor | None = None,
    activation: Literal["softmax", "sigmoid", "none"] = "softmax",
) -> Loss:
    """The loss of a semantic network whose channels are those of `classes`, the foreground's alone for "sigmoid".

    `class_weights` (channel,) as `geoseg.training.losses.class_weights` gives them. Raises SpecError for a network
    that returns scores (activation "none"), and for terms with options that they do not have.
    """
    if activation == "none":
        raise SpecError(
            "the network returns scores already (activation 'none'); expected logits to learn from: "
            "train a model whose activation is softmax or sigmoid"
        )
    for term in options.terms:
        _check(term)
    shown = classes.foreground if activation == "sigmoid" else classes.classes
    counted = tuple(i for i, c in enumerate(shown) if c.id != classes.background)
    weights = None if class_weights is None else torch.as_tensor(class_weights, dtype=torch.float32)
    if weights is not None and weights.shape != (len(shown),):
        raise SpecError(f"found {tuple(weights.shape)} class weights; expected one for each of {len(shown)} channels")
    return Loss(options, counted or tuple(range(len(shown))), weights, activation == "softmax")


def _check(term: LossTerm) -> None:
    """Raise SpecError where a term is given what it does not know."""
    if term.name == "lovasz" and term.edge:
        raise SpecError("loss term 'lovasz': found edge > 0; its pixels have no weights: give edge to another term")
    if term.hardest < 1 and term.name not in ("cross-entropy", "focal"):
        raise SpecError(
            f"loss term {term.name!r}: found hardest = {term.hardest:g}; only the pixels of cross-entropy and focal "
            "can be chosen by their loss: leave it out"
        )


def _names(options: LossOptions) -> list[str]:
    """The terms' names, with a number from the second of a name on."""
    seen: Counter[str] = Counter()
    names = []
    for term in options.terms:
        seen[term.name] += 1
        names.append(term.name if seen[term.name] == 1 else f"{term.name}-{seen[term.name]}")
    return names
