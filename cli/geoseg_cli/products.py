"""Options of the commands that make polygons or lines: what they become, where, and in which file."""

from __future__ import annotations

import click

from geoseg_cli.options import together
from geoseg_cli.values import BOUNDS, NOT_NEGATIVE, POSITIVE

vector_option = click.option(
    "-o",
    "--output",
    "output__vector",
    metavar="FILE",
    help="Polygons or lines: .gpkg .geojson .json .shp .fgb .parquet; GeoJSON is always in longitude and latitude.",
)
dst_crs_option = click.option(
    "--dst-crs", "output__dst_crs", metavar="CRS", help="CRS of that file, in place of the raster's: EPSG:4326."
)
overwrite_option = click.option("--overwrite", "output__overwrite", is_flag=True, help="Replace outputs that exist.")

region_options = together(
    click.option("--aoi", "region__aoi", metavar="FILE", help="Polygons: objects that meet them are kept, whole."),
    click.option("--bounds", "region__bounds", type=BOUNDS, help="A rectangle, in place of --aoi."),
    click.option("--bounds-crs", "region__bounds_crs", metavar="CRS", help="CRS of --bounds, if not the scene's."),
    click.option("--clip", "region__clip", is_flag=True, help="Cut objects at the edge of --aoi or --bounds."),
)

postprocess_options = together(
    click.option(
        "--postprocess",
        "postprocess__preset",
        metavar="NAME",
        help="Take the values of this task: buildings, roads, water, landcover, trees, fields; none: exact polygons.",
    ),
    click.option(
        "--shape", "postprocess__shape", type=click.Choice(["polygons", "lines"]), help="Outlines, or centrelines."
    ),
    click.option(
        "--min-area",
        "postprocess__min_area_m2",
        type=NOT_NEGATIVE,
        metavar="M2",
        help="The least area of a polygon, in square metres; 0 keeps all.",
    ),
    click.option(
        "--small",
        "postprocess__small",
        type=click.Choice(["drop", "merge"]),
        help="What to do with smaller ones: drop them, or give them to the neighbour with the longest shared edge.",
    ),
    click.option(
        "--fill-holes",
        "postprocess__fill_holes_m2",
        type=NOT_NEGATIVE,
        metavar="M2",
        help="Fill smaller holes, in square metres; 0 keeps all.",
    ),
    click.option(
        "--outline",
        "postprocess__outline",
        type=click.Choice(["exact", "simplify", "smooth", "square", "subpixel"]),
        help="Along the pixels' edges, or with fewer points, as curves, with right angles, or where the score crosses "
        "the threshold. Neighbours stay neighbours.",
    ),
    click.option(
        "--simplify",
        "postprocess__simplify_m",
        type=NOT_NEGATIVE,
        metavar="METRES",
        help="How far outlines and lines may move; 0 keeps them exact.",
    ),
    click.option(
        "--connectivity",
        "postprocess__connectivity",
        type=click.Choice([4, 8]),
        help="8: pixels that touch at a corner are one object.",
    ),
    click.option(
        "--max-width",
        "postprocess__max_width_m",
        type=POSITIVE,
        metavar="METRES",
        help="Lines: what is wider is no road or river.",
    ),
    click.option(
        "--spurs", "postprocess__spur_m", type=NOT_NEGATIVE, metavar="METRES", help="Lines: shorter free ends go."
    ),
    click.option(
        "--gaps", "postprocess__gap_m", type=NOT_NEGATIVE, metavar="METRES", help="Lines: smaller gaps are bridged."
    ),
    click.option(
        "--min-length",
        "postprocess__min_length_m",
        type=NOT_NEGATIVE,
        metavar="METRES",
        help="Lines: shorter ones are dropped.",
    ),
)
