"""Draw raw, simplified and squared outlines of the same buildings side by side over the imagery.

    python examples/compare_outlines.py scene.tif picture.png [--bounds LEFT BOTTOM RIGHT TOP | --size METRES]

The scene is predicted once, by `geoseg predict --raster`; the class raster becomes polygons three times, by
`geoseg vectorize`. The upper row shows `--bounds`, in the scene's CRS, or a square in the middle of the scene; the
lower row is the part around `--detail`, with a dot at each vertex.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import rasterio
import shapely
from affine import Affine
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from pyproj import CRS, Geod, Transformer
from rasterio.windows import Window, from_bounds

from geoseg.io.cartography import Furniture, footer

PANELS = {
    "raw": ("along the edges of pixels", ["--postprocess", "none"]),
    "simplified": ("walls between neighbours kept", ["--postprocess", "buildings", "--outline", "simplify"]),
    "squared": ("right angles where the outline supports them", ["--postprocess", "buildings", "--outline", "square"]),
}
SIDE, MARGIN = 600, 14  # pixels of a panel, and around it
SHARPER = 3  # outlines are drawn that many times larger, then reduced
INK, FAINT, PAPER = (38, 42, 48), (120, 126, 134), (255, 255, 255)
COLOUR, SHADE, FILL = (255, 201, 20), (16, 20, 26), 0.18


@dataclass(frozen=True, slots=True)
class Pen:
    """Widths and radius in final pixels; a radius of 0 draws no dots."""

    line: float
    halo: float
    dot: float


OVERVIEW, CLOSE = Pen(1.3, 2.8, 0), Pen(2.0, 4.0, 2.2)


@dataclass(frozen=True, slots=True)
class View:
    """A piece of a scene: its pixels (y, x, 3), the way from its CRS to the panel's pixels, and metres per pixel."""

    pixels: Image.Image
    crs: Any
    bounds: tuple[float, float, float, float]
    metres_per_pixel: float

    @property
    def to_panel(self) -> Affine:
        """From the scene's CRS to pixels of the panel, x to the right and y down."""
        left, bottom, right, top = self.bounds
        width, height = self.pixels.size
        return Affine(width / (right - left), 0, 0, 0, -height / (top - bottom), 0) @ Affine.translation(-left, -top)


def geoseg(*words: str | Path) -> None:
    """Run a command. Raises CalledProcessError after its own words."""
    subprocess.run([sys.executable, "-m", "geoseg_cli", *map(str, words)], check=True, stdout=subprocess.DEVNULL)


def outlines(scene: Path, folder: Path) -> dict[str, geopandas.GeoDataFrame]:
    """The polygons of each panel in the scene's CRS, by name."""
    raster = folder / "classes.tif"
    geoseg("predict", scene, "--task", "buildings", "--raster", raster)
    found = {}
    for name, (_, words) in PANELS.items():
        path = folder / f"{name}.fgb"
        geoseg("vectorize", raster, "-o", path, *words)
        found[name] = geopandas.read_file(path)
    return found


def view(scene: Path, window: Window) -> View:
    """A piece of the scene as it is shown."""
    with rasterio.open(scene) as source:
        window = window.round_offsets().round_lengths().intersection(Window(0, 0, source.width, source.height))
        pixels = np.moveaxis(source.read((1, 2, 3), window=window), 0, -1)
        shown = source.window_bounds(window)
        across = metres(source, (shown[0] + shown[2]) / 2, (shown[1] + shown[3]) / 2) * window.width / SIDE
        crs = source.crs
    height = round(SIDE * pixels.shape[0] / pixels.shape[1])
    image = Image.fromarray(pixels).resize((SIDE, height), Image.Resampling.LANCZOS)
    return View(Image.blend(image.convert("L").convert("RGB"), image, 0.7), crs, shown, across)


