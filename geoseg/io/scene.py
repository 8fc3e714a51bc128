"""A scene: one raster, a mosaic of several, or a stack of band files, on one georeferenced grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from geoseg.core.bands import common_name, match
from geoseg.core.protocols import Rows
from geoseg.core.tiling import Span
from geoseg.errors import BandError, SceneError
from geoseg.io.assembly import Selection
from geoseg.io.grid import crop, grid_of, ground_pixel, resized, union
from geoseg.io.layers import Layer, as_asked, given_names, mosaic, stack, told_names
from geoseg.io.raster import describe, display_name, mask_kind
from geoseg.io.rows import BadBlocks, Reading, SceneRows


@dataclass(frozen=True, slots=True)
class SceneSource:
    """What to open: `paths` (the first lies on top) or `bands` (name to path), and what the files do not say.

    `bidx` counts bands from 1. `resolution` is in metres per pixel on the ground.
    """

    paths: tuple[str, ...] = ()
    bands: Mapping[str, str] = field(default_factory=dict)
    bidx: tuple[int, ...] | None = None
    band_names: tuple[str, ...] | None = None
    sensor: str | None = None
    nodata: float | None = None
    resolution: float | None = None


class Region(Protocol):
    """An area of interest, on any grid of the scene's CRS."""

    def spans(self, grid: GeoBox) -> tuple[Span, Span]:
        """The rows and columns of `grid` between which the region lies."""
        ...

    def mask(self, grid: GeoBox, y: Span, x: Span) -> NDArray[np.bool_]:
        """True (y, x) for pixels of the window that the region touches."""
        ...


@dataclass(frozen=True, slots=True)
class Scene:
    """A scene that can be read. It holds no open file, and can be sent to other processes.

    `grid` is the file's own, the finest band's for a stack, and the union for a mosaic. `bands` has the common name of
    each band, or None; an alpha band is none. `pixel_size` is in metres on the ground, down and across, `resolution` is
    its geometric mean; None when unknown. `block_shape` is (height, width) of the blocks of the first file.
    """

    name: str
    paths: tuple[str, ...]
    grid: GeoBox
    bands: tuple[str | None, ...]
    dtype: np.dtype[Any]
    nodata: float | None
    pixel_size: tuple[float, float] | None
    block_shape: tuple[int, int]
    layers: tuple[Layer, ...]
    source: SceneSource

    @property
    def resolution(self) -> float | None:
        """Metres per pixel on the ground: the geometric mean of both axes at the scene's centre; None when unknown."""
        return None if self.pixel_size is None else float(np.sqrt(self.pixel_size[0] * self.pixel_size[1]))

    @property
    def descriptions(self) -> tuple[str | None, ...]:
        """What the files call their bands."""
        lead = [layer.files[0] for layer in self.layers]
        return tuple(text for file in lead for text in file.descriptions)

    def bidx_for(self, wanted: Sequence[str]) -> tuple[int, ...]:
        """The bands (counted from 1) to read for a model that eats `wanted`. Raises BandError when unclear."""
        chosen = self.source.bidx
        if chosen is None:
            return match(wanted, self.bands, self.name, self.descriptions)
        if len(chosen) != len(wanted):
            raise BandError(
                f"{self.name}: --bidx chooses {len(chosen)} bands ({', '.join(map(str, chosen))}); the model eats "
                f"{len(wanted)}: {', '.join(wanted)}; choose one for each, in that order"
            )
        self._check(chosen)
        return tuple(chosen)

    def reader(
        self,
        bidx: Sequence[int],
        grid: GeoBox | None = None,
        *,
        threads: int = 2,
        on_bad_block: BadBlocks = "error",
    ) -> SceneRows:
        """A reader of the chosen bands on `grid` (the scene's own without it), read ahead by `threads` threads.

        Raises BandError for bands that are not there.
        """
        self._check(bidx)
        selection = Selection(self.layers, tuple(bidx), self.dtype)
        return SceneRows(selection, grid if grid is not None else self.grid, Reading(threads, on_bad_block))

    def window(self, region: Region | None = None) -> tuple[Span, Span]:
        """The rows and columns of the scene that a region meets, or all of them."""
        return (Span(0, self.grid.shape[0]), Span(0, self.grid.shape[1])) if region is None else region.spans(self.grid)

    def overview_grid(self, max_size: int = 2048, region: Region | None = None) -> GeoBox:
        """The grid of `overview`: the scene, or the region's window of it, in at most `max_size` pixels a side."""
        part = crop(self.grid, *self.window(region))
        factor = max(1.0, max(part.shape) / max_size)
        return resized(part, (max(1, round(part.shape[0] / factor)), max(1, round(part.shape[1] / factor))))

    def overview(self, bidx: Sequence[int], max_size: int = 2048, region: Region | None = None) -> Rows:
        """The scene on its `overview_grid`, from the files' overviews where there are any.

        Pixels outside `region` are invalid, and so are those that cannot be read.
        """
        self._check(bidx)
        selection = Selection(self.layers, tuple(bidx), self.dtype, overviews=True)
        reader = SceneRows(selection, self.overview_grid(max_size, region), Reading(2, "nodata"))
        y, x = Span(0, reader.shape[0]), Span(0, reader.shape[1])
        rows = next(reader.rows([y], x))
        if region is None:
            return rows
        inside = region.mask(reader.grid, y, x)
        return replace(rows, valid=inside if rows.valid is None else rows.valid & inside)

    def info(self) -> dict[str, Any]:
        """What the scene is, as JSON-able values; sizes in pixels, resolution in metres."""
        return scene_info(self)

    def _check(self, bidx: Sequence[int]) -> None:
        wrong = [index for index in bidx if not 1 <= index <= len(self.bands)]
        if wrong or not bidx:
            listed = ", ".join(f"{i}={name or '?'}" for i, name in enumerate(self.bands, 1))
            raise BandError(
                f"{self.name}: there is no band {wrong[0] if wrong else 0}; found bands {listed}; choose with --bidx"
            )


