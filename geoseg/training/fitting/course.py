"""What the loop is given and what comes out of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch import Tensor, nn

from geoseg.core.card import ModelCard
from geoseg.models import LoadedModel
from geoseg.training.batch import Batch
from geoseg.training.options import Training

Batches = Callable[[int, int], Iterator[Batch]]
Row = dict[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """One run of training.

    `network` is trained in place and starts as it is. `batches(first, last)` gives the batches of these numbers in
    order; each follows from its number alone, and there is always a next one. `validation()` gives the windows that
    are kept for checking, the same ones each time; None where nothing is kept. `unlabelled` is like `batches`, of
    scenes without labels. `class_pixels` counts labelled pixels by class id, for balanced weights. `folder` holds
    checkpoint, log and pictures. `data` names scenes and labels with whatever identifies them: a checkpoint made with
    other data is not gone on with. `existing` says what becomes of a run that the folder holds already. With several
    devices the whole course is pickled.
    """

    card: ModelCard
    network: nn.Module
    options: Training
    folder: Path
    batches: Batches
    validation: Callable[[], Iterator[Batch]] | None = None
    unlabelled: Batches | None = None
    teacher: LoadedModel | None = None
    class_pixels: Mapping[int, int] | None = None
    data: Mapping[str, str] | None = None
    existing: Literal["refuse", "resume", "replace"] = "refuse"


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """What a run of training came to.

    `weights` are a state dict on the CPU: the average of the weights at its best validation, or at the last step.
    `best` holds the figures of that validation, empty without one. `history` has a row each few steps: step, seconds,
    waited, learning_rate, loss and its terms, and iou with that of each class where there was a validation. `waited` is
    the share of its time in which the loop waited for batches; `seconds` counts all sittings.
    """

    weights: dict[str, Tensor]
    step: int
    history: Sequence[Mapping[str, Any]]
    best: Mapping[str, float]
    waited: float
    seconds: float
