"""A result, for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from geoseg_cli.tables import facts, listing
from geoseg_cli.words import area, duration, number_of

SHOWN = 10  # unreadable blocks that are listed; --json lists all


def show_result(summary: Mapping[str, Any]) -> None:
    """Print what was found and where it is; warnings were told while the job ran."""
    counts: Mapping[str, int] | None = summary["polygons"]
    if counts:
        found = [(name, f"{count:,}", area(summary["area_m2"][name])) for name, count in counts.items()]
        listing(("class", "polygons", "area"), found, right=(1, 2))
    elif counts is not None:
        facts([("polygons", "none found")])
    bad = summary["bad_blocks"]
    skipped = summary["tiles"]["skipped_empty"]
    rows = [(kind, str(path)) for kind, path in summary["outputs"].items()]
    rows += [
        ("time", f"{duration(summary['seconds'])} after planning, {summary['mpx_per_second']:.2f} Mpx/s of the scene")
    ]
    rows += [("values", f"stretched: {summary['stretch']['origin']}")] if summary["stretch"] else []
    rows += [("skipped", f"{number_of(skipped, 'tile')} without a valid pixel")] if skipped else []
    rows += [("unreadable", "\n".join(_block(block) for block in bad[:SHOWN]))] if bad else []
    rows += [("", f"and {len(bad) - SHOWN:,} more; --json lists all")] if len(bad) > SHOWN else []
    rows += [("credit", summary["attribution"])] if summary["attribution"] else []
    facts(rows)


def _block(block: Mapping[str, Any]) -> str:
    (top, bottom), (left, right) = block["rows"], block["columns"]
    return f"{block['path']}: rows {top} to {bottom}, columns {left} to {right}"
