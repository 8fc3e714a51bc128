from __future__ import annotations

import pytest
from pyproj import CRS

from geoseg_cli.words import area, clock, crs, duration, number_of, phrase, shape, size


def test_sizes_areas_and_times():
    assert [size(n) for n in (0, 999, 1000, 412_000_000, 5e9, 2e12)] == [
        "0 B",
        "999 B",
        "1 kB",
        "412.0 MB",
        "5.0 GB",
        "2.0 TB",
    ]
    assert [area(n) for n in (0, 9_999, 10_000, 25_000_000)] == ["0 m²", "9,999 m²", "1.0 ha", "25.0 km²"]
    assert [duration(s) for s in (0.04, 59.9, 754)] == ["0.0 s", "59.9 s", "12:34"]
    assert [clock(s) for s in (7.4, 754, 3723)] == ["0:07", "12:34", "1:02:03"]
    assert [number_of(n, "tile") for n in (0, 1, 1200)] == ["0 tiles", "1 tile", "1,200 tiles"]


def test_shapes_are_told_width_first():
    assert shape([700, 1900]) == "1,900 × 700 pixels"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "no CRS"),
        ("EPSG:32633", "EPSG:32633"),
        (CRS.from_epsg(32633).to_wkt("WKT1_GDAL"), "WGS 84 / UTM zone 33N (EPSG:32633)"),
        (CRS.from_epsg(3857).to_wkt("WKT2_2019"), "WGS 84 / Pseudo-Mercator (EPSG:3857)"),
        (CRS.from_proj4("+proj=eqearth +datum=WGS84").to_wkt(), "unknown"),
    ],
)
def test_a_crs_in_a_few_words(text, told):
    assert crs(text) == told


def test_phrases():
    assert phrase(None) == phrase([]) == "-"
    assert phrase(True) == "yes"
    assert phrase(3202560.5) == "3202560.5"
    assert phrase(1500, "free_bytes") == "2 kB"
    assert phrase([{"memory_bytes": 5e9, "name": "a"}, {"name": "b"}]) == "memory 5.0 GB; name a\nname b"
