"""Progress that remembers what the user was warned of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from geoseg.core.protocols import Progress


@dataclass(slots=True)
class Told:
    """Progress that is passed on; each warning is told once, and kept in `warnings`."""

    progress: Progress
    warnings: list[str] = field(default_factory=list)

    def plan(self, plan: Mapping[str, Any]) -> None:
        """Pass the plan on."""
        self.progress.plan(dict(plan))

    def advance(self, tiles: int, pixels: int) -> None:
        """Pass on what is done."""
        self.progress.advance(tiles, pixels)

    def stage(self, name: str) -> None:
        """Pass the step on."""
        self.progress.stage(name)

    def warn(self, message: str) -> None:
        """Pass a warning on, once."""
        if message not in self.warnings:
            self.warnings.append(message)
            self.progress.warn(message)

    def note(self, values: Mapping[str, Any]) -> None:
        """Pass figures on."""
        self.progress.note(values)
