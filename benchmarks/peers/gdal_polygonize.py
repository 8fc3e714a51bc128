"""GDAL's Polygonize in C, called through ctypes on the library that rasterio brings: no Python object for a feature."""

from __future__ import annotations

import ctypes
import ctypes.util
from ctypes import POINTER, c_char_p, c_int, c_void_p
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import rasterio
import shapely
from numpy.typing import NDArray

_BYTE, _UNKNOWN, _WKB_POLYGON, _INTEGER, _LITTLE_ENDIAN = 1, 0, 3, 0, 1
_PLACES = ("../rasterio.libs/libgdal*", "../rasterio.libs/gdal*.dll", ".dylibs/libgdal*")
_STRINGS = POINTER(c_char_p)
_SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    "GDALAllRegister": (None, []),
    "GDALVersionInfo": (c_char_p, [c_char_p]),
    "GDALGetDriverByName": (c_void_p, [c_char_p]),
    "GDALCreate": (c_void_p, [c_void_p, c_char_p, c_int, c_int, c_int, c_int, _STRINGS]),
    "GDALAddBand": (c_int, [c_void_p, c_int, _STRINGS]),
    "GDALGetRasterBand": (c_void_p, [c_void_p, c_int]),
    "GDALDatasetCreateLayer": (c_void_p, [c_void_p, c_char_p, c_void_p, c_int, _STRINGS]),
    "GDALPolygonize": (c_int, [c_void_p, c_void_p, c_void_p, c_int, _STRINGS, c_void_p, c_void_p]),
    "GDALClose": (None, [c_void_p]),
    "OGR_Fld_Create": (c_void_p, [c_char_p, c_int]),
    "OGR_Fld_Destroy": (None, [c_void_p]),
    "OGR_L_CreateField": (c_int, [c_void_p, c_void_p, c_int]),
    "OGR_L_ResetReading": (None, [c_void_p]),
    "OGR_L_GetNextFeature": (c_void_p, [c_void_p]),
    "OGR_F_GetFieldAsInteger": (c_int, [c_void_p, c_int]),
    "OGR_F_GetGeometryRef": (c_void_p, [c_void_p]),
    "OGR_F_Destroy": (None, [c_void_p]),
    "OGR_G_WkbSize": (c_int, [c_void_p]),
    "OGR_G_ExportToWkb": (c_int, [c_void_p, c_int, c_char_p]),
}


class GdalMissingError(Exception):
    """GDAL's library cannot be found or called; the message says where it was looked for."""


class Gdal:
    """GDAL's library, ready to be called."""

    def __init__(self) -> None:
        """Load it. Raises GdalMissingError."""
        folder = Path(rasterio.__file__).parent
        found = [str(path) for place in _PLACES for path in sorted(folder.glob(place))]
        name = found[0] if found else ctypes.util.find_library("gdal")
        if name is None:
            raise GdalMissingError(f"no GDAL library beside {folder}, and none in the system")
        try:
            self._library = ctypes.CDLL(name)
            for function, (gives, takes) in _SIGNATURES.items():
                called = getattr(self._library, function)
                called.restype, called.argtypes = gives, takes
        except (OSError, AttributeError) as error:
            raise GdalMissingError(f"{name}: {error}") from error
        self._library.GDALAllRegister()

    @property
    def version(self) -> str:
        """Its release name."""
        return str(self.call("GDALVersionInfo", b"RELEASE_NAME").decode())

    def call(self, function: str, *words: Any) -> Any:
        """What a function of the library gives. Raises GdalMissingError where that is a null pointer."""
        given = getattr(self._library, function)(*words)
        if given is None and _SIGNATURES[function][0] is c_void_p and function != "OGR_L_GetNextFeature":
            raise GdalMissingError(f"{function}{words} gave nothing")
        return given


class Polygonize:
    """One raster uint8 (y, x) with its mask, and an empty layer, all in memory; a context manager."""

    def __init__(self, gdal: Gdal, raster: NDArray[np.uint8], mask: NDArray[np.uint8]) -> None:
        """Hand GDAL the arrays as they are, without a copy."""
        self._call, self._held = gdal.call, (np.ascontiguousarray(raster), np.ascontiguousarray(mask))

    def __enter__(self) -> Self:
        """Make the raster and the layer."""
        height, width = self._held[0].shape
        driver = self._call("GDALGetDriverByName", b"MEM")
        self._raster = self._call("GDALCreate", driver, b"", width, height, 0, _BYTE, None)
        for array in self._held:
            options = (c_char_p * 2)(f"DATAPOINTER={array.ctypes.data:#x}".encode(), None)
            self._call("GDALAddBand", self._raster, _BYTE, options)
        driver = self._call("GDALGetDriverByName", b"Memory")
        self._vector = self._call("GDALCreate", driver, b"", 0, 0, 0, _UNKNOWN, None)
        self._layer = self._call("GDALDatasetCreateLayer", self._vector, b"polygons", None, _WKB_POLYGON, None)
        field = self._call("OGR_Fld_Create", b"value", _INTEGER)
        self._call("OGR_L_CreateField", self._layer, field, 1)
        self._call("OGR_Fld_Destroy", field)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Free both."""
        self._call("GDALClose", self._vector)
        self._call("GDALClose", self._raster)

    def run(self) -> None:
        """Fill the layer. Raises RuntimeError."""
        band, mask = (self._call("GDALGetRasterBand", self._raster, number) for number in (1, 2))
        if self._call("GDALPolygonize", band, mask, self._layer, 0, None, None, None) != 0:
            raise RuntimeError("GDALPolygonize failed")

    def features(self) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """Values and shapely polygons of the layer, shape (polygon,)."""
        values, shapes = [], []
        self._call("OGR_L_ResetReading", self._layer)
        while (feature := self._call("OGR_L_GetNextFeature", self._layer)) is not None:
            values.append(self._call("OGR_F_GetFieldAsInteger", feature, 0))
            shape = self._call("OGR_F_GetGeometryRef", feature)
            buffer = ctypes.create_string_buffer(self._call("OGR_G_WkbSize", shape))
            self._call("OGR_G_ExportToWkb", shape, _LITTLE_ENDIAN, buffer)
            shapes.append(buffer.raw)
            self._call("OGR_F_Destroy", feature)
        return np.array(values, np.int64), np.asarray(shapely.from_wkb(shapes))
