"""STAC items with the MLM extension: our own whole, those of others by their words."""

import hashlib
import json

import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geoseg.errors import ModelError
from geoseg.models import export_mlm, read_card
from geoseg.models.importing import detect, import_model
from geoseg.models.importing.cards import card_of
from geoseg.models.importing.conversion import check_sum
from geoseg.models.importing.facts import Found, Hints
from geoseg.models.importing.items import read_item
from tests.models.importing.foreign import answer, facts, noise, said, unet
from tests.toy import write_toy_bundle


def _item(folder, network, **properties):
    """An item as others write it: Sentinel-2 bands by number, their names beside them, statistics in raw values."""
    safetensors.torch.save_file(network.state_dict(), folder / "weights.bin")
    digest = hashlib.sha256((folder / "weights.bin").read_bytes()).hexdigest()
    names = {"B04": "red", "B03": "green", "B02": "blue"}
    values = {
        "mlm:name": "Field Finder",
        "mlm:architecture": "U-Net",
        "mlm:tasks": ["semantic-segmentation"],
        "mlm:input": [
            {
                "name": "s2",
                "bands": list(names),
                "input": {"shape": [-1, 3, 64, 64], "dim_order": ["batch", "channel", "height", "width"]},
                "value_scaling": [{"type": "z-score", "mean": 1000 * i, "stddev": 500} for i in (1, 2, 3)],
            }
        ],
        "mlm:output": [
            {
                "name": "fields",
                "classification:classes": [
                    {"value": 0, "name": "background"},
                    {"value": 7, "name": "field", "title": "Field", "color_hint": "FFCC00"},
                ],
                "post_processing_function": {"format": "python", "expression": "torch.nn.functional.softmax"},
            }
        ],
        "bands": [{"name": n, "eo:common_name": c, "data_type": "uint16", "gsd": 10} for n, c in names.items()],
        "license": "CC-BY-4.0",
        **properties,
    }
    asset = {"href": "./weights.bin", "roles": ["mlm:model"], "file:checksum": f"1220{digest}"}
    item = {"type": "Feature", "stac_version": "1.1.0", "id": "x", "properties": values, "assets": {"model": asset}}
    (folder / "item.json").write_text(json.dumps(item))
    return item


def _changed(folder, place, value):
    """The item with something else at one place of it."""
    item = _item(folder, unet())
    holder = item
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = value
    (folder / "item.json").write_text(json.dumps(item))
    return folder / "item.json"


