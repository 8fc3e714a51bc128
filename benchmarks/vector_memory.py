"""Peak memory of the polygonizer beyond start-up, for rasters of more and more rows; each run a process of its own."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from children import HERE, measure
from vector_tables import Row, Table, Verdict

KINDS = {"noise": "three-class noise (62/19/19 %, the last is background)", "blobs": "building mask"}
ALLOWED_GROWTH = 0.05  # of the peak of the shorter rasters
ROWS = (4096, 8192, 16384, 32768)


@dataclass(frozen=True, slots=True)
class MemoryTrial:
    """How wide and long the rasters are, the spool's budget, the larger ones tried on the longest, and where it is."""

    width: int = 4096
    rows: Sequence[int] = ROWS
    megabytes: int = 256
    larger: Sequence[int] = (1024, 4096)
    threads: int = 1
    folder: Path = field(default_factory=lambda: Path(tempfile.gettempdir()))

    def run(self, kind: str, rows: int, megabytes: int) -> Row:
        """One row of the table."""
        words = [kind, self.width, rows, megabytes, self.threads, self.folder]
        found = measure([sys.executable, HERE / "vector_child.py", *map(str, words)])
        return {
            "rows": rows,
            "budget MB": megabytes,
            "peak MB": found["added_rss"] / 1e6,
            "anonymous MB": found["added_anonymous"] / 1e6,
            "polygons": found["polygons"],
            "vertices": found["vertices"],
            "largest polygon": found["largest"],
            "share": f"{found['largest'] / max(1, found['vertices']):.0%}",
            "Mpx/s": rows * self.width / 1e6 / found["seconds"],
        }


def memory(trial: MemoryTrial) -> list[Table]:
    """A table for each kind of raster."""
    return [_one(trial, kind) for kind in KINDS]


def _one(trial: MemoryTrial, kind: str) -> Table:
    rows = [trial.run(kind, count, trial.megabytes) for count in trial.rows]
    for row in rows:
        row["ratio"] = row["peak MB"] / rows[0]["peak MB"]
    larger = [trial.run(kind, trial.rows[-1], megabytes) for megabytes in trial.larger]
    title = f"memory: {KINDS[kind]}, {trial.width} wide, {trial.threads} thread(s), spool in {trial.folder}"
    return Table(f"{title}; beyond start-up, at the peak", rows + larger, _verdicts(trial, rows))


def _verdicts(trial: MemoryTrial, rows: list[Row]) -> list[Verdict]:
    """The budget may be used or not, as arrays happen to fit: what more rows take is compared with the first two."""
    return [_verdict(trial, rows, name) for name in ("peak MB", "anonymous MB")]


def _verdict(trial: MemoryTrial, rows: list[Row], name: str) -> Verdict:
    peaks = [row[name] for row in rows]
    text = f"{name}: {trial.rows[-1]} rows take no more than {trial.rows[0]} or {trial.rows[min(1, len(rows) - 1)]}"
    met = max(peaks[2:], default=0.0) <= (1 + ALLOWED_GROWTH) * max(peaks[:2])
    return Verdict(f"{text} (last / first {peaks[-1] / peaks[0]:.2f})", met)
