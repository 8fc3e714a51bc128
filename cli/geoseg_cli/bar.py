"""Progress for people: a bar on the terminal, warnings above it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn

from geoseg_cli.tally import Tally
from geoseg_cli.teller import Teller
from geoseg_cli.words import clock


class RichProgress(Teller):
    """A bar with tiles, pace and time left; then a line for each later stage. Safe to use from threads."""

    def __init__(self, console: Console, tally: Tally | None = None) -> None:
        """Draw on `console`."""
        self._bar = Progress(
            SpinnerColumn(finished_text="✓"),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TextColumn("{task.fields[pace]}"),
            TimeElapsedColumn(),
            console=console,
            transient=False,
        )
        self._tally = tally or Tally()
        self._lock = threading.RLock()
        self._task: TaskID | None = None

    def close(self) -> None:
        """Draw the last state and give the terminal back; a bar that only pulses says nothing any more, and goes."""
        with self._lock:
            if self._task is not None and self._total is None:
                self._bar.update(self._task, visible=False)
            self._bar.stop()

    def plan(self, plan: Mapping[str, Any]) -> None:
        """The bar appears; one that a new plan made worthless goes."""
        with self._lock:
            if self._task is not None and self._total is not None:
                self._bar.update(self._task, visible=False)
            self._finish()
            self._tally.begin(plan)
            self._bar.start()
            self._task = self._bar.add_task("predicting", total=self._tally.tiles_total, pace=self._pace())

    def advance(self, tiles: int, pixels: int) -> None:
        """The bar moves."""
        with self._lock:
            self._tally.add(tiles, pixels)
            if self._task is not None:
                self._bar.update(self._task, completed=self._tally.tiles, pace=self._pace())

    def stage(self, name: str) -> None:
        """A new line, whose bar pulses since nobody knows how long it takes."""
        with self._lock:
            self._finish()
            self._bar.start()
            self._task = self._bar.add_task(escape(name), total=None, pace="")

    def warn(self, message: str) -> None:
        """A line above the bar."""
        self._bar.console.print(f"[yellow]warning:[/] {escape(message)}", highlight=False)

    def result(self, summary: Mapping[str, Any]) -> None:
        """The last stage is done."""
        with self._lock:
            self._finish()

    def _finish(self) -> None:
        if self._task is None:
            return
        if self._total is None:
            self._bar.update(self._task, total=1, completed=1)
        else:
            self._bar.update(self._task, completed=self._tally.tiles, pace=self._pace())
        self._task = None

    @property
    def _total(self) -> float | None:
        return None if self._task is None else self._bar.tasks[self._task].total

    def _pace(self) -> str:
        tally = self._tally
        words = [f"{tally.tiles:,}/{tally.tiles_total:,} tiles"]
        if tally.mpx_per_s is not None:
            words.append(f"{tally.mpx_per_s:.1f} Mpx/s")
        if tally.seconds_left:
            words.append(f"{clock(tally.seconds_left)} left")
        return " · ".join(words)
