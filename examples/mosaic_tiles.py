"""Put XYZ map tiles ("slippy map" tiles, EPSG:3857) together to one georeferenced GeoTIFF.

    python examples/mosaic_tiles.py TILES scene.tif [--inside FOLDER]

TILES is a folder or a zip archive (a Python wheel is one). A tile's address is read from its name: either
`anything-X-Y-Z.tif`, as the HOT fAIr samples have it, or the folders of a tile server, `Z/X/Y.png`. Only pixels and
names are used: whatever georeferencing the tiles carry is ignored, because the XYZ scheme says where a tile lies.
"""

from __future__ import annotations

import argparse
import math
import re
import sys
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import MemoryFile
from rasterio.transform import Affine
from rasterio.windows import Window

HALF_WORLD = math.pi * 6378137.0  # metres in EPSG:3857 from the origin to the edge of the world
IMAGES = {".tif", ".tiff", ".jpg", ".jpeg", ".png", ".webp"}
COLOURS = {3: {"photometric": "RGB"}, 4: {"photometric": "RGB", "alpha": "YES"}}  # by the number of bands
DASHED = re.compile(r"(?:.*-)?(?P<x>\d+)-(?P<y>\d+)-(?P<z>\d+)$")
FOLDERS = re.compile(r"(?:.*/)?(?P<z>\d+)/(?P<x>\d+)/(?P<y>\d+)$")


class TilesError(Exception):
    """The tiles cannot be put together; the message says which one and why."""


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """Where a tile lies: zoom, column counted from the west, row counted from the north."""

    z: int
    x: int
    y: int

    @classmethod
    def of(cls, name: str) -> Address | None:
        """The address in a file's name, or None where there is none, or none of this world."""
        stem = str(PurePosixPath(name).with_suffix(""))
        found = FOLDERS.match(stem) or DASHED.match(PurePosixPath(stem).name)
        if found is None:
            return None
        address = cls(int(found["z"]), int(found["x"]), int(found["y"]))
        inside = address.z <= 30 and max(address.x, address.y) < 2**address.z
        return address if inside else None

    @property
    def corner(self) -> tuple[float, float]:
        """The tile's upper left corner in metres of EPSG:3857."""
        side = 2 * HALF_WORLD / 2**self.z
        return -HALF_WORLD + self.x * side, HALF_WORLD - self.y * side


@dataclass(frozen=True, slots=True)
class Layout:
    """Where tiles go: the address of the upper left one, columns and rows of tiles, pixels along a tile's side."""

    origin: Address
    columns: int
    rows: int
    side: int

    @classmethod
    def around(cls, addresses: set[Address], side: int) -> Layout:
        """The smallest layout that holds all tiles, which share one zoom."""
        zooms = {a.z for a in addresses}
        if len(zooms) != 1:
            raise TilesError(f"found tiles of zooms {sorted(zooms)}; expected one zoom: choose a folder with --inside")
        left, top = min(a.x for a in addresses), min(a.y for a in addresses)
        columns = max(a.x for a in addresses) - left + 1
        rows = max(a.y for a in addresses) - top + 1
        return cls(Address(zooms.pop(), left, top), columns, rows, side)

    @property
    def transform(self) -> Affine:
        """From pixels to metres of EPSG:3857."""
        left, top = self.origin.corner
        pixel = 2 * HALF_WORLD / 2**self.origin.z / self.side
        return Affine(pixel, 0, left, 0, -pixel, top)

    def window(self, address: Address) -> Window:
        """The pixels that belong to one tile."""
        column, row = address.x - self.origin.x, address.y - self.origin.y
        return Window(column * self.side, row * self.side, self.side, self.side)


