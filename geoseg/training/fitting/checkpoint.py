"""The state of a run on disk: written whole or not at all, read without running anything."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from geoseg.errors import TrainingError, WriteError
from geoseg.training.fitting.course import Course

NAME = "checkpoint.pt"
VERSION = 1
# torch raises nearly anything for a file that is none of its own.
_DAMAGE = (RuntimeError, OSError, ValueError, LookupError, TypeError, EOFError, AttributeError, pickle.UnpicklingError)
_LISTED = 6  # differences in a message; the rest is counted
_MISSING = "nothing"
# What may differ between a run and its going on: it does not change which weights come out.
_FREE = (
    "about",
    "data.readers",
    "loop.checkpoint_every",
    "loop.device",
    "loop.keep",
    "loop.logger",
    "loop.pictures_every",
    "model.accept_license",
)
_CARD = ("kind", "architecture", "arguments", "bands", "dtype", "value_range", "mean", "std", "classes", "activation")


def checkpoint_path(folder: Path) -> Path:
    """Where a run's checkpoint lies in its folder."""
    return folder / NAME


def steps_done(folder: str | Path) -> int | None:
    """The number of steps after which the folder's run goes on; None where it holds none. Raises TrainingError."""
    path = checkpoint_path(Path(folder))
    return int(read(path)["record"]["step"]) if path.exists() else None


def write(path: Path, state: Mapping[str, Any]) -> None:
    """Write a state (tensors and plain values); a crash at any moment leaves this one or the one before.

    Raises WriteError.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as file:
            torch.save({"version": VERSION, **state}, file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as a RuntimeError
        part.unlink(missing_ok=True)
        raise WriteError(f"{path}: the checkpoint cannot be written ({error}); is the disk full?") from error


def read(path: Path) -> dict[str, Any]:
    """The state in a checkpoint, on the CPU. Raises TrainingError for a file that is none."""
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        version = state["version"]
    except _DAMAGE as error:
        raise TrainingError(
            f"{path}: cannot be read as a checkpoint ({error}); expected one that geoseg wrote: start the run anew "
            "with --overwrite, or name another folder with --run"
        ) from error
    if version != VERSION:
        raise TrainingError(
            f"{path}: found a checkpoint of version {version}, expected {VERSION}; go on with the geoseg that wrote "
            "it, or start the run anew with --overwrite"
        )
    return state


def recipe_of(course: Course) -> dict[str, str]:
    """Everything that decides which weights come out, by dotted name, as JSON texts."""
    options = course.options.model_dump(mode="json")
    card = course.card.model_dump(mode="json", include=set(_CARD))
    flat = {**_flat(options), **_flat(card, "card")}
    free = [*_FREE, *(("loop.steps",) if course.options.loop.minutes is not None else ())]
    kept = {k: v for k, v in flat.items() if not any(k == f or k.startswith(f"{f}.") for f in free)}
    return kept | {f"data: {name}": json.dumps(what) for name, what in (course.data or {}).items()}


def check_same(path: Path, then: Mapping[str, str], now: Mapping[str, str]) -> None:
    """Raise TrainingError, saying what changed, unless a checkpoint's recipe is that of the run."""
    changed = [
        f"{name} was {then.get(name, _MISSING)} and is {now.get(name, _MISSING)}"
        for name in sorted(then.keys() | now.keys())
        if then.get(name) != now.get(name)
    ]
    if changed:
        more = f" and {len(changed) - _LISTED} more" if len(changed) > _LISTED else ""
        raise TrainingError(
            f"{path}: is of another recipe: {'; '.join(changed[:_LISTED])}{more}; expected the same one: undo the "
            "change, start the run anew with --overwrite, or name another folder with --run"
        )


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in values.items():
        name = f"{prefix}.{key}" if prefix else key
        if isinstance(value, Mapping) and value:
            flat |= _flat(value, name)
        else:
            flat[name] = json.dumps(value, sort_keys=True)
    return flat
