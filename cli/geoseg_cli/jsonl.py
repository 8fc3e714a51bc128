"""Progress for programs: one JSON object a line on standard output. docs/progress.md describes the protocol."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Mapping
from typing import Any, TextIO

from geoseg_cli.tally import Tally
from geoseg_cli.teller import Teller

PROTOCOL = 1
INTERVAL = 0.25  # seconds between two progress lines of one stage


def plain(value: Any) -> Any:
    """The value as JSON knows it: numbers that are not finite become null, unknown objects their text."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, str | bool | int | float) else str(value)


def to_json(value: Any, indent: int | None = None) -> str:
    """The value as JSON text that any parser reads."""
    return json.dumps(plain(value), indent=indent, allow_nan=False)


class JsonlProgress(Teller):
    """Progress as lines `{"geoseg": 1, "type": "plan|progress|note|warning|result|error", ...}`.

    It is safe to use from threads.
    """

    def __init__(self, stream: TextIO, interval: float = INTERVAL, tally: Tally | None = None) -> None:
        """Write to `stream`; `interval` is the least time between two progress lines, in seconds."""
        self._stream = stream
        self._interval = interval
        self._tally = tally or Tally()
        self._lock = threading.RLock()
        self._stage = self._tally.stage
        self._told = self._noted = -math.inf
        self._notes: dict[str, Any] = {}
        self._pending = False

    def plan(self, plan: Mapping[str, Any]) -> None:
        """A plan line."""
        with self._lock:
            self._flush_notes()
            self._tally.begin(plan)
            self._stage, self._pending, self._told = self._tally.stage, False, -math.inf
            self._write("plan", plan=plan)

    def advance(self, tiles: int, pixels: int) -> None:
        """A progress line, if the last one is long enough ago."""
        with self._lock:
            self._tally.add(tiles, pixels)
            self._pending = True
            if self._tally.clock() - self._told >= self._interval:
                self._tell()

    def stage(self, name: str) -> None:
        """What is left to tell of the stage before, then a first line of this one."""
        with self._lock:
            self._flush()
            self._tally.enter(name)
            self._stage = name
            self._tell()

    def warn(self, message: str) -> None:
        """A warning line."""
        with self._lock:
            self._write("warning", message=message)

    def note(self, values: Mapping[str, Any]) -> None:
        """A line of figures, if the last one is long enough ago; a figure that is not told waits for the next line."""
        with self._lock:
            self._tally.note(values)
            self._notes.update(values)
            if self._tally.clock() - self._noted >= self._interval:
                self._flush_notes()

    def planned(self, plan: Mapping[str, Any]) -> None:
        """The last line of a dry run."""
        self.plan(plan)

    def result(self, summary: Mapping[str, Any]) -> None:
        """The last line of a job that succeeded."""
        with self._lock:
            self._flush()
            self._write("result", result=summary)

    def error(self, code: str, message: str, exit_code: int) -> None:
        """The last line of a job that did not."""
        with self._lock:
            self._flush()
            self._write("error", code=code, message=message, exit_code=exit_code)

    def _flush(self) -> None:
        if self._pending:
            self._tell()
        self._flush_notes()

    def _flush_notes(self) -> None:
        if self._notes:
            told, self._notes, self._noted = self._notes, {}, self._tally.clock()
            self._write("note", values=told)

    def _tell(self) -> None:
        tally = self._tally
        self._told, self._pending = tally.clock(), False
        self._write(
            "progress",
            stage=self._stage,
            tiles=tally.tiles,
            tiles_total=tally.tiles_total,
            pixels=tally.pixels,
            fraction=round(tally.fraction, 4),
            seconds=round(tally.seconds, 3),
            mpx_per_s=None if tally.mpx_per_s is None else round(tally.mpx_per_s, 3),
            seconds_left=None if tally.seconds_left is None else round(tally.seconds_left, 1),
        )

    def _write(self, kind: str, **fields: Any) -> None:
        self._stream.write(to_json({"geoseg": PROTOCOL, "type": kind, **fields}) + "\n")
        self._stream.flush()