def find_tiles(source: Path, inside: str = "") -> dict[Address, Callable[[], bytes]]:
    """A reader of its bytes for each tile under the folder `inside` of a folder or of a zip archive, by address."""
    found: dict[Address, Callable[[], bytes]] = {}
    for name, read in _files(source, inside.strip("/")):
        address = Address.of(name) if PurePosixPath(name).suffix.lower() in IMAGES else None
        if address in found:
            raise TilesError(
                f"{source}: {name} has the address of another tile, {address}; choose a folder with --inside"
            )
        if address is not None:
            found[address] = read
    if not found:
        raise TilesError(f"{source}: found no image under {inside or '.'} named like NAME-X-Y-Z.tif or Z/X/Y.png")
    return found


def _files(source: Path, inside: str) -> Iterator[tuple[str, Callable[[], bytes]]]:
    if source.is_dir():
        for path in sorted((source / inside).rglob("*")):
            if path.is_file():
                yield path.relative_to(source).as_posix(), path.read_bytes
    elif zipfile.is_zipfile(source):
        archive = zipfile.ZipFile(source)
        for name in sorted(archive.namelist()):
            if not inside or name.startswith(f"{inside}/"):
                yield name, lambda name=name: archive.read(name)
    else:
        raise TilesError(f"{source}: neither a folder nor a zip archive")


def _pixels(address: Address, data: bytes) -> np.ndarray[Any, Any]:
    try:
        with warnings.catch_warnings(), MemoryFile(data) as memory:
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with memory.open() as tile:
                return tile.read()
    except rasterio.errors.RasterioError as error:
        raise TilesError(f"tile {address}: not a readable image ({error})") from error


def mosaic(tiles: Mapping[Address, Callable[[], bytes]], destination: Path) -> Layout:
    """The layout of the GeoTIFF written to `destination`: tiled, DEFLATE, EPSG:3857, missing tiles masked out."""
    first = _pixels(min(tiles), tiles[min(tiles)]())
    layout = Layout.around(set(tiles), first.shape[-1])
    temporary = destination.with_name(f".{destination.name}.part")
    profile = {
        "driver": "GTiff", "crs": "EPSG:3857", "transform": layout.transform, "dtype": first.dtype,
        "count": first.shape[0], "height": layout.rows * layout.side, "width": layout.columns * layout.side,
        "tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate", "predictor": 2,
        "bigtiff": "if_safer", **COLOURS.get(first.shape[0], {}),
    }  # fmt: skip
    try:
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(temporary, "w", **profile) as scene:
            _write_tiles(scene, tiles, layout, first.shape)
        temporary.replace(destination)
    finally:
        temporary.unlink(missing_ok=True)
    return layout


def _write_tiles(
    scene: Any, tiles: Mapping[Address, Callable[[], bytes]], layout: Layout, shape: tuple[int, ...]
) -> None:
    complete = len(tiles) == layout.columns * layout.rows
    for address in sorted(tiles, key=lambda a: (a.y, a.x)):
        pixels = _pixels(address, tiles[address]())
        if pixels.shape != shape or shape[1] != shape[2]:
            raise TilesError(f"tile {address}: found (band, y, x) {pixels.shape}; expected square tiles like {shape}")
        scene.write(pixels, window=layout.window(address))
        if not complete:
            scene.write_mask(np.full(shape[1:], 255, np.uint8), window=layout.window(address))


def main(arguments: list[str] | None = None) -> int:
    """Run from the shell; gives the exit code."""
    parser = argparse.ArgumentParser(description="XYZ map tiles to one GeoTIFF in EPSG:3857.")
    parser.add_argument("tiles", type=Path, help="a folder, or a zip archive such as a wheel")
    parser.add_argument("destination", type=Path, help="the GeoTIFF to write")
    parser.add_argument("--inside", default="", help="only tiles in this folder of TILES")
    given = parser.parse_args(arguments)
    try:
        tiles = find_tiles(given.tiles, given.inside)
        layout = mosaic(tiles, given.destination)
    except TilesError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    size = f"{layout.columns * layout.side} x {layout.rows * layout.side}"
    print(f"{given.destination}: {len(tiles)} tiles of zoom {layout.origin.z}, {size} pixels, EPSG:3857")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
