"""One raster file: what it says of itself, how it is opened, and what is refused."""

from __future__ import annotations

import contextlib
import os
import threading
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import psutil
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from geoseg.errors import ResourceError, SceneError

ONE_WAY = frozenset({"PNG", "JPEG", "GIF", "BMP", "WEBP"})  # formats that are decoded from the first row on
TIMEOUTS = {"GDAL_HTTP_CONNECTTIMEOUT": "15", "GDAL_HTTP_TIMEOUT": "60"}  # seconds; the environment's go first
CACHE_BYTES = 128 * 2**20  # GDAL's own default is 5 % of the machine's memory
_QUIET = threading.Lock()  # filters of warnings are one for the whole process


@dataclass(frozen=True, slots=True)
class RasterFile:
    """What a file says of itself; it is not kept open.

    `shape` and `block_shape` are (height, width). `nodata` and `dtypes` have one entry a band, `descriptions` and
    `colours` too. `alpha` is the alpha band (counted from 1), `masked` tells of a mask inside or beside the file, and
    `own_masks` which bands have one of their own. `one_way` says that its rows can only be decoded from the first on.
    """

    path: str
    driver: str
    shape: tuple[int, int]
    transform: Affine
    crs: str | None
    dtypes: tuple[str, ...]
    nodata: tuple[float | None, ...]
    descriptions: tuple[str | None, ...]
    colours: tuple[str, ...]
    alpha: int | None
    masked: bool
    block_shape: tuple[int, int]
    overviews: tuple[int, ...]
    own_masks: tuple[int, ...]
    one_way: bool
    compression: str | None

    @property
    def name(self) -> str:
        """The file's name without its folder, for messages."""
        return display_name(self.path)

    @property
    def count(self) -> int:
        """Number of bands that hold data: an alpha band at the end is none of them."""
        return len(self.dtypes) - (self.alpha == len(self.dtypes))

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype that holds every band's values."""
        return np.result_type(*self.dtypes[: self.count])

    def band_nodata(self, band: int) -> float | None:
        """The nodata value of one band (counted from 1), None where none of its dtype's values can be it."""
        value = self.nodata[band - 1]
        dtype = np.dtype(self.dtypes[band - 1])
        if value is None or dtype.kind == "f":
            return value
        limits = np.iinfo(dtype)
        return value if float(value).is_integer() and limits.min <= value <= limits.max else None


def display_name(path: str) -> str:
    """The last part of a path or of an address, without its query."""
    return Path(urlsplit(path).path if "://" in path else path).name or path


def mask_kind(file: RasterFile) -> str:
    """What tells data from no data in the file: "alpha", "mask", "nodata", several of them, or "none"."""
    kinds = {
        "mask": file.masked or file.own_masks != (),
        "alpha": file.alpha is not None,
        "nodata": file.band_nodata(1) is not None,
    }
    return ", ".join(kind for kind, there in kinds.items() if there) or "none"


def session(cache_bytes: int = CACHE_BYTES) -> rasterio.Env:
    """The GDAL settings under which rasters are read."""
    return rasterio.Env(
        GDAL_CACHEMAX=cache_bytes,
        GDAL_NUM_THREADS=1,  # threads of its own would tell nobody of damage, see damage.py
        GDAL_ERROR_ON_LIBJPEG_WARNING=True,
        GDAL_PNG_WHOLE_IMAGE_OPTIM=False,  # it reads garbage out of truncated files, and says nothing
        GDAL_HTTP_MAX_RETRY=3,
        GDAL_HTTP_RETRY_DELAY=0.5,
        **{name: value for name, value in TIMEOUTS.items() if name not in os.environ},
    )


def open_raster(*where: Any, **how: Any) -> Any:
    """What rasterio.open returns, without a warning where the raster has no place on the ground.

    Any thread may open rasters at any time. Raises what rasterio raises.
    """
    with unplaced():
        return rasterio.open(*where, **how)


@contextlib.contextmanager
def unplaced() -> Iterator[None]:
    """Without rasterio's warning where a raster has no place on the ground; one thread at a time."""
    with _QUIET, warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield


def describe(path: str, nodata: float | None = None) -> RasterFile:
    """What the file says of itself; `nodata` replaces its own nodata value. Raises SceneError for what is no scene."""
    with session(), _opened(path) as raster:
        _refuse_unusable(path, raster)
        alpha = [i for i, c in enumerate(raster.colorinterp, 1) if c == ColorInterp.alpha]
        flags = raster.mask_flag_enums[0]
        return RasterFile(
            path=path,
            driver=raster.driver,
            shape=raster.shape,
            transform=Affine(*raster.transform[:6]),
            crs=raster.crs.to_wkt() if raster.crs else None,
            dtypes=tuple(raster.dtypes),
            nodata=(nodata,) * raster.count if nodata is not None else tuple(raster.nodatavals),
            descriptions=tuple(raster.descriptions),
            colours=tuple(c.name for c in raster.colorinterp),
            alpha=alpha[0] if alpha else None,
            masked=MaskFlags.per_dataset in flags and MaskFlags.alpha not in flags,
            block_shape=_block_shape(path, raster),
            overviews=tuple(raster.overviews(1)),
            own_masks=tuple(i for i, band_flags in enumerate(raster.mask_flag_enums, 1) if not band_flags),
            one_way=_one_way(raster),
            compression=raster.compression.value if raster.compression else None,
        )


