"""What a scene is and what can be done with it, for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from geoseg_cli.tables import facts, show, show_checks
from geoseg_cli.words import crs, duration, number_of, phrase, shape, size


def show_scene(found: Mapping[str, Any]) -> None:
    """Print the scene, then each task: what a run would cost, or why the scene does not fit."""
    facts(_scene(found["scene"]))
    show("")
    show_checks(((task["fits"], _task(task)) for task in found["tasks"]), failed="no")


def _scene(scene: Mapping[str, Any]) -> list[tuple[str, str]]:
    blocks = f"blocks of {shape(scene['block_shape'])}"
    overviews = f"overviews {phrase(scene['overviews'])}" if scene["overviews"] else "no overviews"
    return [
        ("scene", "\n".join(scene["paths"])),
        ("format", f"{scene['driver']}, {scene['compression'] or 'not compressed'}, {blocks}, {overviews}"),
        ("size", f"{shape([scene['height'], scene['width']])}, {scene['dtype']}"),
        ("bands", ", ".join(f"{index} {name or '(no name)'}" for index, name in enumerate(scene["bands"], 1))),
        ("missing", f"nodata {phrase(scene['nodata'])}, mask {scene['mask']}"),
        ("CRS", crs(scene["crs"])),
        ("bounds", phrase(scene["bounds"])),
        ("resolution", _resolution(scene)),
    ]


def _resolution(scene: Mapping[str, Any]) -> str:
    if scene["resolution"] is None:
        return "unknown; state it with --scene-resolution"
    down, across = scene["pixel_size"]
    sides = "" if abs(down / across - 1) < 0.01 else f" ({across:.4g} m across, {down:.4g} m down)"
    return f"{scene['resolution']:.4g} m per pixel on the ground{sides}"


def _task(task: Mapping[str, Any]) -> str:
    if not task["fits"]:
        return f"{task['task']}: {task['reason']}"
    grid, tiles = task["grid"], task["tiles"]
    resampled = f", resampled to {grid['resolution_m']:.4g} m per pixel" if grid["resampled"] else ""
    cost = (
        f"{number_of(tiles['planned'], 'tile')} of {tiles['size']} pixels, about {size(task['memory_bytes'])} of "
        f"memory and {duration(task['seconds'])} on {task['device']}"
    )
    return f"{task['task']}: {cost}{resampled} (model {task['model']})"
