"""Styles kept in GeoPackages, so that QGIS opens a layer in its classes' colours.

The table `layer_styles` and its content are those that QGIS 3 itself writes: QML documents, of which one is a layer's
default.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from xml.etree import ElementTree

from geoseg.core.classes import ClassInfo, ClassSet
from geoseg.io.records import Kind

_TABLE = """
CREATE TABLE "layer_styles" ("id" INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, "f_table_catalog" TEXT(256),
    "f_table_schema" TEXT(256), "f_table_name" TEXT(256), "f_geometry_column" TEXT(256), "styleName" TEXT(30),
    "styleQML" TEXT, "styleSLD" TEXT, "useAsDefault" BOOLEAN, "description" TEXT, "owner" TEXT(30), "ui" TEXT(30),
    "update_time" DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now')))
"""
_COUNT = """
CREATE TRIGGER "trigger_{event}_feature_count_layer_styles" AFTER {event} ON "layer_styles"
BEGIN UPDATE gpkg_ogr_contents SET feature_count = feature_count {step} 1
WHERE lower(table_name) = lower('layer_styles'); END
"""
_FILL = 90  # of 255: how opaque a polygon's inside is
_MILLIMETRES = {"outline": "0.3", "line": "0.7"}
_QML = "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"


def add_style(path: Path, table: str, kind: Kind, classes: ClassSet) -> None:
    """Give a GeoPackage's layer `table` a default style. Raises sqlite3.Error."""
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        (column,) = database.execute(
            "SELECT column_name FROM gpkg_geometry_columns WHERE table_name = ?", (table,)
        ).fetchone()
        database.execute(_TABLE)
        database.execute(
            "INSERT INTO gpkg_contents (table_name, data_type, identifier, description, srs_id) "
            "VALUES ('layer_styles', 'attributes', 'layer_styles', '', 0)"
        )
        database.execute("INSERT INTO gpkg_ogr_contents (table_name, feature_count) VALUES ('layer_styles', 0)")
        for event, step in (("insert", "+"), ("delete", "-")):
            database.execute(_COUNT.format(event=event, step=step))
        database.execute(
            "INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name, f_geometry_column, styleName, "
            "styleQML, styleSLD, useAsDefault, description, owner) VALUES ('', '', ?, ?, 'classes', ?, '', 1, ?, '')",
            (table, column, qml(kind, classes), "One colour for each class"),
        )


def qml(kind: Kind, classes: ClassSet) -> str:
    """A QGIS style: the layer's features in the colours of the classes that become features, without labels."""
    style = ElementTree.Element("qgis", version="3.22.0", styleCategories="Symbology|Labeling", labelsEnabled="0")
    renderer = ElementTree.SubElement(
        style,
        "renderer-v2",
        type="categorizedSymbol",
        attr="class",
        symbollevels="0",
        forceraster="0",
        enableorderby="0",
    )
    categories = ElementTree.SubElement(renderer, "categories")
    symbols = ElementTree.SubElement(renderer, "symbols")
    for number, info in enumerate(classes.foreground):
        ElementTree.SubElement(
            categories, "category", render="true", symbol=str(number), value=info.name, label=info.name
        )
        symbols.append(_symbol(str(number), kind, info))
    ElementTree.indent(style, " ")
    return _QML + ElementTree.tostring(style, encoding="unicode") + "\n"


def _symbol(name: str, kind: Kind, info: ClassInfo) -> ElementTree.Element:
    solid = ",".join(map(str, (*info.rgb, 255)))
    if kind == "polygons":
        shape, drawn = "fill", "SimpleFill"
        properties = {
            "color": ",".join(map(str, (*info.rgb, _FILL))), "style": "solid", "outline_color": solid,
            "outline_style": "solid", "outline_width": _MILLIMETRES["outline"], "outline_width_unit": "MM",
            "joinstyle": "bevel",
        }  # fmt: skip
    else:
        shape, drawn = "line", "SimpleLine"
        properties = {
            "line_color": solid, "line_style": "solid", "line_width": _MILLIMETRES["line"], "line_width_unit": "MM",
            "capstyle": "round", "joinstyle": "round",
        }  # fmt: skip
    symbol = ElementTree.Element("symbol", name=name, type=shape, alpha="1", clip_to_extent="1", force_rhr="0")
    layer = ElementTree.SubElement(symbol, "layer", {"class": drawn, "enabled": "1", "locked": "0", "pass": "0"})
    for key, value in properties.items():  # versions before 3.18 read `prop` alone, later ones still do
        ElementTree.SubElement(layer, "prop", k=key, v=value)
    return symbol
