"""The STAC MLM item says what the card says, in the words of the extension's schema (version 1.4)."""

import json
import sys

import jsonschema
import pystac
import pytest
from pystac.extensions.mlm import MLMExtension
from pystac.validation.local_validator import LocalValidator

from geoseg.core.classes import ClassSet
from geoseg.errors import MissingExtraError, WriteError
from geoseg.models import create_model, export_mlm, load_model, read_card, save_bundle
from tests.toy import toy_card, write_toy_bundle

SCALING = {"type": "object", "required": ["type", "mean", "stddev"], "properties": {"type": {"const": "z-score"}}}
STRUCTURE = {
    "type": "object",
    "required": ["shape", "dim_order", "data_type"],
    "properties": {
        "shape": {"type": "array", "minItems": 1, "items": {"type": "integer", "minimum": -1}},
        "dim_order": {"type": "array", "uniqueItems": True, "items": {"type": "string", "pattern": "^[a-z-_]+$"}},
        "data_type": {"const": "float32"},
    },
}
EXPRESSION = {"type": ["object", "null"], "required": ["format", "expression"]}
FACTS = {  # what the schemas of STAC 1.1, MLM 1.4, file 2.1 and classification 2.0 ask of the fields we write
    "type": "object",
    "required": ["type", "stac_version", "stac_extensions", "id", "geometry", "properties", "links", "assets"],
    "not": {"required": ["bbox"]},
    "properties": {
        "type": {"const": "Feature"},
        "stac_version": {"pattern": r"^1\.[1-9][0-9]*\.[0-9]+$"},
        "stac_extensions": {
            "type": "array",
            "allOf": [
                {"contains": {"const": "https://stac-extensions.github.io/mlm/v1.4.0/schema.json"}},
                {"contains": {"pattern": r"^https://stac-extensions\.github\.io/file/v2\.\d\.\d/schema\.json$"}},
            ],
        },
        "geometry": {"type": "null"},
        "properties": {
            "required": [
                *("datetime", "start_datetime", "end_datetime", "bands"),
                *("mlm:name", "mlm:architecture", "mlm:tasks", "mlm:input", "mlm:output"),
            ],
            "properties": {
                "datetime": {"type": "null"},
                "start_datetime": {"pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"},
                "end_datetime": {"pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"},
                "bands": {"type": "array", "minItems": 1, "items": {"type": "object", "required": ["name"]}},
                "gsd": {"type": "number", "exclusiveMinimum": 0},
                "mlm:name": {"pattern": r"^[a-zA-Z][a-zA-Z0-9_.\-\s]+[a-zA-Z0-9]$"},
                "mlm:framework": {"const": "PyTorch"},
                "mlm:framework_version": {"pattern": r"^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)$"},
                "mlm:tasks": {"const": ["semantic-segmentation"]},
                "mlm:memory_size": {"type": "integer", "minimum": 0},
                "mlm:total_parameters": {"type": "integer", "minimum": 0},
                "mlm:pretrained": {"type": "boolean"},
                "mlm:pretrained_source": {"type": ["string", "null"]},
                "mlm:accelerator": {"type": "null"},
                "mlm:hyperparameters": {
                    "minProperties": 1,
                    "patternProperties": {"^[0-9a-zA-Z_.-]+$": True},
                    "additionalProperties": False,
                },
                "mlm:input": {
                    "type": "array",
                    "items": {
                        "required": ["name", "bands", "input"],
                        "properties": {
                            "bands": {"type": "array", "items": {"type": "string", "minLength": 1}},
                            "input": STRUCTURE,
                            "value_scaling": {"type": "array", "minItems": 1, "items": SCALING},
                            "resize_type": {"type": "null"},
                            "pre_processing_function": EXPRESSION,
                        },
                    },
                },
                "mlm:output": {
                    "type": "array",
                    "items": {
                        "required": ["name", "tasks", "result"],
                        "properties": {
                            "tasks": {"const": ["semantic-segmentation"]},
                            "result": STRUCTURE,
                            "post_processing_function": EXPRESSION,
                            "classification:classes": {
                                "type": "array",
                                "minItems": 1,
                                "items": {
                                    "required": ["value", "name"],
                                    "properties": {
                                        "value": {"type": "integer"},
                                        "name": {"pattern": "^[0-9A-Za-z-_]+$"},
                                        "color_hint": {"pattern": "^[0-9A-F]{6}$"},
                                    },
                                },
                            },
                        },
                    },
                },
            },
        },
        "assets": {
            "required": ["model"],
            "properties": {
                "model": {
                    "required": ["href", "roles", "mlm:artifact_type"],
                    "properties": {
                        "roles": {"contains": {"const": "mlm:model"}},
                        "file:checksum": {"pattern": "^1220[0-9a-f]{64}$"},
                    },
                }
            },
        },
    },
}


def _export(path, folder):
    export_mlm(path, folder / "item.json")
    return json.loads((folder / "item.json").read_text())


