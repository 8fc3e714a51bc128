"""Print what a file of predicted polygons holds: how many of each class, how large, how sure.

python examples/describe_polygons.py buildings.gpkg
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import geopandas


def describe(path: Path) -> Iterator[str]:
    """One line a class, then one about the objects that the scene's edge cuts."""
    polygons = geopandas.read_file(path, layer=0)  # the one after it in a GeoPackage holds the style
    crs = polygons.crs.to_string() if polygons.crs else "no CRS"
    yield f"{path}: {len(polygons)} polygons, {crs}"
    for name, group in polygons.groupby("class"):
        yield (
            f"  {name}: {len(group)} objects, {group.area_m2.sum():,.0f} m2 in all, "
            f"median {group.area_m2.median():,.0f} m2, largest {group.area_m2.max():,.0f} m2, "
            f"median confidence {group.confidence.median():.2f}"
        )
    cut = int(polygons.touches_edge.sum())
    if cut:
        yield f"  {cut} of them touch the scene's edge: their true area may be larger"


if __name__ == "__main__":
    for line in describe(Path(sys.argv[1])):
        print(line)
