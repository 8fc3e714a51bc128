"""Every error that geoseg raises on purpose. A message names what was found, what was expected and the remedy."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import ClassVar


class GeosegError(Exception):
    """The root of the tree. `code` is stable and machine-readable; `exit_code` is what the command line returns."""

    code: ClassVar[str] = "failure"
    exit_code: ClassVar[int] = 1


class InputError(GeosegError):
    """Something that the user gave cannot be used: the job ends before a pixel is predicted."""

    code = "input"
    exit_code = 2


class SceneError(InputError):
    """A scene cannot be opened, or is not what a scene has to be."""

    code = "scene"


class BandError(InputError):
    """The scene's bands cannot be matched with those that the model eats."""

    code = "bands"


class ResolutionError(InputError):
    """The scene's resolution is unknown, or outside what the model was trained on."""

    code = "resolution"


class RegionError(InputError):
    """The area of interest is unreadable, empty, or misses the scene."""

    code = "region"


class LabelError(InputError):
    """Labels are unreadable, empty, of unknown classes, or miss the scene."""

    code = "labels"


class ModelError(InputError):
    """A bundle or a card is unreadable, damaged, or does not fit the request."""

    code = "model"


class SpecError(InputError):
    """A job description is not valid."""

    code = "spec"


class OutputError(InputError):
    """An output cannot be written as asked: unknown ending, existing file, read-only folder."""

    code = "output"


class ResourceError(InputError):
    """The job needs more memory, disk or devices than there are."""

    code = "resources"


class MissingExtraError(InputError):
    """An optional dependency is not installed; the message carries the pip command."""

    code = "extra"

    def __init__(self, extra: str, package: str, purpose: str) -> None:
        """Name the extra, the package that was looked for, and what it is needed for."""
        super().__init__(f"{purpose} needs the package {package!r}: install it with  pip install 'geoseg[{extra}]'")


class UnknownNameError(InputError):
    """A registry does not know a name; the near ones are listed."""

    code = "name"

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        """List the names nearest to `name`, or all of them when none is near."""
        names = sorted(known)
        near = difflib.get_close_matches(name, names, n=4, cutoff=0.5)
        listed = f"did you mean {', '.join(near)}?" if near else f"known: {', '.join(names) or 'none'}"
        super().__init__(f"unknown {kind} {name!r}: {listed}")


class DeviceMemoryError(GeosegError):
    """The device ran out of memory while the job ran; the job starts again with smaller batches."""

    code = "memory"


class ReadError(GeosegError):
    """Pixels could not be read while the job ran; names the file and the window."""

    code = "read"


class TrainingError(GeosegError):
    """Training cannot go on: the loss is no number any more, or a checkpoint is not the run's own."""

    code = "training"


class WriteError(GeosegError):
    """An output could not be written while the job ran (for instance, the disk is full)."""

    code = "write"
