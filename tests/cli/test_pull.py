"""`geoseg models pull`: what it prints, and with which exit code."""

from __future__ import annotations

import hashlib
import json
import logging

import pytest
import torch

from geoseg.models import export_mlm
from geoseg_cli.show_pull import tell_downloads
from tests.models.hub.server import serving
from tests.toy import write_toy_bundle


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GEOSEG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def put(tmp_path):
    """Put a toy bundle on a hub; its address."""
    with serving() as hub:
        yield lambda name="town.safetensors", **changes: hub.put(
            f"/{name}", write_toy_bundle(tmp_path / name, **changes).read_bytes()
        )


def test_licence_checksum_file_and_use_are_printed(geoseg, put):
    url = put(attribution="The people of the town")
    answer = geoseg("models", "pull", url)
    assert answer.code == 0
    told = json.loads(geoseg("models", "pull", url, "--json").out)
    for text in ("CC0-1.0 (permissive)", "The people of the town", "toy-one-hot 1.0.0", told["sha256"], told["path"]):
        assert text in answer.out
    assert f"geoseg predict scene.tif --model {url}" in answer.out
    assert answer.err == f"geoseg: warning: no checksum to compare with; pin it with --sha256 {told['sha256']}\n"
    assert geoseg("models", "pull", url, "--sha256", told["sha256"]).err == ""
    assert geoseg("models", "show", url, "--json").code == 0


def test_a_model_that_is_downloaded_by_the_way_is_told(geoseg, put):
    log = logging.getLogger("geoseg.models")
    before = list(log.handlers)
    tell_downloads()
    tell_downloads()
    try:
        url = put()
        first = geoseg("models", "show", url)
        assert first.code == 0
        assert (
            first.err
            == f"geoseg: {url}: not in the cache yet; it is downloaded now, under the licence that it carries\n"
        )
        assert geoseg("models", "show", url).err == ""
    finally:
        log.handlers[:] = before


def test_consent_is_asked_for_and_given(geoseg, put):
    url = put(license="CC-BY-NC-4.0")
    refused = geoseg("models", "pull", url)
    assert (refused.code, refused.out) == (2, "")
    assert refused.err.count("\n") == 1
    assert "--accept-license" in refused.err
    given = geoseg("models", "pull", url, "--accept-license")
    assert given.code == 0
    assert "CC-BY-NC-4.0 (non-commercial)" in given.out


def test_a_copy_is_put_where_it_is_wanted(geoseg, put, tmp_path):
    url = put()
    copy = tmp_path / "copy.safetensors"
    told = json.loads(geoseg("models", "pull", url, "-o", copy, "--json").out)
    assert told["path"] == told["use"] == str(copy)
    assert copy.read_bytes() == (tmp_path / "town.safetensors").read_bytes()
    again = geoseg("models", "pull", url, "-o", copy)
    assert again.code == 2
    assert "found a file of that name" in again.err


def test_a_place_that_is_taken_is_told_before_the_download(geoseg, tmp_path):
    (tmp_path / "copy.safetensors").touch()
    with serving() as hub:
        url = hub.put("/town.safetensors", b"never asked for")
        answer = geoseg("models", "pull", url, "-o", tmp_path / "copy.safetensors")
        assert hub.asked == []
    assert answer.code == 2
    assert "found a file of that name" in answer.err


def test_an_item_is_shown_and_pulled_by_its_path(geoseg, tmp_path):
    export_mlm(write_toy_bundle(tmp_path / "town.safetensors"), tmp_path / "item.json")
    assert "toy-one-hot" in geoseg("models", "show", tmp_path / "item.json").out
    assert geoseg("models", "pull", tmp_path / "item.json").code == 0


def test_a_wrong_checksum_is_one_line(geoseg, put, tmp_path):
    answer = geoseg("models", "pull", put(), "--sha256", "0" * 64)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.count("\n") == 1
    assert not list((tmp_path / "cache").rglob("*.safetensors"))


def test_facts_that_a_foreign_file_lacks_are_added_by_flags(geoseg, tmp_path):
    torch.save({"head.weight": torch.ones(2, 3, 1, 1), "head.bias": torch.zeros(2)}, tmp_path / "town.pth")
    content = (tmp_path / "town.pth").read_bytes()
    checksum = hashlib.sha256(content).hexdigest()
    flags = {"architecture": "pixel-linear", "task": "town", "bands": "red,green,blue", "resolution": "0.5"}
    flags |= {"classes": "background,town", "value-range": "0,255", "mean": "0,0,0", "std": "1,1,1", "license": "MIT"}
    with serving() as hub:
        url = hub.put("/town.pth", content)
        lacking = geoseg("models", "pull", url, "--sha256", checksum)
        assert lacking.code == 2
        assert "--resolution METRES" in lacking.err
        given = [text for key, value in flags.items() for text in (f"--{key}", value)]
        told = json.loads(geoseg("models", "pull", url, "--sha256", checksum, "--json", *given).out)
    assert told["card"]["bands"] == ["red", "green", "blue"]
    assert told["licence"] == "MIT"
    assert geoseg("models", "verify", url).code == 0
