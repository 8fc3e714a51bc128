"""A plan, for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from geoseg_cli.tables import facts
from geoseg_cli.words import crs, number_of, phrase, shape, size

Rows = list[tuple[str, str]]


def show_plan(plan: Mapping[str, Any]) -> None:
    """Print what the job will do."""
    facts([*_input(plan), *_work(plan), *_output(plan)])


def _input(plan: Mapping[str, Any]) -> Rows:
    scene, model = plan["scene"], plan["model"]
    bands = ", ".join(f"{name} from band {index}" for name, index in scene["bands"].items())
    resolution = "unknown resolution" if scene["resolution_m"] is None else f"{scene['resolution_m']:.4g} m per pixel"
    return [
        ("scene", "\n".join(scene["paths"])),
        ("", f"{shape(scene['shape'])}, {resolution}, {crs(scene['crs'])}, {scene['dtype']}"),
        ("bands", bands),
        ("task", plan["task"] or "-"),
        ("model", f"{model['name']} {model['version']}, {model['license']}, sha256 {model['sha256'][:12]}"),
    ]


def _work(plan: Mapping[str, Any]) -> Rows:
    grid, tiles = plan["grid"], plan["tiles"]
    origin = "resampled to " if grid["resampled"] else "the scene's own, "
    skipped = f"; {tiles['skipped_by_region']:,} outside the area are skipped" if tiles["skipped_by_region"] else ""
    averaged = [f"tta {plan['tta']}"] if plan["tta"] != "none" else []
    averaged += [f"scales {phrase(plan['scales'])}"] if list(plan["scales"]) != [1.0] else []
    computing = [
        plan["device"],
        plan["precision"],
        number_of(plan["threads"], "thread"),
        f"{number_of(plan['batch_size'], 'tile')} at a time",
    ]
    return [
        ("area", _area(plan["region"])),
        ("grid", f"{origin}{shape(grid['shape'])}, {grid['resolution_m']:.4g} m per pixel"),
        ("tiles", f"{tiles['planned']:,} of {tiles['size']} pixels, overlap {tiles['overlap']}{skipped}"),
        ("values", _stretch(plan["stretch"])),
        ("decision", "best class" if plan["threshold"] is None else f"objects from a score of {plan['threshold']:g}"),
        ("computing", ", ".join([*computing, *averaged])),
        ("memory", f"about {size(plan['memory_bytes'])}, and the network's own"),
    ]


def _output(plan: Mapping[str, Any]) -> Rows:
    clean = plan["postprocess"]
    polygons = (
        f"at least {clean['min_area_m2']:g} m², holes below {clean['fill_holes_m2']:g} m² filled, "
        f"simplified by {clean['simplify_m']:g} m"
    )
    disk = [("disk", f"at least {size(plan['disk_bytes'])}")] if plan["disk_bytes"] else []
    outputs = [(kind, str(path)) for kind, path in plan["outputs"].items()] or [("outputs", "none: a dry run")]
    return [("polygons", polygons), *disk, *outputs]


def _area(region: Mapping[str, Any] | None) -> str:
    if region is None:
        return "the whole scene"
    if region["clip"]:
        return "cut at the edge of the area of interest"
    return f"objects that meet the area of interest, looked for {region['margin_m']:.4g} m around it"


def _stretch(stretch: Mapping[str, Any] | None) -> str:
    if stretch is None:
        return "as they are"
    pairs = zip(stretch["low"], stretch["high"], strict=True)
    return f"stretched from {', '.join(f'{low:g}..{high:g}' for low, high in pairs)} ({stretch['origin']})"
