"""The files that a job reads, so that none of its outputs replaces one of them."""

from __future__ import annotations

from collections.abc import Iterable

from rasterio.errors import RasterioError

from geoseg.io.raster import open_raster


def source_files(paths: Iterable[str]) -> list[str]:
    """The files behind scenes as GDAL lists them: the scenes themselves, a VRT's sources, masks and sidecars."""
    files: list[str] = []
    for path in paths:
        files.append(path)
        try:
            with open_raster(path) as raster:
                files.extend(raster.files)
        except RasterioError:  # opening the scene says what is wrong with it
            continue
    return files
