"""Parameters and multiply-adds as they are counted, and the files and the page that tell them."""

import json
import re
import runpy
from pathlib import Path

import pytest

from geoseg.models import architectures
from geoseg.models.profile import (
    BANDS,
    CLASSES,
    SIDE,
    compared,
    count_multiply_adds,
    count_parameters,
    described,
    ordered_names,
)
from geoseg.models.published import PUBLISHED, UNSTATED, Channels
from geoseg.models.zoo import available, zoo

ROOT = Path(__file__).parents[2]
DESCRIBED = {row["name"]: row for row in zoo()["architectures"]}
COMPARED = {row["name"]: row for row in zoo()["published"]}


def channels_of(name):
    return Channels(CLASSES, CLASSES if architectures()[name].kind == "panoptic" else 0)


def test_a_linear_classifier_of_pixels_is_counted_by_hand():
    assert count_parameters("pixel-linear", Channels(5)) == 3 * 5 + 5
    assert count_multiply_adds("pixel-linear", Channels(5), (32, 64)) == 3 * 5 * 32 * 64


def test_a_convolution_of_known_size_is_counted_by_hand():
    small = {"encoder": "resnet18", "skips": 32}
    difference = count_multiply_adds("fcn", Channels(9), (64, 64), small) - count_multiply_adds(
        "fcn", Channels(2), (64, 64), small
    )
    assert difference == 7 * 512 * 2 * 2, "seven more channels are scored at a 32nd of the size"


def test_the_files_name_exactly_what_is_registered():
    assert list(DESCRIBED) == ordered_names()
    assert list(COMPARED) == [one.name for one in PUBLISHED]
    assert zoo()["chip"] == {"bands": BANDS, "size": [SIDE, SIDE], "classes": CLASSES}
    page = (ROOT / "docs" / "models.md").read_text()
    named = re.findall(r"^\| `([a-z0-9-]+)` \| [A-Z]", page, flags=re.MULTILINE)
    assert named == ordered_names()


def test_every_architecture_has_figures_of_its_paper_or_a_reason():
    with_figures = {one.architecture for one in PUBLISHED}
    assert with_figures.isdisjoint(UNSTATED)
    assert with_figures | set(UNSTATED) == set(architectures())


def test_the_page_is_what_would_be_written_now():
    written = runpy.run_path(str(ROOT / "docs" / "models_page.py"))["page"]()
    assert (ROOT / "docs" / "models.md").read_text() == written, "run: python docs/models_page.py"


@pytest.mark.parametrize("name", sorted(architectures()))
def test_what_is_told_of_an_architecture_is_what_it_is(name):
    found, row = architectures()[name], DESCRIBED[name]
    facts = ("kind", "description", "paper", "encoder", "licence", "extra")
    assert {key: row[key] for key in facts} == {key: getattr(found, key) for key in facts}
    assert row["parameters"] == count_parameters(name, channels_of(name)), "run: python -m geoseg.models.profile"


@pytest.mark.parametrize("name", ["unet", "fcn", "hrnet", "segformer", "lraspp"])
def test_a_sample_computes_what_is_told(name):
    assert DESCRIBED[name]["multiply_adds"] == count_multiply_adds(name, channels_of(name), (SIDE, SIDE))


SAME = [
    "FCN with VGG16", "SegFormer-B0", "SegFormer-B1", "SegFormer-B2", "SegFormer-B3", "SegFormer-B4", "SegFormer-B5",
    "DeepLabv3, dilated ResNet-101",
    "HRNetV2-W48", "UPerNet with ConvNeXt-T", "DPT-Base", "DPT-Large", "LR-ASPP with MobileNetV3-Large",
    "Mask R-CNN R50-FPN, version 2", "Mask2Former R50",
]  # fmt: skip


@pytest.mark.parametrize("name", SAME)
def test_networks_of_papers_have_the_papers_figures(name):
    row = COMPARED[name]
    assert row["parameters"] == pytest.approx(row["stated_parameters"], rel=0.015)
    if row["stated_multiply_adds"] is not None:
        assert row["multiply_adds"] == pytest.approx(row["stated_multiply_adds"], rel=0.06)


def test_models_that_can_be_run_are_listed_by_what_loads_them(tmp_path, monkeypatch):
    monkeypatch.setenv("GEOSEG_CACHE", str(tmp_path))
    found = {model.reference: model for model in available()}
    assert found["buildings"].origin == "packaged"
    assert found["clouds"].origin == "extra"
    assert found["buildings"].describe()["bands"] == ["red", "green", "blue"]


@pytest.mark.slow
def test_all_figures_are_those_that_would_be_counted_now():
    for row in zoo()["architectures"]:
        counted = described(architectures()[row["name"]])
        assert counted["parameters"] == row["parameters"]
        assert counted["multiply_adds"] == pytest.approx(row["multiply_adds"], rel=0.01), row["name"]
    for one in PUBLISHED:
        assert json.loads(json.dumps(compared(one))) == COMPARED[one.name]
