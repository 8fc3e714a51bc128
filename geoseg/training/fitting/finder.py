"""A learning rate found by trying."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from geoseg.errors import TrainingError
from geoseg.training.batch import Batch
from geoseg.training.fitting.course import Course
from geoseg.training.fitting.objective import Terms
from geoseg.training.fitting.optimizer import optimizer_for, set_modes, set_rate

LOWEST, HIGHEST = 1e-6, 0.3
TRIES = 60
_MEMORY = 0.8  # share of the mean loss that the next step keeps
_WORSE = 3.0  # times the best loss, from which rates are too high
_BELOW = 3.0  # the rate that is taken lies so many times below the one where the loss falls fastest
_USUAL = (1e-5, 1e-2)  # what is found is kept between

Losses = Callable[[nn.Module, Batch, int], Terms]


def find_rate(course: Course, terms: Losses, device: torch.device, context: Callable[[], Any]) -> float:
    """A learning rate for the course: one step at each of rising rates, on a copy of the network.

    Smith 2017, arXiv:1506.01186: a third of the rate at which the mean loss falls fastest over the rate's logarithm.
    Raises TrainingError when the loss is no number from the beginning.
    """
    network = copy.deepcopy(course.network).to(device)
    set_modes(network, course.options.loop.frozen > 0, course.options.loop.freeze_norms)
    optimizer = optimizer_for(network, course.options.loop)
    rates: list[float] = []
    means: list[float] = []
    mean = 0.0
    for number, batch in enumerate(course.batches(0, TRIES)):
        rate = LOWEST * (HIGHEST / LOWEST) ** (number / (TRIES - 1))
        set_rate(optimizer, rate)
        optimizer.zero_grad()
        with context():
            value = torch.stack(list(terms(network, batch.to(device), number).values())).sum()
        value.backward()  # type: ignore[no-untyped-call]
        mean = _MEMORY * mean + (1 - _MEMORY) * float(value.detach())
        smooth = mean / (1 - _MEMORY ** (number + 1))
        if not math.isfinite(smooth) or (means and smooth > _WORSE * min(means)):
            break
        rates.append(rate)
        means.append(smooth)
        optimizer.step()
    if not means:
        raise TrainingError(
            "the learning rate cannot be found: the loss of the first batch is no number; expected one: check the "
            "values of the scenes, or choose loop.precision fp32"
        )
    return steepest(rates, means)


def steepest(rates: Sequence[float], losses: Sequence[float]) -> float:
    """The rate to take, two digits long: below the one where `losses` fall fastest over the logarithm of `rates`.

    Each loss is that before the step of its rate, so that the next one tells what the rate did.
    """
    slopes = [after - before for before, after in itertools.pairwise(losses)]
    place = min(range(len(slopes)), key=slopes.__getitem__) if slopes and min(slopes) < 0 else 0
    return float(f"{min(max(rates[place] / _BELOW, _USUAL[0]), _USUAL[1]):.1e}")