def windows(scene: Path, asked: argparse.Namespace) -> tuple[Window, Window]:
    """What is shown, and the part of it that is shown closely. Raises SystemExit where a scene cannot be shown."""
    with rasterio.open(scene) as source:
        if source.crs is None or source.transform.b or source.transform.d or source.transform.e > 0:
            raise SystemExit(f"{scene}: expected a scene with a CRS whose north is up; warp it first (gdalwarp)")
        whole = Window(0, 0, source.width, source.height)
        shown = from_bounds(*asked.bounds, source.transform) if asked.bounds else square(source, whole, asked.size)
        place = shown
        if asked.detail:
            row, column = source.index(*asked.detail)
            place = Window(column, row, 0, 0)
        return shown, square(source, place, asked.detail_size)


def square(source: rasterio.DatasetReader, around: Window, size: float) -> Window:
    """A square of `size` metres round the middle of a window."""
    column, row = around.col_off + around.width / 2, around.row_off + around.height / 2
    side = size / metres(source, *source.xy(row, column))
    return Window(column - side / 2, row - side / 2, side, side)


def metres(source: rasterio.DatasetReader, x: float, y: float) -> float:
    """How wide a pixel is on the ground, at a place in the scene's CRS."""
    crs = CRS.from_user_input(source.crs)
    place = Transformer.from_crs(crs, crs.geodetic_crs, always_xy=True)
    geod: Geod = crs.get_geod()
    return float(geod.inv(*place.transform(x, y), *place.transform(x + source.res[0], y))[2])


def panel(shown: View, polygons: NDArray[Any], pen: Pen) -> Image.Image:
    """The imagery with the outlines over it, and a dot at each vertex."""
    size = tuple(SHARPER * side for side in shown.pixels.size)
    layers = {name: Image.new("L", size) for name in ("fill", "halo", "line", "rims", "dots")}
    draw = {name: ImageDraw.Draw(layer) for name, layer in layers.items()}
    large = Affine.scale(SHARPER) @ shown.to_panel
    for polygon in polygons:
        draw_fill(draw["fill"], polygon, large)
    for ring in shapely.get_rings(polygons):
        points = np.column_stack(large * shapely.get_coordinates(ring).T)
        path = [*map(tuple, points), tuple(points[1])]  # once more round the first corner, so that it is joined as well
        draw["halo"].line(path, fill=255, width=round(pen.halo * SHARPER), joint="curve")
        draw["line"].line(path, fill=255, width=round(pen.line * SHARPER), joint="curve")
        for point in points[:-1] if pen.dot else ():
            draw["rims"].circle(tuple(point), (pen.dot + 0.8) * SHARPER, fill=255)
            draw["dots"].circle(tuple(point), pen.dot * SHARPER, fill=255)
    return layered(shown.pixels, layers)


def layered(base: Image.Image, layers: dict[str, Image.Image]) -> Image.Image:
    """The imagery with each layer's colour laid over it."""
    styles = {
        "fill": (COLOUR, FILL),
        "halo": (SHADE, 0.6),
        "line": (COLOUR, 1.0),
        "rims": (SHADE, 0.9),
        "dots": (PAPER, 1.0),
    }
    drawn = base.copy()
    for name, (colour, opacity) in styles.items():
        cover = np.asarray(layers[name].resize(base.size, Image.Resampling.BOX), np.float32) * opacity
        drawn.paste(colour, (0, 0, *base.size), Image.fromarray(cover.astype(np.uint8)))
    return drawn


def draw_fill(pen: ImageDraw.ImageDraw, polygon: shapely.Polygon, to_canvas: Affine) -> None:
    """Fill a polygon, its holes left out."""
    for ring, value in ((polygon.exterior, 255), *((hole, 0) for hole in polygon.interiors)):
        pen.polygon([tuple(point) for point in np.column_stack(to_canvas * np.array(ring.coords).T)], fill=value)


