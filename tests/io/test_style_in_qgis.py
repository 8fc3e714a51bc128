"""The style of a GeoPackage as QGIS itself reads it, where a QGIS is installed; test_styles.py holds without one."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from geoseg.io.vector_sink import VectorOptions, VectorSink
from tests.io.support import CLASSES, batch, bends, circles, lines

SYSTEM = Path("/usr/bin/python3")  # QGIS comes with modules for that one
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


def ask_qgis(*arguments: str) -> subprocess.CompletedProcess[str]:
    if not SYSTEM.is_file():
        pytest.skip("there is no system Python that could have QGIS")
    settings = {"QT_QPA_PLATFORM": "offscreen", "PATH": "/usr/bin:/bin", "HOME": str(Path.home()), "LANG": "C.UTF-8"}
    return subprocess.run(
        [SYSTEM, "-c", *arguments], env=settings, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.parametrize("kind", ["polygons", "lines"])
def test_qgis_opens_a_layer_in_its_classes_colours(tmp_path, kind):
    if ask_qgis("import qgis.core").returncode:
        pytest.skip("QGIS is not installed")
    options = VectorOptions({"GEOSEG_ATTRIBUTION": "Imagery: a credit line"}, kind=kind, classes=CLASSES)
    sink = VectorSink(tmp_path / "town.gpkg", "EPSG:32633", None, options)
    sink.write(batch(circles(5)) if kind == "polygons" else lines(bends(5)))
    sink.commit()
    answer = ask_qgis(LOOK, str(tmp_path / "town.gpkg"))
    found = json.loads(answer.stdout.strip().splitlines()[-1])
    assert (found["type"], found["column"], found["labels"]) == ("categorizedSymbol", "class", False)
    assert found["colours"] == {info.name: info.colour for info in CLASSES.foreground}
    assert all(0 < a < 255 if kind == "polygons" else a == 255 for a in found["opacity"])
    assert found["about"].endswith("Imagery: a credit line")
