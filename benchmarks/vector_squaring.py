"""The table of squared footprints, with a mean of all scenes, and what was promised of it."""

from __future__ import annotations

from pathlib import Path

from vector_tables import Row, Table, Verdict

OURS, PLAIN, PEER = "geoseg", "Douglas-Peucker", "buildingregulariser"


def squaring_table(labels: Path) -> Table:
    """The footprints of a folder (scenes NAME.tif with NAME.geojson), scene by scene and all together."""
    from squaring import squaring

    rows = squaring(labels)
    means = {name: mean for name in ("exact outlines", OURS, PLAIN, PEER) if (mean := _mean(rows, name))}
    notes = [] if PEER in means else [f"{PEER}: not installed (see --peers)"]
    return Table(f"squaring: the footprints of {labels}", [*rows, *means.values()], _verdicts(means), notes)


def _mean(rows: list[Row], system: str) -> Row | None:
    """Sums, and means weighted by buildings, of a system's rows."""
    own = [row for row in rows if row["system"].startswith(system)]
    if not own:
        return None
    buildings = sum(row["buildings"] for row in own)
    means = {
        name: sum(row[name] * row["buildings"] for row in own) / buildings for name in ("iou", "vertices", "right")
    }
    sums = {name: sum(row[name] for row in own) for name in ("walls", "opened", "invalid")}
    return {"scene": "all", "system": system, "buildings": buildings, **means, **sums}


def _verdicts(means: dict[str, Row]) -> list[Verdict]:
    ours = means[OURS]
    better = {name: ours["iou"] > means[name]["iou"] if name in means else None for name in (PLAIN, PEER)}
    return [
        Verdict(f"mean IoU above {PLAIN}'s with as many vertices", better[PLAIN]),
        Verdict(f"mean IoU above {PEER}'s", better[PEER]),
        Verdict(f"no shared wall opened ({ours['opened']} of {ours['walls']})", ours["opened"] == 0),
        Verdict("no invalid polygon", ours["invalid"] == 0),
    ]
