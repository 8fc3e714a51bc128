"""Progress for people: a bar on the terminal, warnings above it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn

from geoseg_cli.tally import OF_TRAINING, Tally
from geoseg_cli.teller import Teller
from geoseg_cli.words import clock

FIGURES = {"loss": "loss", "iou": "IoU", "best_iou": "best IoU"}  # what a bar shows of the figures of a job


class RichProgress(Teller):
    """A bar with tiles, pace and time left; then a line for each later stage. Safe to use from threads.

    The bar of a training shows steps, loss and IoU, that of a comparison scenes; both say what is done in between.
    """

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
        self._counted = False  # whether the bar that moves counts something

    def close(self) -> None:
        """Draw the last state and give the terminal back; a bar that only pulses says nothing any more, and goes."""
        with self._lock:
            if self._task is not None and not self._counted:
                self._bar.update(self._task, visible=False)
            self._bar.stop()

    def plan(self, plan: Mapping[str, Any]) -> None:
        """The bar appears; one that a new plan made worthless goes."""
        with self._lock:
            if self._task is not None and self._counted:
                self._bar.update(self._task, visible=False)
            self._finish()
            self._tally.begin(plan)
            self._bar.start()
            self._task = self._bar.add_task(self._tally.stage, total=1.0, pace=self._pace())
            self._counted = True
            self._move(self._task)

    def advance(self, tiles: int, pixels: int) -> None:
        """The bar moves."""
        with self._lock:
            self._tally.add(tiles, pixels)
            self._redraw()

    def note(self, values: Mapping[str, Any]) -> None:
        """The bar shows loss, IoU and the time left."""
        with self._lock:
            self._tally.note(values)
            self._redraw()

    def stage(self, name: str) -> None:
        """A new line, whose bar pulses since nobody knows how long it takes; within a bar that has stages, its name."""
        with self._lock:
            self._tally.enter(name)
            if self._task is not None and self._counted and self._goes_on(name):
                self._bar.update(self._task, description=escape(name))
                return
            self._finish()
            self._bar.start()
            self._task = self._bar.add_task(escape(name), total=None, pace="")
            self._counted = False

    def warn(self, message: str) -> None:
        """A line above the bar."""
        self._bar.console.print(f"[yellow]warning:[/] {escape(message)}", highlight=False)

    def result(self, summary: Mapping[str, Any]) -> None:
        """The last stage is done."""
        with self._lock:
            self._finish()

    def _goes_on(self, stage: str) -> bool:
        """Whether a stage belongs to what the bar counts: to a training, or to one of the scenes compared."""
        if self._tally.unit == "steps":
            return stage in OF_TRAINING
        return self._tally.unit == "scenes" and self._tally.fraction < 1

    def _finish(self) -> None:
        if self._task is None:
            return
        if self._counted:
            self._bar.update(self._task, description=self._tally.stage)
            self._move(self._task)
        else:
            self._bar.update(self._task, total=1, completed=1)
        self._task = None

    def _redraw(self) -> None:
        if self._task is not None and self._counted:
            self._move(self._task)

    def _move(self, task: TaskID) -> None:
        self._bar.update(task, completed=self._tally.fraction, pace=self._pace())

    def _pace(self) -> str:
        tally = self._tally
        total = f"/{tally.tiles_total:,}" if tally.tiles_total or tally.unit != "steps" else ""
        words = [f"{tally.tiles:,}{total} {tally.unit}"]
        words += [f"{word} {tally.notes[name]:.3f}" for name, word in FIGURES.items() if _known(tally.notes.get(name))]
        if tally.mpx_per_s is not None and tally.unit == "tiles":
            words.append(f"{tally.mpx_per_s:.1f} Mpx/s")
        if tally.seconds_left:
            words.append(f"{clock(tally.seconds_left)} left")
        return " · ".join(words)


def _known(figure: Any) -> bool:
    return isinstance(figure, int | float) and not isinstance(figure, bool)