@pytest.mark.parametrize("name", ["toy", "7-bands-", "x"])
def test_items_follow_the_schema(tmp_path, name):
    path = write_toy_bundle(tmp_path / "toy.safetensors", classes=4, name=name)
    jsonschema.validate(_export(path, tmp_path), FACTS)


def test_the_packaged_item_follows_the_schema(tmp_path):
    item = _export("buildings", tmp_path)
    jsonschema.validate(item, FACTS)
    scaling = item["properties"]["mlm:input"][0]["value_scaling"]
    assert [round(s["mean"], 3) for s in scaling] == [123.675, 116.28, 103.53]
    assert item["properties"]["license"] == read_card(tmp_path / item["assets"]["model"]["href"]).license
    assert item["properties"]["mlm:pretrained"] is True


@pytest.mark.filterwarnings("ignore:``LocalValidator``:DeprecationWarning")
@pytest.mark.parametrize("name", ["toy", "buildings"])
def test_items_follow_the_schema_of_stac_as_pystac_carries_it(tmp_path, name):
    model = write_toy_bundle(tmp_path / "toy.safetensors", classes=4) if name == "toy" else name
    errors = list(LocalValidator().item_validator().iter_errors(_export(model, tmp_path)))
    assert [error.message for error in errors] == []


def test_pystac_reads_the_extension_as_it_was_meant(tmp_path):
    path = write_toy_bundle(tmp_path / "toy.safetensors", classes=3, bands=("red", "nir"), value_range=(0.0, 1.0))
    item = pystac.Item.from_dict(_export(path, tmp_path))
    assert MLMExtension.has_extension(item)
    read, card = MLMExtension.ext(item), read_card(path)
    (given,), (answer,) = read.input, read.output
    assert (read.mlm_name, read.architecture, read.tasks) == (card.name, card.architecture, ["semantic-segmentation"])
    assert read.total_parameters == 3 * 2 + 3
    assert given.bands == ["red", "nir"]
    assert (given.input.shape, given.input.dim_order) == ([-1, 2, 64, 64], ["batch", "bands", "height", "width"])
    assert (answer.result.shape, answer.result.data_type) == ([-1, 3, 64, 64], "float32")
    assert [entry.value for entry in answer.classes] == [c.id for c in card.classes.classes]


def test_the_item_says_what_the_card_says(tmp_path):
    (tmp_path / "out").mkdir()
    path = write_toy_bundle(
        tmp_path / "toy.safetensors", classes=3, bands=("red@1", "nir"), value_range=(100.0, 300.0), mean=(0.5, 0.25)
    )
    item = _export(path, tmp_path / "out")
    properties = item["properties"]
    assert item["assets"]["model"]["href"] == "../toy.safetensors"
    assert item["assets"]["model"]["file:checksum"] == "1220" + load_model(path).sha256
    assert item["assets"]["model"]["file:size"] == path.stat().st_size
    assert [b["name"] for b in properties["bands"]] == ["red@1", "nir"]
    assert properties["mlm:input"][0]["bands"] == ["red@1", "nir"]
    assert properties["mlm:input"][0]["input"]["shape"] == [-1, 2, 64, 64]
    means = [s["mean"] for s in properties["mlm:input"][0]["value_scaling"]]
    assert means == [200.0, 150.0]
    assert properties["mlm:output"][0]["result"]["shape"] == [-1, 3, 64, 64]
    assert properties["mlm:output"][0].get("post_processing_function") is None
    assert properties["mlm:total_parameters"] == 3 * 2 + 3
    assert properties["mlm:pretrained"] is False
    assert properties["geoseg:card"] == read_card(path).model_dump(mode="json")


def test_class_names_are_spelled_as_the_schema_wants(tmp_path):
    classes = toy_card(classes=2).classes.model_dump()
    classes["classes"][1]["name"] = "bare soil (dry)"
    card = toy_card().model_copy(update={"classes": ClassSet.model_validate(classes)})
    path = tmp_path / "toy.safetensors"
    save_bundle(path, create_model("pixel-linear", in_channels=3, classes=2), card)
    described = _export(path, tmp_path)["properties"]["mlm:output"][0]["classification:classes"][1]
    assert (described["name"], described["title"]) == ("bare-soil-dry-", "bare soil (dry)")


def test_without_the_extra_the_command_is_told(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pystac.extensions.mlm", None)
    path = write_toy_bundle(tmp_path / "toy.safetensors")
    with pytest.raises(MissingExtraError, match=r"pip install 'geoseg\[stac\]'"):
        export_mlm(path, tmp_path / "item.json")
    assert not (tmp_path / "item.json").exists()


def test_a_missing_folder_is_a_write_error(tmp_path):
    path = write_toy_bundle(tmp_path / "toy.safetensors")
    with pytest.raises(WriteError, match=r"item.json: the STAC item cannot be written"):
        export_mlm(path, tmp_path / "none" / "item.json")