@contextlib.contextmanager
def _opened(path: str) -> Iterator[Any]:
    if not path.strip():
        raise SceneError("the scene's path is empty; expected a raster's path or address")
    local = "://" not in path and not path.startswith("/vsi") and ":" not in path[2:] and "<" not in path
    if local and not Path(path).exists():
        raise SceneError(f"{path}: there is no such file; check the path")
    if local and Path(path).is_file() and Path(path).stat().st_size == 0:
        raise SceneError(f"{path}: the file is empty (0 bytes); copy or download it again")
    try:
        raster = open_raster(path)
    except RasterioError as error:
        raise SceneError(f"{path}: cannot be opened as a raster: {reason(error)}") from error
    with raster:
        yield raster


def reason(error: BaseException) -> str:
    """What GDAL said went wrong, on one line."""
    cause = error.__cause__ or error
    return " ".join(str(cause).split()).rstrip(".") or type(cause).__name__


def _refuse_unusable(path: str, raster: Any) -> None:
    if raster.count == 0:
        inside = ", ".join(raster.subdatasets[:4])
        remedy = f"name one of the datasets inside it: {inside}" if inside else "expected at least one band"
        raise SceneError(f"{path}: found no bands; {remedy}")
    strange = sorted({str(d) for d in raster.dtypes if str(d).startswith("complex")})
    if strange:
        raise SceneError(
            f"{path}: found {strange[0]} pixels; expected real numbers; write amplitude or intensity first, for "
            "instance with a VRT band of the pixel function 'mod'"
        )
    transform = raster.transform
    if transform.is_identity and _placed_otherwise(raster):
        raise SceneError(
            f"{path}: its place is given by ground control points or RPCs only; expected a geotransform; "
            f"rectify it first: gdalwarp {display_name(path)} rectified.tif"
        )
    if not np.isfinite(transform[:6]).all() or transform.is_degenerate:
        raise SceneError(f"{path}: its geotransform {tuple(transform[:6])} is degenerate; expected pixels with an area")


def _placed_otherwise(raster: Any) -> bool:
    return bool(raster.gcps[0]) or raster.rpcs is not None or bool(raster.tags(ns="GEOLOCATION"))


def _block_shape(path: str, raster: Any) -> tuple[int, int]:
    """(height, width) of the file's blocks. Raises ResourceError when one of them does not fit into memory."""
    height, width = (min(a, b) for a, b in zip(raster.block_shapes[0], raster.shape, strict=True))
    size = height * width * sum(np.dtype(d).itemsize for d in raster.dtypes)
    free = psutil.virtual_memory().available
    if size > free // 4:
        raise ResourceError(
            f"{path}: one block of it is {width} x {height} pixels and takes {size / 2**30:.1f} GiB of memory; "
            f"{free / 2**30:.1f} GiB are free; rewrite it in tiles: gdal_translate -co TILED=YES -co BIGTIFF=IF_SAFER"
        )
    return height, width


def _one_way(raster: Any) -> bool:
    """Whether rows can only be decoded from the first on; GDAL shows the one strip of a large TIFF as single rows."""
    rows = raster.driver == "GTiff" and raster.compression is not None and raster.block_shapes[0][0] == 1
    one_strip = rows and raster.height > 1 and raster.get_tag_item("BLOCK_OFFSET_0_1", "TIFF", bidx=1) is None
    return one_strip or raster.driver in ONE_WAY


def validity(
    pixels: NDArray[Any], file: RasterFile, bands: tuple[int, ...], one_is_enough: bool
) -> NDArray[np.bool_] | None:
    """Where `pixels` (band, y, x) hold data as far as their values tell: (y, x), or None for everywhere.

    NaN and infinities are never data. What the bands tell is joined by `combined`.
    """
    return combined([_holds_data(plane, file, band) for plane, band in zip(pixels, bands, strict=True)], one_is_enough)


def combined(tests: Sequence[NDArray[np.bool_] | None], one_is_enough: bool) -> NDArray[np.bool_] | None:
    """Where pixels hold data, out of where each band does; None means everywhere.

    A pixel without data in one band is invalid, but for bytes (`one_is_enough`) it takes all bands: in a photograph
    with nodata 0, a shadow that is black in one band is still a picture.
    """
    told = [test for test in tests if test is not None]
    if not told or (one_is_enough and len(told) < len(tests)):
        return None
    combine = np.logical_or if one_is_enough else np.logical_and
    valid = told[0]
    for test in told[1:]:
        valid = combine(valid, test)
    return valid


def _holds_data(plane: NDArray[Any], file: RasterFile, band: int) -> NDArray[np.bool_] | None:
    nodata = file.band_nodata(band)
    finite = np.isfinite(plane) if plane.dtype.kind == "f" else None
    if nodata is None or np.isnan(nodata):
        return finite
    different: NDArray[np.bool_] = plane != np.dtype(file.dtypes[band - 1]).type(nodata)
    return different if finite is None else different & finite
