import numpy as np
import pytest
from pydantic import ValidationError

from geoseg.core.card import ModelCard
from geoseg.core.classes import ClassInfo, ClassSet
from geoseg.core.values import Decision, Stretch, normalisation
from geoseg.errors import SpecError

CLASSES = ClassSet(
    classes=(ClassInfo(id=0, name="background", colour="#000000"), ClassInfo(id=7, name="roof", colour="#ff8000"))
)


def card(**changes):
    values = {
        "name": "toy", "version": "1", "task": "toy", "description": "", "architecture": "none", "license": "MIT",
        "bands": ("red", "nir"), "resolution": 1.0, "resolution_range": (0.5, 2.0), "mean": (0.5, 0.25),
        "std": (0.25, 0.5), "classes": CLASSES,
    }  # fmt: skip
    return ModelCard(**(values | changes))


def apply(norm, value, band):
    return np.clip(value, norm.low[band], norm.high[band]) * norm.scale[band] + norm.offset[band]


def test_values_of_the_cards_range_are_normalised_without_clipping():
    norm = normalisation(card(), None)
    assert apply(norm, 255.0, 0) == pytest.approx((1 - 0.5) / 0.25)
    assert apply(norm, 0.0, 1) == pytest.approx(-0.25 / 0.5)
    assert not np.isfinite(norm.low).any()


def test_a_stretch_maps_its_ends_to_the_range_and_clips_beyond():
    norm = normalisation(card(), Stretch((100.0, 0.0), (1100.0, 10.0), "test"))
    assert apply(norm, 100.0, 0) == apply(norm, 3.0, 0) == pytest.approx(-2)
    assert apply(norm, 1100.0, 0) == apply(norm, 9999.0, 0) == pytest.approx(2)
    assert apply(norm, 5.0, 1) == pytest.approx((0.5 - 0.25) / 0.5, abs=1e-6)


def test_an_empty_stretch_is_refused():
    with pytest.raises(SpecError, match="empty"):
        Stretch((1.0,), (1.0,), "test")


def test_decisions_follow_the_card_and_the_user():
    assert Decision.of(card()) == Decision((0, 7), 0, None)
    assert Decision.of(card(threshold=0.4)).threshold == 0.4
    assert Decision.of(card(threshold=0.4), 0.7).threshold == 0.7
    sigmoid = Decision.of(card(activation="sigmoid"))
    assert sigmoid == Decision((7,), 0, 0.5)
    assert sigmoid.binary
    with pytest.raises(SpecError, match="background"):
        Decision.of(card(classes=ClassSet(classes=CLASSES.classes, background=None)), 0.5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mean": (0.5,)}, "mean has 1 entries for 2 bands"),
        ({"resolution": 3.0}, "outside resolution_range"),
        ({"value_range": (1.0, 1.0)}, "empty"),
        ({"tile_size": 500}, "no multiple of 32"),
        ({"overlap": 300}, "more than half"),
        ({"surprise": 1}, "Extra inputs"),
    ],
)
def test_cards_that_contradict_themselves_are_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        card(**changes)


def test_classes_share_neither_id_nor_name():
    with pytest.raises(ValidationError, match="share a name"):
        ClassSet(classes=(CLASSES.classes[0], ClassInfo(id=1, name="background", colour="#ffffff")))
    assert CLASSES.by_id(7).rgb == (255, 128, 0)
    assert [c.name for c in CLASSES.foreground] == ["roof"]
