"""The style of a GeoPackage as QGIS itself reads it, where a QGIS is installed; test_styles.py holds without one."""

from __future__ import annotations

import json
import subprocess

import pytest

from geoseg.io.vector_sink import VectorOptions, VectorSink
from tests.io.support import CLASSES, batch, bends, circles, lines

LOOK = """
import json, sys
from qgis.core import QgsApplication, QgsVectorLayer
app = QgsApplication([], False)
app.initQgis()
layer = QgsVectorLayer(sys.argv[1], "layer", "ogr")
renderer = layer.renderer()
print(json.dumps({
    "type": renderer.type(),
    "column": renderer.classAttribute(),
    "colours": {c.value(): c.symbol().color().name() for c in renderer.categories()},
    "opacity": [c.symbol().color().alpha() for c in renderer.categories()],
    "labels": layer.labelsEnabled(),
    "about": layer.metadata().abstract(),
}))
"""


@pytest.mark.parametrize("kind", ["polygons", "lines"])
def test_qgis_opens_a_layer_in_its_classes_colours(tmp_path, qgis_python, kind):
    options = VectorOptions({"GEOSEG_ATTRIBUTION": "Imagery: a credit line"}, kind=kind, classes=CLASSES)
    sink = VectorSink(tmp_path / "town.gpkg", "EPSG:32633", None, options)
    sink.write(batch(circles(5)) if kind == "polygons" else lines(bends(5)))
    sink.commit()
    settings = {"QT_QPA_PLATFORM": "offscreen", "PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "LANG": "C.UTF-8"}
    words = [qgis_python, "-c", LOOK, tmp_path / "town.gpkg"]
    answer = subprocess.run(words, env=settings, capture_output=True, text=True, check=True)
    found = json.loads(answer.stdout.strip().splitlines()[-1])
    assert (found["type"], found["column"], found["labels"]) == ("categorizedSymbol", "class", False)
    assert found["colours"] == {info.name: info.colour for info in CLASSES.foreground}
    assert all(0 < a < 255 if kind == "polygons" else a == 255 for a in found["opacity"])
    assert found["about"].endswith("Imagery: a credit line")
