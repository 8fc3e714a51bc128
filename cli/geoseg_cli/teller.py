"""Progress for scripts, and what every kind of progress can do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click


class Teller:
    """The progress of a job, with its two ends. This one tells warnings only, on standard error."""

    def plan(self, plan: Mapping[str, Any]) -> None:
        """The job's plan, once, before the first pixel."""

    def advance(self, tiles: int, pixels: int) -> None:
        """So many more tiles are done or skipped, and so many more pixels are final."""

    def stage(self, name: str) -> None:
        """A step after prediction begins."""

    def warn(self, message: str) -> None:
        """Something that the user should know."""
        click.echo(f"geoseg: warning: {message}", err=True)

    def note(self, values: Mapping[str, Any]) -> None:
        """Figures of a job that goes on, by name."""

    def planned(self, plan: Mapping[str, Any]) -> None:
        """The job was to be planned only, and this is its plan."""

    def result(self, summary: Mapping[str, Any]) -> None:
        """The job is done."""

    def error(self, code: str, message: str, exit_code: int) -> None:
        """The job has failed; the message goes to standard error by itself."""

    def close(self) -> None:
        """Nothing follows."""
