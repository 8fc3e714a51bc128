"""Layers: which file gives which bands of a scene, and which lies on top."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from affine import Affine
from odc.geo.crs import CRS

from geoseg.core.bands import COMMON, SENSORS, common_name
from geoseg.errors import BandError, SceneError
from geoseg.io.grid import crs_of
from geoseg.io.raster import RasterFile


@dataclass(frozen=True, slots=True)
class Layer:
    """Files that give the same bands of a scene, each where it lies; the first of `files` lies on top."""

    files: tuple[RasterFile, ...]


def as_asked(file: RasterFile, bidx: Sequence[int] | None, names: Sequence[str] | None) -> RasterFile:
    """The file, its last band taken for data instead of alpha where the user chose or named it, or its name says so.

    Many programs mark the fourth of four bands as alpha, whatever it is.
    """
    if file.alpha is None:
        return file
    named = names is not None and len(names) == len(file.dtypes)
    told = common_name(file.descriptions[file.alpha - 1]) is not None
    return replace(file, alpha=None) if named or told or (bidx is not None and file.alpha in bidx) else file


def mosaic(files: Sequence[RasterFile]) -> Layer:
    """One layer of several files. Raises SceneError when they differ in what a mosaic has to share."""
    first = files[0]
    _same_crs(files)
    for file in files[1:]:
        if file.count != first.count or file.dtype != first.dtype:
            raise SceneError(
                f"{file.path} has {file.count} bands of {file.dtype}, {first.path} has {first.count} of {first.dtype}; "
                "the files of a mosaic share bands and data type; run them as scenes of their own"
            )
        if _told(file) != _told(first):
            raise SceneError(
                f"{file.path} has the bands {_told(file)}, {first.path} has {_told(first)}; the files of a mosaic have "
                "the same bands in the same order; run them as scenes of their own"
            )
        if first.crs is None and (first.transform.is_identity or file.transform.is_identity):
            raise SceneError(
                f"{first.path}, {file.path}: nothing says where they lie (no CRS, no geotransform); run them one by one"
            )
    return Layer(tuple(_near(file, first) for file in files))


def stack(bands: Mapping[str, RasterFile]) -> tuple[Layer, ...]:
    """A layer for each band's file. Raises SceneError for files of several bands or of different CRS."""
    for name, file in bands.items():
        if file.count != 1:
            raise SceneError(
                f"{file.path}: found {file.count} bands for --band {name}; expected a file of one band; give a file of "
                "several bands as the scene itself, and choose among them with --bidx"
            )
    files = list(bands.values())
    _same_crs(files)
    return tuple(Layer((_near(file, files[0]),)) for file in files)


def _same_crs(files: Sequence[RasterFile]) -> None:
    first = files[0].crs
    if all(file.crs == first or (file.crs and first and CRS(file.crs) == CRS(first)) for file in files):
        return
    listed = "; ".join(f"{file.path}: {_crs_name(file.crs)}" for file in files[:12])
    raise SceneError(
        f"the files have different CRS ({listed}); expected one CRS; reproject them first (gdalwarp -t_srs), or run "
        "those of each CRS on their own"
    )


def _crs_name(crs: str | None) -> str:
    if crs is None:
        return "none"
    known = crs_of(crs)
    return str(known) if known.epsg else str(known.proj.name)


def _near(file: RasterFile, first: RasterFile) -> RasterFile:
    """The file, moved by a whole turn where the date line parts it from `first`: degrees only."""
    if file.crs is None or not CRS(file.crs).geographic:
        return file
    middles = [(f.transform * (f.shape[1] / 2, f.shape[0] / 2))[0] for f in (file, first)]
    turns = round((middles[1] - middles[0]) / 360)
    return replace(file, transform=Affine.translation(360 * turns, 0) * file.transform) if turns else file


def _told(file: RasterFile) -> tuple[str | None, ...]:
    return told_names(file, None)


def told_names(file: RasterFile, sensor: str | None) -> tuple[str | None, ...]:
    """The common name of each band, None for bands that are not named.

    Names come from descriptions, then from colour interpretation, then from the sensor where all of its bands are there
    in order. Three bytes without any name are red, green, blue.
    """
    texts, colours = file.descriptions[: file.count], file.colours[: file.count]
    names = [
        common_name(text, sensor) or (common_name(colour) if colour.lower() in COMMON else None)
        for text, colour in zip(texts, colours, strict=True)
    ]
    known = tuple(SENSORS[sensor].values()) if sensor else ()
    if not any(names) and len(known) == file.count:
        return known
    unnamed = not any(names) and not any(text and not text.lower().startswith("band") for text in texts)
    if unnamed and file.count == 3 and file.dtype == "uint8":
        return ("red", "green", "blue")
    return tuple(None if i == file.alpha else name for i, name in enumerate(names, 1))


def given_names(file: RasterFile, names: Sequence[str], sensor: str | None) -> tuple[str | None, ...]:
    """The user's names of the bands, in common words where they have one. Raises BandError for a wrong number."""
    if len(names) != file.count:
        raise BandError(f"{file.path}: found {file.count} bands, but --band-names has {len(names)}: {', '.join(names)}")
    return tuple(common_name(name, sensor) or name for name in names)
