"""Cards before training: what the recipe says, else the base, else the scenes."""

import numpy as np
import pytest

from geoseg.core.classes import ClassInfo, ClassSet
from geoseg.errors import BandError, ModelError, ResolutionError, SpecError
from geoseg.io.scene import open_scene
from geoseg.training.drafting import draft, separator_of, survey, with_separator
from geoseg.training.options import AboutOptions, ModelOptions, SeparatorOptions, Training
from tests.factory import make_raster
from tests.toy import toy_card

CLASSES = ClassSet(
    classes=(
        ClassInfo(id=0, name="background", colour="#000000"),
        ClassInfo(id=1, name="building", colour="#ffb000", kind="thing"),
    )
)
NAMED = ("red", "green", "blue")


@pytest.fixture
def scene(tmp_path):
    return open_scene(make_raster(tmp_path / "town.tif", colorinterp=NAMED))


def test_without_a_base_the_card_is_what_the_scene_holds(scene):
    card = draft(Training(), None, CLASSES, [scene], "My Town!")
    assert card.name == "my-town"
    assert (card.architecture, card.kind, card.activation) == ("unet", "semantic", "softmax")
    assert card.bands == NAMED
    assert card.resolution == pytest.approx(1.0, rel=0.01)
    assert card.value_range == (0, 255)
    assert card.channel_ids == (0, 1)


def test_everything_not_given_is_the_bases(scene):
    base = toy_card(resolution=0.8, resolution_range=(0.5, 1.5), tile_size=96, overlap=24)
    card = draft(Training(), base, base.classes, [scene], "town")
    kept = (
        "architecture",
        "arguments",
        "bands",
        "resolution",
        "resolution_range",
        "mean",
        "std",
        "tile_size",
        "overlap",
    )
    assert {key: getattr(card, key) for key in kept} == {key: getattr(base, key) for key in kept}
    assert card.name == "town"
    assert base.name in card.description


def test_the_recipe_comes_before_the_base(scene):
    asked = Training(
        model=ModelOptions(resolution=2.0, tile_size=128, mean=(0.1, 0.2, 0.3)),
        about=AboutOptions(name="mine", license="MIT", task="buildings"),
    )
    card = draft(asked, toy_card(resolution_range=(0.5, 1.5)), CLASSES, [scene], "town")
    assert (card.name, card.license, card.task) == ("mine", "MIT", "buildings")
    assert (card.resolution, card.tile_size, card.mean) == (2.0, 128, (0.1, 0.2, 0.3))
    assert card.resolution_range[0] <= 1.01 <= 2.0 <= card.resolution_range[1]


def test_values_are_measured_where_nothing_says_them(tmp_path):
    rng = np.random.default_rng(0)
    data = rng.normal(2000, 300, (2, 64, 64)).clip(1, 4000).astype("uint16")
    data[1] //= 2
    raster = make_raster(tmp_path / "s2.tif", data=data, descriptions=("red", "nir"))
    measured = survey([open_scene(raster)], ("red", "nir"))
    low, high = measured.value_range
    assert low == 0
    assert high == pytest.approx(np.percentile(data, 99.8), rel=0.01)
    assert np.array(measured.mean) * high == pytest.approx(data.mean(axis=(1, 2)), rel=0.01)
    assert np.array(measured.std) * high == pytest.approx(data.std(axis=(1, 2)), rel=0.01)


def test_nodata_is_not_measured(tmp_path):
    data = np.full((3, 32, 32), 100, "uint8")
    data[:, :16] = 0
    raster = make_raster(tmp_path / "half.tif", data=data, nodata=0, colorinterp=NAMED)
    measured = survey([open_scene(raster)], NAMED)
    assert np.array(measured.mean) * 255 == pytest.approx([100] * 3, abs=0.1)


def test_a_separator_is_one_class_more_and_is_drawn_again_in_the_same_way(scene):
    asked = Training(model=ModelOptions(separator=SeparatorOptions(kind="contact", width_m=0.8)))
    card = draft(asked, None, CLASSES, [scene], "town")
    assert card.classes.separator == 2
    assert card.classes.by_id(2).name == "contact"
    assert card.channel_ids == (0, 1, 2)
    again = draft(Training(), card, card.classes.without_separator(), [scene], "town")
    assert again.classes == card.classes
    assert separator_of(again) == SeparatorOptions(kind="contact", width_m=0.8)
    assert card.classes.without_separator() == CLASSES


def test_a_separator_needs_things():
    stuff = ClassSet(classes=(CLASSES.classes[0], ClassInfo(id=1, name="water", colour="#0000ff")))
    with pytest.raises(SpecError, match="kind thing"):
        with_separator(stuff, SeparatorOptions(kind="boundary"))


def test_unnamed_bands_are_asked_for(tmp_path):
    scene = open_scene(make_raster(tmp_path / "five.tif", bands=5, dtype="uint16"))
    with pytest.raises(BandError, match="--band-names"):
        draft(Training(), None, CLASSES, [scene], "town")


def test_a_scene_without_a_resolution_is_refused(tmp_path):
    scene = open_scene(make_raster(tmp_path / "nowhere.tif", crs=None, colorinterp=NAMED))
    with pytest.raises(ResolutionError, match="--scene-resolution"):
        draft(Training(), None, CLASSES, [scene], "town")


def test_other_bands_than_the_bases_need_another_start(scene):
    with pytest.raises(ModelError, match="same bands"):
        draft(Training(model=ModelOptions(bands=("red", "green"))), toy_card(), CLASSES, [scene], "town")
