from __future__ import annotations

import sqlite3
from xml.etree import ElementTree

import geopandas as gpd
import pyogrio
import pytest

from geoseg.core.classes import ClassInfo, ClassSet
from geoseg.io.styles import qml
from geoseg.io.vector_sink import VectorOptions, VectorSink
from tests.io.support import CLASSES, batch, bends, circles, lines

ODD = ClassSet(
    classes=(
        ClassInfo(id=0, name="road <\"main\"> & 'side'", colour="#010203"),
        ClassInfo(id=7, name="ü", colour="#fffe00"),
    ),
    background=None,
)


def styled(path, kind, classes=CLASSES):
    sink = VectorSink(path, "EPSG:32633", None, VectorOptions(kind=kind, classes=classes))
    sink.write(batch(circles(5)) if kind == "polygons" else lines(bends(5)))
    sink.commit()
    return path


@pytest.mark.parametrize(
    ("kind", "drawn", "solid"), [("polygons", "SimpleFill", "outline_color"), ("lines", "SimpleLine", "line_color")]
)
@pytest.mark.parametrize("classes", [CLASSES, ODD])
def test_a_style_has_one_colour_for_each_class_that_is_drawn(kind, drawn, solid, classes):
    style = ElementTree.fromstring(qml(kind, classes))
    assert style.get("labelsEnabled") == "0"
    renderer = style.find("renderer-v2")
    assert (renderer.get("type"), renderer.get("attr")) == ("categorizedSymbol", "class")
    categories = renderer.findall("categories/category")
    assert [c.get("value") for c in categories] == [c.name for c in classes.foreground]
    assert [c.get("label") for c in categories] == [c.name for c in classes.foreground]
    symbols = {symbol.get("name"): symbol for symbol in renderer.findall("symbols/symbol")}
    for category, info in zip(categories, classes.foreground, strict=True):
        layer = symbols[category.get("symbol")].find("layer")
        assert layer.get("class") == drawn
        values = {prop.get("k"): prop.get("v") for prop in layer.findall("prop")}
        assert values[solid] == "{},{},{},255".format(*info.rgb)
        if kind == "polygons":
            *colour, opacity = map(int, values["color"].split(","))
            assert tuple(colour) == info.rgb
            assert 0 < opacity < 255


@pytest.mark.parametrize("kind", ["polygons", "lines"])
def test_a_geopackage_keeps_its_style_as_qgis_does(tmp_path, kind):
    path = styled(tmp_path / "town.gpkg", kind)
    with sqlite3.connect(path) as database:
        (row,) = database.execute(
            "SELECT f_table_catalog, f_table_schema, f_table_name, f_geometry_column, useAsDefault, styleQML, "
            "update_time FROM layer_styles"
        ).fetchall()
        assert row[:6] == ("", "", "town", "geom", 1, qml(kind, CLASSES))
        assert row[6].endswith("Z")
        assert database.execute(
            "SELECT data_type, identifier, srs_id FROM gpkg_contents WHERE table_name = 'layer_styles'"
        ).fetchall() == [("attributes", "layer_styles", 0)]
        counts = "SELECT feature_count FROM gpkg_ogr_contents WHERE table_name = 'layer_styles'"
        assert database.execute(counts).fetchone() == (1,)
        database.execute("INSERT INTO layer_styles (f_table_name, styleName) VALUES ('town', 'of a user')")
        assert database.execute(counts).fetchone() == (2,)
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_the_styles_are_the_second_layer(tmp_path):
    path = styled(tmp_path / "town.gpkg", "polygons")
    assert pyogrio.list_layers(path)[:, 0].tolist() == ["town", "layer_styles"]
    assert len(gpd.read_file(path, layer=0)) == 5
    assert pyogrio.read_dataframe(path, layer="layer_styles")["styleName"].tolist() == ["classes"]


def test_without_classes_there_is_no_style(tmp_path):
    assert pyogrio.list_layers(styled(tmp_path / "town.gpkg", "polygons", None))[:, 0].tolist() == ["town"]
