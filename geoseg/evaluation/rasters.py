"""Class rasters made anywhere, brought onto the grid of the scene that they show."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from geoseg.core.classes import NODATA, ClassSet
from geoseg.core.protocols import Strip
from geoseg.core.tiling import Span
from geoseg.errors import LabelError
from geoseg.evaluation.strips import spans
from geoseg.io.labels.raster import ClassRaster, open_classes
from geoseg.io.labels.source import LabelSource
from geoseg.io.legend import Legend, read_legend
from geoseg.io.raster_sink import ClassRasterSink, RasterOptions
from geoseg.io.scene import Scene, open_scene

STRIP_PIXELS = 1 << 22


def on_grid_of(path: Path, scene: Scene, classes: ClassSet, target: Path) -> None:
    """Nothing; `target` becomes a raster of `classes` (uint8, 255 nodata) on the scene's own grid.

    Each pixel takes the class at its centre. Values are matched with ids and names as those of labels are; where both
    sides know one class only, it is that whatever the map calls it; in a mask of 0 and 255 without nodata, 255 is the
    only foreground class. Raises LabelError for a raster that does not lie on the
    scene or holds no classes, SceneError for one that cannot be opened, WriteError.
    """
    raster = _opened(path, scene, classes)
    sink = ClassRasterSink(target, scene.grid, classes, RasterOptions())
    x = Span(0, int(scene.grid.shape[1]))
    try:
        for y in spans(Span(0, int(scene.grid.shape[0])), x.size, STRIP_PIXELS):
            sink.write(Strip(y, raster.window(scene.grid, y, x)[0], None))
        sink.commit()
    finally:
        sink.abort()


def _opened(path: Path, scene: Scene, classes: ClassSet) -> ClassRaster:
    file = open_scene(str(path))
    only = [c.name for c in classes.foreground if c.id != classes.separator]
    told = _alone(read_legend(str(path)), classes, only[0]) if len(only) == 1 else {}
    if classes.background is not None and file.nodata == classes.background:
        told[str(classes.background)] = classes.by_id(classes.background).name  # a map shows nothing, and knows it
    try:
        return open_classes(LabelSource(str(path), values=told), scene, classes, keep=False)[0]
    except LabelError:
        if len(only) != 1 or file.dtype != np.uint8 or file.nodata == NODATA:
            raise
        told[str(NODATA)] = only[0]
        return open_classes(LabelSource(str(path), values=told), scene, classes, keep=False)[0]


def _alone(legend: Legend, classes: ClassSet, only: str) -> dict[str, str]:
    """What the value of the legend's only foreground class stands for: the `only` one of `classes`."""
    ground = [c.name.casefold() for c in classes.classes if c.id == classes.background]
    values = [
        value for value, name in legend.names.items() if value != classes.background and name.casefold() not in ground
    ]
    return {str(values[0]): only} if len(values) == 1 else {}