def page(views: tuple[View, View], found: dict[str, geopandas.GeoDataFrame], credit_line: str) -> Image.Image:
    """Overviews above, details below, a title under them, a scale bar at the right."""
    wide, close = views
    heights = [shown.pixels.height for shown in views]
    says = f"{length(wide)} across above, {length(close)} below"
    words = Furniture(says, credit_line, (), close.metres_per_pixel, None)
    foot = footer(len(found) * (SIDE + MARGIN) + MARGIN, words)
    titles = sum(heights) + 3 * MARGIN
    sheet = Image.new("RGB", (foot.width, titles + 50 + foot.height), PAPER)
    for place, (name, frame) in enumerate(found.items()):
        left, parts = MARGIN + place * (SIDE + MARGIN), shapely.get_parts(frame.to_crs(wide.crs).geometry.to_numpy())
        upper = panel(wide, within(parts, wide), OVERVIEW)
        mark(upper, wide, close)
        sheet.paste(upper, (left, MARGIN))
        sheet.paste(panel(close, within(parts, close), CLOSE), (left, 2 * MARGIN + heights[0]))
        write(sheet, (left, titles), name, f"{PANELS[name][0]}; {vertices(parts, wide):,} vertices above")
    sheet.paste(foot, (0, titles + 50))
    return sheet


def length(shown: View) -> str:
    """How wide a view is, in whole metres."""
    return f"{shown.metres_per_pixel * shown.pixels.width:.0f} m"


def within(polygons: NDArray[Any], shown: View) -> NDArray[Any]:
    """The polygons that can be seen."""
    return polygons[shapely.intersects(polygons, shapely.box(*shown.bounds))]


def vertices(polygons: NDArray[Any], shown: View) -> int:
    """How many vertices are in the picture; a ring's first point counts once."""
    rings = shapely.get_rings(within(polygons, shown))
    points, ring = shapely.get_coordinates(rings, return_index=True)
    closing = np.flatnonzero(np.diff(ring, append=len(rings)))
    x, y = np.delete(points, closing, axis=0).T
    return int(shapely.contains_xy(shapely.box(*shown.bounds), x, y).sum())


def mark(picture: Image.Image, wide: View, close: View) -> None:
    """Draw the detail's frame on the overview."""
    left, bottom, right, top = close.bounds
    (x0, y0), (x1, y1) = wide.to_panel * (left, top), wide.to_panel * (right, bottom)
    pen = ImageDraw.Draw(picture)
    pen.rectangle([x0 - 2, y0 - 2, x1 + 2, y1 + 2], outline=SHADE, width=4)
    pen.rectangle([x0 - 1, y0 - 1, x1 + 1, y1 + 1], outline=PAPER, width=2)


def write(sheet: Image.Image, place: tuple[int, int], title: str, more: str) -> None:
    """A title and what it means."""
    pen, large, small = ImageDraw.Draw(sheet), ImageFont.load_default(20), ImageFont.load_default(14)
    pen.text(place, title, fill=INK, font=large)
    pen.text((place[0], place[1] + 27), more, fill=FAINT, font=small)


def main() -> None:
    """Parse the command line, predict, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--bounds", nargs=4, type=float, metavar=("LEFT", "BOTTOM", "RIGHT", "TOP"))
    parser.add_argument("--size", type=float, default=250, help="metres along a side of the square that is shown")
    parser.add_argument("--detail", nargs=2, type=float, metavar=("X", "Y"), help="in the scene's CRS")
    parser.add_argument("--detail-size", type=float, default=70, help="metres along a side of it")
    parser.add_argument("--credit", default="", help="whose imagery it is")
    asked = parser.parse_args()
    wide, close = (view(asked.scene, window) for window in windows(asked.scene, asked))
    with tempfile.TemporaryDirectory() as folder:
        found = outlines(asked.scene, Path(folder))
    page((wide, close), found, asked.credit).save(asked.picture, quality=82, optimize=True)


if __name__ == "__main__":
    main()
