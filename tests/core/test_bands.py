import pytest

from geoseg.core.bands import common_name, dated, match, undated
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
        ("Near Infrared @ 2", None, "nir@2"),
        ("red@02", None, "red@2"),
        ("red@0", None, None),
        ("red@", None, None),
        ("red@spring", None, None),
        ("quality@1", None, None),
        ("B6_VCID_1", None, "lwir"),
        ("B6_VCID_2", "landsat-7", "lwirhigh"),
        ("NDVI", None, "ndvi"),
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


FIELDS = tuple(f"{name}@{date}" for date in (1, 2) for name in ("red", "green", "blue", "nir"))


def test_a_model_of_two_dates_finds_its_bands_in_any_order():
    assert match(FIELDS, FIELDS[4:] + FIELDS[:4], "scene.tif") == (5, 6, 7, 8, 1, 2, 3, 4)


def test_bands_without_their_date_are_asked_for():
    available = ("red", "green", "blue", "nir") * 2
    with pytest.raises(
        BandError, match=r"--bidx 1,2,.*--band-names and the number of their date \(red@1\).*--band red@1=F"
    ):
        match(FIELDS, available, "scene.tif")


def test_one_date_is_not_enough_for_two():
    with pytest.raises(BandError, match=r"found 4 band\(s\).*eats 8: red@1, .*--band NAME=FILE"):
        match(FIELDS, FIELDS[:4], "scene.tif")


def test_names_with_and_without_their_date():
    assert undated("red@2") == undated("red") == "red"
    assert dated(("red", "nir", "red", "pan")) == ("red@1", "nir", "red@2", "pan")
    assert dated(("red", "nir")) == ("red", "nir")


def test_a_message_tells_what_the_file_calls_its_bands():
    with pytest.raises(BandError, match=r"found bands 1=B02, 2=B03, 3=red, 4=\?; expected red, nir.*--sensor"):
        match(["red", "nir"], [None, None, "red", None], "s.tif", ["B02", "B03", "red", None])
