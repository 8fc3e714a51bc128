"""A plan, for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from geoseg_cli.tables import facts
from geoseg_cli.words import crs, number_of, phrase, shape, size

Rows = list[tuple[str, str]]


def show_plan(plan: Mapping[str, Any]) -> None:
    """Print what the job will do."""
    if plan["kind"] == "vectorize":
        facts([*_raster(plan), *_output(plan)])
    else:
        facts([*_input(plan), *_work(plan), *_output(plan)])


def _raster(plan: Mapping[str, Any]) -> Rows:
    scene = plan["scene"]
    return [
        ("raster", "\n".join(scene["paths"])),
        ("", _about(scene)),
        ("band", f"{scene['bidx']}, which holds {plan['holds']}"),
        ("computing", number_of(plan["threads"], "thread")),
    ]


def _about(scene: Mapping[str, Any]) -> str:
    resolution = "unknown resolution" if scene["resolution_m"] is None else f"{scene['resolution_m']:.4g} m per pixel"
    return f"{shape(scene['shape'])}, {resolution}, {crs(scene['crs'])}, {scene['dtype']}"


def _input(plan: Mapping[str, Any]) -> Rows:
    scene, model = plan["scene"], plan["model"]
    bands = ", ".join(f"{name} from band {index}" for name, index in scene["bands"].items())
    return [
        ("scene", "\n".join(scene["paths"])),
        ("", _about(scene)),
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
    disk = [("disk", f"at least {size(plan['disk_bytes'])}")] if plan.get("disk_bytes") else []
    outputs = [(kind, str(path)) for kind, path in plan["outputs"].items()] or [("outputs", "none: a dry run")]
    return [(clean["shape"], _lines(clean) if clean["shape"] == "lines" else _polygons(clean)), *disk, *outputs]


def _polygons(clean: Mapping[str, Any]) -> str:
    words = []
    if clean["min_area_m2"]:
        fate = "merged into neighbours" if clean["small"] == "merge" else "dropped"
        words.append(f"below {clean['min_area_m2']:g} m² {fate}")
    if clean["fill_holes_m2"]:
        words.append(f"holes up to {clean['fill_holes_m2']:g} m² filled")
    outline = {
        "exact": "along the pixels' edges",
        "simplify": f"simplified within {clean['simplify_m']:g} m",
        "smooth": f"smoothed within {clean['simplify_m']:g} m",
        "square": f"squared within {clean['simplify_m']:g} m",
        "subpixel": "where the score crosses the threshold",
    }[clean["outline"]]
    if clean["connectivity"] == 8:
        words.append("joined across corners")
    return ", ".join([*words, outline])


def _lines(clean: Mapping[str, Any]) -> str:
    return (
        f"of what is up to {clean['max_width_m']:g} m wide, free ends below {clean['spur_m']:g} m cut off, "
        f"gaps up to {clean['gap_m']:g} m bridged, lines below {clean['min_length_m']:g} m dropped, "
        f"simplified within {clean['simplify_m']:g} m"
    )


def scene_rows(scenes: Sequence[Mapping[str, Any]]) -> Rows:
    """What is known of scenes with labels, two lines each."""
    rows: Rows = []
    for scene in scenes:
        unknown = scene["resolution_m"] is None
        resolution = "unknown resolution" if unknown else f"{scene['resolution_m']:.4g} m per pixel"
        use = {"train": ", to learn from", "validation": ", to check on"}.get(scene.get("use", ""), "")
        made = f"; compared: {scene['prediction']}" if scene.get("prediction") else ""
        rows.append(("scene", f"{scene['name']}: {shape(scene['shape'])}, {resolution}{use}{made}"))
        told = {key: value for key, value in scene["labels"].items() if value not in (None, 0, {}, [])}
        rows.append(("labels", phrase(told)))
    return rows


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
