"""What `--task` means: the default model and the postprocess of each thing that a user may ask for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from geoseg.errors import UnknownNameError


@dataclass(frozen=True, slots=True)
class Task:
    """A task: `model` is the packaged bundle's name; areas in square metres, lengths in metres on the ground."""

    name: str
    description: str
    model: str
    min_area_m2: float
    fill_holes_m2: float
    simplify_m: float


TASKS: Mapping[str, Task] = MappingProxyType(
    {
        "buildings": Task(
            name="buildings",
            description="roofs of buildings, from RGB drone and aerial imagery",
            model="buildings",
            min_area_m2=8.0,
            fill_holes_m2=6.0,
            simplify_m=0.5,
        ),
    }
)


def get_task(name: str) -> Task:
    """The task of that name. Raises UnknownNameError with the near names."""
    if name not in TASKS:
        raise UnknownNameError("task", name, TASKS)
    return TASKS[name]
