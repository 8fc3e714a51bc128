import pytest

from geoseg.core.bands import common_name, match
from geoseg.errors import BandError, UnknownNameError


@pytest.mark.parametrize(
    ("text", "sensor", "expected"),
    [
        ("Red", None, "red"),
        ("near-infrared", None, "nir"),
        ("NIR", None, "nir"),
        ("SWIR_1", None, "swir16"),
        ("red@2", None, "red@2"),
        ("B04", None, None),
        ("B04", "sentinel-2", "red"),
        ("B4", "landsat-7", "nir08"),
        ("SR_B4", "landsat-8", "red"),
        ("Band 5", "landsat-9", "nir08"),
        ("B8A", "sentinel-2", "nir08"),
        ("B08@1", "sentinel-2", "nir@1"),
        ("quality", "sentinel-2", None),
        ("", None, None),
        (None, None, None),
    ],
)
def test_common_names(text, sensor, expected):
    assert common_name(text, sensor) == expected


def test_a_sensor_that_nobody_knows():
    with pytest.raises(UnknownNameError, match="sentinel-2"):
        common_name("B1", "sentinel2")


def test_bands_are_found_by_name_in_the_models_order():
    assert match(("red", "green", "blue"), ("blue", "green", "red", "nir"), "scene.tif") == (3, 2, 1)


def test_a_missing_band_is_asked_for_with_what_was_found():
    with pytest.raises(BandError, match=r"scene\.tif: found bands 1=\?, 2=red; expected red, nir.*--bidx"):
        match(("red", "nir"), (None, "red"), "scene.tif")


def test_too_few_bands_are_not_answered_with_indices_that_are_not_there():
    with pytest.raises(BandError, match=r"found 1 band\(s\).*eats 3: red, green, blue; choose a model"):
        match(("red", "green", "blue"), (None,), "scene.tif")


def test_a_band_that_stands_twice_is_never_guessed():
    with pytest.raises(BandError, match="more than once"):
        match(("red",), ("red", "red"), "scene.tif")
