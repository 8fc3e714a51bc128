"""The doctor's report, for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from geoseg.jobs.doctor import RASTER_DRIVERS, VECTOR_DRIVERS
from geoseg_cli.tables import facts, show, show_checks
from geoseg_cli.words import phrase, size


def show_machine(report: Mapping[str, Any]) -> None:
    """Print the report, the checks last."""
    facts(_machine(report))
    show("")
    show_checks(
        [
            (check["ok"], "; ".join(filter(None, (f"{check['name']}: {check['found']}", check["remedy"]))))
            for check in report["checks"]
        ]
    )


def _machine(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    gdal, memory, cpu = report["gdal"], report["memory"], report["cpu"]
    packages = [f"{name} {version or 'missing'}" for name, version in report["packages"].items()]
    rows = [
        ("geoseg", f"{report['geoseg']} in {report['paths']['geoseg']}"),
        ("python", f"{report['python']}, {report['paths']['python']}"),
        ("platform", report["platform"]),
        ("packages", ", ".join(packages)),
        (
            "GDAL",
            f"{gdal['rasterio']} for rasters, {gdal['pyogrio']} for vectors; PROJ {gdal['proj']}, GEOS {gdal['geos']}",
        ),
        ("raster drivers", _drivers(gdal["raster_drivers"], RASTER_DRIVERS)),
        ("vector drivers", _drivers(gdal["vector_drivers"], VECTOR_DRIVERS)),
        ("CPU", f"{cpu['cores']} cores, {cpu['usable']} usable, {cpu['machine']}"),
        ("GPU", _devices(report["compute"])),
        ("memory", f"{size(memory['available_bytes'])} of {size(memory['total_bytes'])} available"),
    ]
    rows += [(name, f"{disk['path']}, {size(disk['free_bytes'])} free") for name, disk in report["disk"].items()]
    rows += [("environment", "\n".join(f"{k}={v}" for k, v in report["environment"].items()) or "nothing that matters")]
    return rows


def _drivers(found: list[str], wanted: tuple[str, ...]) -> str:
    here = [name for name in wanted if name in found]
    missing = [name for name in wanted if name not in found]
    without = f"; without {', '.join(missing)}" if missing else ""
    return f"{', '.join(here)}{without}; {len(found)} in all"


def _devices(compute: Mapping[str, Any]) -> str:
    build = f"PyTorch for CUDA {compute['cuda']}" if compute["cuda"] else "PyTorch without CUDA"
    devices = [phrase(device) for device in compute["devices"]] or ["none"]
    return "\n".join([*devices, build])
