"""What a bug report needs: versions, devices, drivers, space, and whether they work together."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

import geoseg
from geoseg.errors import GeosegError
from geoseg.jobs.redact import without_secrets

RASTER_DRIVERS = ("GTiff", "COG", "VRT", "JP2OpenJPEG", "HFA", "netCDF", "HDF5", "PNG", "JPEG")
VECTOR_DRIVERS = ("GPKG", "GeoJSON", "ESRI Shapefile", "FlatGeobuf")
NEEDED = ("GTiff", "COG", "VRT", "GPKG", "GeoJSON", "ESRI Shapefile", "FlatGeobuf")
ENVIRONMENT = re.compile(
    r"(GDAL|PROJ|CPL|OGR|GTIFF|VSI|CUDA|OMP|MKL|NUMBA|TORCH|PYTORCH|GEOSEG)_[A-Z0-9_]+|(TMPDIR|CONDA_PREFIX)"
)
SECRET = re.compile(r"KEY|TOKEN|SECRET|PASS|AUTH|USER|HEADER|COOKIE")
GIGABYTE = 10**9


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was tried: whether it works, what was found, and the remedy if there is one."""

    name: str
    ok: bool
    found: str
    remedy: str = ""


def diagnose() -> dict[str, Any]:
    """Everything that a bug report needs, JSON-able; `checks` says what works. Sizes are in bytes.

    Environment variables are limited to those that change what GDAL, PROJ, PyTorch and geoseg do; secrets are left out.
    """
    environment = _environment()  # first, since importing rasterio adds to it
    from geoseg.inference.accelerators import accelerators

    compute = accelerators()
    return {
        "geoseg": geoseg.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": _packages(),
        "gdal": _gdal(),
        "cpu": {"cores": psutil.cpu_count() or 1, "usable": len(_affinity()), "machine": platform.machine()},
        "compute": compute,
        "memory": {"total_bytes": psutil.virtual_memory().total, "available_bytes": psutil.virtual_memory().available},
        "disk": {name: _disk(path) for name, path in _folders().items()},
        "paths": {"python": sys.executable, "geoseg": str(Path(geoseg.__file__).parent)},
        "environment": environment,
        "checks": [asdict(check) for check in _checks(compute)],
    }


def _environment() -> dict[str, str]:
    named = {k: v for k, v in sorted(os.environ.items()) if ENVIRONMENT.fullmatch(k) and not SECRET.search(k)}
    return {k: without_secrets(v) for k, v in named.items()}


def _packages() -> dict[str, str | None]:
    """Version of each package that geoseg depends on, also of the optional ones; None where it is missing."""
    required = importlib.metadata.requires("geoseg") or []
    tools = re.compile(r"""extra == ['"](test|docs)['"]""")
    found = (re.match(r"[A-Za-z0-9._-]+", line) for line in required if not tools.search(line))
    names = sorted({match[0].lower() for match in found if match} - {"geoseg"})
    return {name: _version(name) for name in names}


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _gdal() -> dict[str, Any]:
    import pyogrio
    import pyproj
    import rasterio
    import shapely

    with rasterio.Env() as environment:
        rasters = sorted(environment.drivers())
    return {
        "rasterio": rasterio.__gdal_version__,
        "pyogrio": ".".join(map(str, pyogrio.__gdal_version__)),
        "proj": pyproj.proj_version_str,
        "geos": shapely.geos_version_string,
        "raster_drivers": rasters,
        "vector_drivers": sorted(name for name, mode in pyogrio.list_drivers().items() if "w" in mode),
    }


def _affinity() -> list[int]:
    process = psutil.Process()
    return list(process.cpu_affinity()) if hasattr(process, "cpu_affinity") else list(range(psutil.cpu_count() or 1))


def _folders() -> dict[str, Path]:
    return {"working folder": Path.cwd(), "temporary files": Path(tempfile.gettempdir())}


def _disk(path: Path) -> dict[str, Any]:
    return {"path": str(path), "free_bytes": shutil.disk_usage(path).free}


def _checks(compute: dict[str, Any]) -> Iterator[Check]:
    yield _packages_check()
    yield _drivers_check()
    yield _tried(
        "projections", _project, "unset PROJ_DATA, PROJ_LIB and GDAL_DATA, which point at another installation"
    )
    yield _tried("temporary files", _write_temporary, "point TMPDIR at a folder with space that you may write to")
    yield _tried("models", _read_models, "install geoseg again: files of the package are missing or damaged")
    yield _gpu_check(compute)
    yield _memory_check()


def _packages_check() -> Check:
    required = importlib.metadata.requires("geoseg") or []
    plain = {re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0].lower() for line in required if "extra ==" not in line}
    missing = sorted(name for name in plain if _version(name) is None)
    found = f"missing: {', '.join(missing)}" if missing else f"{len(plain)} installed"
    return Check("packages", not missing, found, "install geoseg again, with its dependencies" if missing else "")


def _drivers_check() -> Check:
    gdal = _gdal()
    missing = [name for name in NEEDED if name not in {*gdal["raster_drivers"], *gdal["vector_drivers"]}]
    found = f"missing: {', '.join(missing)}" if missing else "all that geoseg writes with"
    return Check("drivers", not missing, found, "install rasterio and pyogrio from wheels" if missing else "")


def _tried(name: str, trial: Callable[[], str], remedy: str) -> Check:
    try:
        return Check(name, True, trial())
    except (GeosegError, OSError, RuntimeError, ValueError) as error:
        return Check(name, False, str(error), remedy)


def _project() -> str:
    import pyproj
    import rasterio.crs

    crs = rasterio.crs.CRS.from_epsg(32633).to_wkt()
    x, y = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(500_000.0, 0.0)
    if abs(x - 15) > 1e-6 or abs(y) > 1e-6:
        raise RuntimeError(f"the origin of UTM zone 33 came out at {x:g}, {y:g}; expected 15, 0")
    return "the coordinate database works"


def _write_temporary() -> str:
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"geoseg")
        file.flush()
    return "can be written"


def _read_models() -> str:
    from geoseg.models import packaged
    from geoseg.tasks import TASKS

    names = [card.name for card in packaged()]
    task = TASKS["buildings"]
    if task.model not in names:
        raise FileNotFoundError(f"the packaged model {task.model!r} is missing")
    return ", ".join(names)


def _gpu_check(compute: dict[str, Any]) -> Check:
    if compute["devices"]:
        return Check("GPU", True, ", ".join(device["title"] for device in compute["devices"]))
    if shutil.which("nvidia-smi") is None:
        return Check("GPU", True, "none: geoseg computes on the CPU")
    if compute["cuda"] is None:
        return Check("GPU", False, "an NVIDIA driver, but PyTorch is its CPU build", "install PyTorch's CUDA build")
    return Check(
        "GPU",
        False,
        "an NVIDIA driver, but no GPU that PyTorch can use",
        f"a driver for CUDA {compute['cuda']} or newer",
    )


def _memory_check() -> Check:
    available = psutil.virtual_memory().available
    ok = available >= GIGABYTE
    return Check("memory", ok, f"{available / GIGABYTE:.1f} GB available", "" if ok else "end other programs")