Openable = str | Path | Sequence[str | Path] | Mapping[str, str | Path] | SceneSource


def open_scene(source: Openable) -> Scene:
    """The scene in a file, in several files of one mosaic, or in one file a band (a mapping of names to paths).

    Raises SceneError when something is missing, unreadable or not what a scene has to be, BandError for wrong names.
    """
    asked = _normalised(source)
    if asked.bands:
        return _open_stack(asked)
    if not asked.paths:
        raise SceneError("no file was given; expected a scene's path, or --band NAME=FILE for each band")
    files = [as_asked(describe(path, asked.nodata), asked.bidx, asked.band_names) for path in asked.paths]
    layer = mosaic(files)
    names = (
        given_names(files[0], asked.band_names, asked.sensor)
        if asked.band_names
        else told_names(files[0], asked.sensor)
    )
    return _scene(asked, asked.paths, (layer,), names)


def _normalised(source: Openable) -> SceneSource:
    if isinstance(source, SceneSource):
        return source
    if isinstance(source, str | Path):
        return SceneSource(paths=(str(source),))
    if isinstance(source, Mapping):
        return SceneSource(bands={name: str(path) for name, path in source.items()})
    return SceneSource(paths=tuple(str(path) for path in source))


def _open_stack(asked: SceneSource) -> Scene:
    names = tuple(common_name(name, asked.sensor) or name for name in asked.bands)
    if len(set(names)) < len(names):
        raise BandError(f"two bands have the same name: {', '.join(names)}; give each band once")
    files = {name: describe(path, asked.nodata) for name, path in asked.bands.items()}
    return _scene(asked, tuple(asked.bands.values()), stack(files), names)


def _scene(
    asked: SceneSource, paths: tuple[str, ...], layers: tuple[Layer, ...], names: tuple[str | None, ...]
) -> Scene:
    files = [file for layer in layers for file in layer.files]
    grids = [grid_of(file) for file in files]
    stacked = len(layers) > 1
    finest = min(range(len(files)), key=lambda i: abs(grids[i].affine.determinant))
    grid = grids[finest] if stacked or len(files) == 1 else union(grids)
    others = f" + {len(files) - 1} more" if len(files) > 1 else ""
    return Scene(
        name=display_name(paths[0]) + others,
        paths=paths,
        grid=grid,
        bands=names,
        dtype=np.result_type(*(file.dtype for file in files)),
        nodata=files[0].nodata[0],
        pixel_size=_pixel_size(grid, asked.resolution),
        block_shape=files[finest if stacked else 0].block_shape,
        layers=layers,
        source=asked,
    )


def _pixel_size(grid: GeoBox, stated: float | None) -> tuple[float, float] | None:
    """Metres on the ground down and across: as stated (pixels keep their proportions), or as the CRS says."""
    if stated is None:
        return ground_pixel(grid)
    affine = grid.affine
    down, across = float(np.hypot(affine.b, affine.e)), float(np.hypot(affine.a, affine.d))
    return stated * float(np.sqrt(down / across)), stated * float(np.sqrt(across / down))


def scene_info(scene: Scene) -> dict[str, Any]:
    """What `Scene.info` returns."""
    files = [file for layer in scene.layers for file in layer.files]
    lead, grid = files[0], scene.grid
    corners = np.array([grid.affine * c for c in ((0, 0), (grid.shape[1], 0), (0, grid.shape[0]), grid.shape[::-1])])
    return {
        "paths": list(scene.paths),
        "driver": lead.driver,
        "width": int(grid.shape[1]),
        "height": int(grid.shape[0]),
        "crs": str(grid.crs) if grid.crs else None,
        "bounds": [*corners.min(axis=0).tolist(), *corners.max(axis=0).tolist()],
        "transform": list(grid.affine[:6]),
        "bands": list(scene.bands),
        "descriptions": list(scene.descriptions),
        "dtype": str(scene.dtype),
        "nodata": scene.nodata,
        "mask": mask_kind(lead),
        "resolution": scene.resolution,
        "pixel_size": list(scene.pixel_size) if scene.pixel_size else None,
        "block_shape": list(scene.block_shape),
        "overviews": list(lead.overviews),
        "compression": lead.compression,
    }
