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
RUNS = 3  # of each raster; peaks of single runs vary by as much as the budget, so that medians count
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
        runs = [measure([sys.executable, HERE / "vector_child.py", *map(str, words)]) for _ in range(RUNS)]
        found = sorted(runs, key=lambda run: run["added_rss"])[RUNS // 2]
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
    """What longer rasters take beyond the shortest one has to stay within the budget."""
    return [_verdict(trial, rows, name) for name in ("peak MB", "anonymous MB")]


def _verdict(trial: MemoryTrial, rows: list[Row], name: str) -> Verdict:
    peaks, budget = [row[name] for row in rows], trial.megabytes * (1 << 20) / 1e6
    grown = max(peaks) - peaks[0]
    text = f"{name}: up to {trial.rows[-1]} rows grow by no more than the budget over {trial.rows[0]}"
    return Verdict(f"{text} (by {grown:.0f}, last / first {peaks[-1] / peaks[0]:.2f})", grown <= budget)