_INPUT, _OUTPUT = ("properties", "mlm:input", 0), ("properties", "mlm:output", 0)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("properties", "license"), 5, "properties.license: Input should be a valid string"),
        (("properties", "gsd"), "ten", "properties.gsd: Input should be a valid number"),
        (("properties", "description"), [5], "properties.description"),
        (("properties", "bands"), 3, "properties.bands: Input should be a valid list"),
        (("properties", "geoseg:card"), {"bands": 3}, "item.json: found bands '3'; expected a card's fact"),
        (("properties", "geoseg:card"), {"classes": 3}, "item.json: found classes"),
        (("properties", "geoseg:card"), {"mean": [[]]}, "item.json: found mean.0"),
        (("properties", "geoseg:card"), {"mood": 3}, "item.json: found mood; expected facts of a card"),
        ((*_INPUT, "bands"), 3, "bands.*: Input should be a valid list"),
        ((*_INPUT, "value_scaling"), 5, "add --mean"),
        ((*_INPUT, "value_scaling"), [{"type": "z-score", "mean": [1], "stddev": 1}], "add --mean"),
        ((*_OUTPUT, "classification:classes"), [5], "found classification:classes that cannot be read"),
        (("assets", "model", "roles"), 5, "roles: Input should be a valid list"),
        (("assets", "model", "href"), 5, "href: Input should be a valid string"),
        (("links",), [{"rel": "self"}], "links.0.href: Field required"),
        (("links",), ["a"], "links.0: Input should be"),
        (("assets",), 5, "found no STAC item"),
    ],
)
def test_words_of_another_kind_are_told(tmp_path, place, value, message):
    path = _changed(tmp_path, place, value)
    with pytest.raises(ModelError, match=message):
        import_model(path, tmp_path / "net.safetensors", Hints(task="fields"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["item.json", "weights.bin"]


_JUNK = st.recursive(
    st.sampled_from([None, True, -1, 0, 5, 10**400, "", "x", float("inf")]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["type", "name", "a"]), inner),
    max_leaves=3,
)


def _places(value, above=()):
    """The place of everything inside of a JSON value."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield (*above, key)
        yield from _places(inner, (*above, key))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_item_makes_more_than_an_error_of_ours(tmp_path, data):
    if not (tmp_path / "whole.json").exists():
        item = _item(tmp_path, unet())
        item["links"] = [{"rel": "self", "href": "https://host/item.json"}]
        (tmp_path / "whole.json").write_text(json.dumps(item))
    item = json.loads((tmp_path / "whole.json").read_text())
    place = data.draw(st.sampled_from(list(_places(item))))
    holder = item
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = data.draw(_JUNK)
    (tmp_path / "item.json").write_text(json.dumps(item))
    try:
        detect(tmp_path / "item.json")
        weights, facts = read_item(tmp_path / "item.json", Hints())
        card_of(weights, Found("", facts, in_channels=3, channels=2), Hints(task="fields", architecture="unet"))
    except ModelError:
        pass


def test_the_checksum_is_that_of_the_weights(tmp_path):
    _item(tmp_path, unet())
    assert check_sum(tmp_path / "item.json") == hashlib.sha256((tmp_path / "weights.bin").read_bytes()).hexdigest()


def test_our_own_export_comes_back_whole(tmp_path):
    path = write_toy_bundle(tmp_path / "toy.safetensors", classes=4)
    export_mlm(path, tmp_path / "item.json")
    assert detect(tmp_path / "item.json") == "a STAC item with the MLM extension"
    card = import_model(tmp_path / "item.json", tmp_path / "again.safetensors")
    assert card == read_card(path) == read_card(tmp_path / "again.safetensors")
    card = import_model(tmp_path / "item.json", tmp_path / "other.safetensors", Hints(name="other"))
    assert card == read_card(path).model_copy(update={"name": "other"})


def test_an_item_of_others(tmp_path):
    network = unet()
    _item(tmp_path, network)
    card = import_model(tmp_path / "item.json", tmp_path / "net.safetensors", Hints(task="fields"))
    assert (card.name, card.license, card.resolution, card.activation) == ("field-finder", "CC-BY-4.0", 10.0, "softmax")
    assert (card.bands, card.dtype, card.tile_size) == (("red", "green", "blue"), "uint16", 64)
    assert [(c.id, c.name, c.colour) for c in card.classes.classes][1] == (7, "Field", "#ffcc00")
    low, high = card.value_range
    raw = [(low + m * (high - low), s * (high - low)) for m, s in zip(card.mean, card.std, strict=True)]
    assert raw == [pytest.approx(pair) for pair in ((1000, 500), (2000, 500), (3000, 500))]
    assert torch.equal(answer(tmp_path / "net.safetensors", noise()), said(network, noise()))


@pytest.mark.parametrize(
    ("scaling", "expected"),
    [
        ([{"type": "min-max", "minimum": 0, "maximum": 10000}], (0.0, 10000.0)),
        ([{"type": "scale", "value": 3000}], (0.0, 3000.0)),
        ([{"type": "offset", "value": 1000}] * 3, (1000.0, 1.0)),
        (None, (0.0, 1.0)),
    ],
)
def test_linear_scaling_reaches_the_card(tmp_path, scaling, expected):
    item = _item(tmp_path, unet())
    item["properties"]["mlm:input"][0]["value_scaling"] = scaling
    (tmp_path / "item.json").write_text(json.dumps(item))
    hints = Hints(task="fields", value_range=(0.0, 5000.0))
    card = import_model(tmp_path / "item.json", tmp_path / "net.safetensors", hints)
    assert card.value_range == (0.0, 5000.0)
    assert (card.mean[2] * 5000, card.std[2] * 5000) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"value_scaling": [{"type": "clip", "minimum": 0, "maximum": 1}]}, "add --mean X,Y,..., --std"),
        ({"value_scaling": None, "pre_processing_function": {"format": "python", "expression": "x"}}, "add --mean"),
        ({"bands": ["B04", "B03"], "value_scaling": None}, r"network of 3 band\(s\); expected 2"),
    ],
)
def test_what_an_item_does_not_say_is_asked_for(tmp_path, change, message):
    item = _item(tmp_path, unet())
    item["properties"]["mlm:input"][0].update(change)
    (tmp_path / "item.json").write_text(json.dumps(item))
    with pytest.raises(ModelError, match=message):
        import_model(tmp_path / "item.json", tmp_path / "net.safetensors", Hints(task="fields"))
    assert not (tmp_path / "net.safetensors").exists()


@pytest.mark.parametrize(
    ("asset", "message"),
    [
        (
            {"file:checksum": "1220" + "0" * 64},
            "found the checksum [0-9a-f]{64}, expected 0{64}, as the item says .*item.json",
        ),
        ({"file:checksum": "d50110" + "0" * 32}, "expected a multihash of SHA-256"),
        ({"href": "https://host/weights.bin"}, "fetch it with  geoseg models pull mlm:"),
        ({"href": "./none.bin"}, "found ./none.bin as its model, which is no file"),
        ({"href": "./item.json", "file:checksum": None}, "found another STAC item"),
        ({"roles": ["data"]}, "found 0 assets with the role 'mlm:model'"),
    ],
)
def test_assets_that_cannot_be_used(tmp_path, asset, message):
    item = _item(tmp_path, unet())
    item["assets"]["model"].update(asset)
    (tmp_path / "item.json").write_text(json.dumps(item))
    with pytest.raises(ModelError, match=message):
        import_model(tmp_path / "item.json", tmp_path / "net.safetensors", facts())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["item.json", "weights.bin"]
