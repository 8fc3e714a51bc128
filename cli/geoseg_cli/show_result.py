"""A result, for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from geoseg_cli.tables import facts, listing
from geoseg_cli.words import area, duration, length, number_of

SHOWN = 10  # unreadable blocks that are listed; --json lists all


def show_result(summary: Mapping[str, Any]) -> None:
    """Print what was found and where it is; warnings were told while the job ran."""
    _show_found(summary)
    bad = summary.get("bad_blocks", [])
    skipped = summary.get("tiles", {}).get("skipped_empty")
    rows = [(kind, str(path)) for kind, path in summary["outputs"].items()]
    pace = f"{duration(summary['seconds'])} after planning, {summary['mpx_per_second']:.2f} Mpx/s"
    rows += [("time", pace + _by(summary))]
    rows += [("values", f"stretched: {summary['stretch']['origin']}")] if summary.get("stretch") else []
    rows += [("skipped", f"{number_of(skipped, 'tile')} without a valid pixel")] if skipped else []
    rows += [("unreadable", "\n".join(_block(block) for block in bad[:SHOWN]))] if bad else []
    rows += [("", f"and {len(bad) - SHOWN:,} more; --json lists all")] if len(bad) > SHOWN else []
    rows += [("credit", summary["attribution"])] if summary.get("attribution") else []
    facts(rows)


def _by(summary: Mapping[str, Any]) -> str:
    """What the network ran on, and in which precision: its last bits depend on that."""
    by = summary.get("computed_by")
    return f", by {by['backend']} on {by['device']} in {by['precision']}" if by else ""


def _show_found(summary: Mapping[str, Any]) -> None:
    """Print the objects of each class, where the job drew any."""
    for kind, sizes, words in (("polygons", "area_m2", area), ("lines", "length_m", length)):
        counts: Mapping[str, int] | None = summary.get(kind)
        if counts:
            found = [(name, f"{count:,}", words(summary[sizes][name])) for name, count in counts.items()]
            listing(("class", kind, sizes.partition("_")[0]), found, right=(1, 2))
        elif counts is not None:
            facts([(kind, "none found")])


def _block(block: Mapping[str, Any]) -> str:
    (top, bottom), (left, right) = block["rows"], block["columns"]
    return f"{block['path']}: rows {top} to {bottom}, columns {left} to {right}"
