"""Models pulled by their address or a STAC item: complete, checked, with consent, and there without network."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import subprocess
import sys

import pytest
import safetensors.torch
import torch

from geoseg.errors import ModelError, OutputError, UnknownNameError
from geoseg.models import export_mlm, load_model, resolve
from geoseg.models.containers import write_card
from geoseg.models.hub import cached, pull
from geoseg.models.hub.pulling import copy_to
from geoseg.models.importing import Hints
from tests.models.containers.made import bare_file, toy_module
from tests.toy import write_toy_bundle


@pytest.fixture
def put(hub, tmp_path):
    """Put a toy bundle on the hub; its address."""

    def bundle(name="town.safetensors", **changes):
        return hub.put(f"/{name}", write_toy_bundle(tmp_path / name, **changes).read_bytes())

    return bundle


@pytest.fixture
def offline(monkeypatch):
    return lambda: monkeypatch.setenv("GEOSEG_OFFLINE", "1")


def kinds(kept):
    return sorted({name.partition("/")[0] for name in kept()})


def test_a_bundle_is_pulled_and_found_afterwards_without_network(put, hub, offline, tmp_path):
    url = put()
    found = pull(url)
    assert found.path.read_bytes() == (tmp_path / "town.safetensors").read_bytes()
    assert found.card.name == "toy-one-hot"
    assert (found.licence.identifier, found.licence.permissive) == ("CC0-1.0", True)
    assert found.sha256 == hashlib.sha256(found.path.read_bytes()).hexdigest()
    assert cached() == [(url, found.card, found.path)]
    hub.files.clear()
    offline()
    assert resolve(url) == found.path
    assert pull(url) == found
    assert load_model(url).sha256 == found.sha256
    assert len(hub.asked) == 1


def test_resolving_pulls_what_is_permissive_and_says_so(put, kept):
    told = []
    url = put()
    path = resolve(url, told.append)
    assert path.is_file()
    assert len(told) == 1
    assert "downloaded now" in told[0]
    assert resolve(url, told.append) == path
    assert len(told) == 1
    assert kinds(kept) == ["bundles", "downloads", "index", "pulled"]


@pytest.mark.parametrize("licence", ["CC-BY-NC-4.0", "non-commercial", "CC-BY-SA-4.0", "unknown"])
@pytest.mark.parametrize("call", [pull, resolve])
def test_other_licences_are_refused_without_consent(put, kept, licence, call):
    url = put(license=licence)
    with pytest.raises(ModelError) as caught:
        call(url)
    assert f"found the licence {licence!r}" in str(caught.value)
    assert f"geoseg models pull {url} --accept-license" in str(caught.value)
    assert kinds(kept) == ["downloads", "index"]
    assert cached() == []


def test_consent_is_given_once(put, hub, kept):
    url = put(license="CC-BY-NC-4.0")
    found = pull(url, accept_license=True)
    assert not found.licence.permissive
    assert resolve(url) == found.path == pull(url).path
    assert kinds(kept) == ["accepted", "bundles", "downloads", "index", "pulled"]
    found.path.unlink()
    assert resolve(url) == found.path
    assert len(hub.asked) == 1


def test_a_checksum_is_compared_in_the_address_or_beside_it(put, kept):
    url = put()
    for call in (lambda: pull(url, sha256="0" * 64), lambda: pull(f"{url}#sha256={'0' * 64}")):
        with pytest.raises(ModelError, match=f"expected {'0' * 64}"):
            call()
        assert kept() == []
    found = pull(url)
    assert pull(url, sha256=found.sha256.upper()) == pull(f"{url}#sha256={found.sha256}") == found
    with pytest.raises(ModelError, match=f"expected {'0' * 64}"):
        pull(url, sha256="0" * 64)
    assert resolve(url) == found.path


def test_what_may_run_code_needs_a_checksum(hub):
    with pytest.raises(ModelError, match=r"expected --sha256 .* for everything but \.safetensors"):
        pull(hub.put("/town.pth", b"x"))
    assert hub.asked == []


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x08\x00\x00\x00\x00\x00\x00\x00{}      "])
def test_a_file_that_is_no_model_leaves_no_model(hub, kept, content):
    url = hub.put("/town.safetensors", content)
    with pytest.raises(ModelError):
        pull(url)
    assert kept() == []
    with pytest.raises(ModelError):
        pull(url, sha256=hashlib.sha256(content).hexdigest())
    assert kinds(kept) == ["downloads", "index"]
    assert cached() == []


def test_a_damaged_bundle_leaves_no_model(put, hub, kept):
    url = put()
    hub.files["/town.safetensors"].content = hub.files["/town.safetensors"].content[:-1] + b"\xff"
    with pytest.raises(ModelError, match="the file is damaged"):
        pull(url)
    assert kept() == []


def test_a_server_that_mended_its_file_is_asked_again(put, hub):
    url = put()
    good, hub.files["/town.safetensors"].content = hub.files["/town.safetensors"].content, b"temporarily unavailable"
    with pytest.raises(ModelError):
        pull(url)
    hub.files["/town.safetensors"].content = good
    assert pull(url).path.read_bytes() == good


def test_a_bundle_that_fails_a_check_is_not_kept(put, hub, tmp_path, kept):
    url = put()
    with safetensors.safe_open(tmp_path / "town.safetensors", "pt") as file:
        tensors = {name: file.get_tensor(name) * float("nan") for name in file.keys()}  # noqa: SIM118
        card = file.metadata()["geoseg.card"]
    hub.files["/town.safetensors"].content = safetensors.torch.save(tensors, {"geoseg.card": card})
    with pytest.raises(ModelError, match="fails the check 'weights'"):
        pull(url)
    assert kept() == []


def carded(hub, tmp_path, container, **changes):
    """Put a toy model in a container with its card inside on the hub: its address, file and checksum."""
    module, card = toy_module(tmp_path / "toy.safetensors", **changes)
    bare = bare_file(container, tmp_path, module, torch.zeros(1, 3, 64, 64))
    path = tmp_path / f"town{bare.suffix}"
    write_card(bare, card, path)
    content = path.read_bytes()
    return hub.put(f"/{path.name}", content), path, hashlib.sha256(content).hexdigest()


def test_a_container_that_was_damaged_in_the_cache_is_made_again(hub, tmp_path):
    url, path, checksum = carded(hub, tmp_path, "onnx")
    found = pull(url, sha256=checksum)
    assert found.path.read_bytes() == path.read_bytes()
    write_card(path, found.card.model_copy(update={"description": "another"}), found.path)
    assert resolve(url).read_bytes() == path.read_bytes()
    write_card(path, found.card.model_copy(update={"description": "another"}), found.path)
    assert pull(url).card == found.card


def test_a_container_without_its_other_part_is_refused(hub, tmp_path, kept):
    url, _, checksum = carded(hub, tmp_path, "openvino")
    with pytest.raises(ModelError, match=r"\.bin"):
        pull(url, sha256=checksum)
    assert kinds(kept) == ["downloads", "index"]


def test_a_copy_has_all_parts(hub, tmp_path):
    _, path, _ = carded(hub, tmp_path, "openvino")
    item = {"type": "Feature", "id": "town", "properties": {"license": "MIT"}}
    item["assets"] = {"model": {"href": f"./{path.name}", "roles": ["mlm:model"]}}
    (tmp_path / "item.json").write_text(json.dumps(item))
    found = pull(str(tmp_path / "item.json"))
    copy = copy_to(found, tmp_path / "copy.xml")
    assert copy.with_suffix(".bin").read_bytes() == path.with_suffix(".bin").read_bytes()
    assert load_model(copy).card == found.card
    (tmp_path / "third.bin").touch()
    with pytest.raises(OutputError, match=r"third\.bin: found a file"):
        copy_to(found, tmp_path / "third.xml")
    assert not (tmp_path / "third.xml").exists()


@pytest.mark.parametrize("given", ["12345678", "", "x" * 64])
def test_a_checksum_is_64_digits(put, hub, given):
    url = put()
    with pytest.raises(ModelError, match="64 hexadecimal digits"):
        pull(url, sha256=given)
    assert hub.asked == []


def test_two_checksums_that_differ_are_told(put):
    with pytest.raises(ModelError, match="leave the wrong one out"):
        pull(f"{put()}#sha256={'0' * 64}", sha256="1" * 64)


def test_a_model_that_was_damaged_in_the_cache_is_made_again(put):
    found = pull(put())
    whole = found.path.read_bytes()
    found.path.write_bytes(whole[:-1] + b"\xff")
    assert pull(found.reference).path.read_bytes() == whole
    found.path.write_bytes(b"")
    assert resolve(found.reference).read_bytes() == whole


def test_a_pickle_that_wants_to_run_code_runs_nothing(hub, kept, tmp_path):
    class Trap:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'trap'}",)

    torch.save({"state_dict": Trap()}, tmp_path / "trap.pth")
    content = (tmp_path / "trap.pth").read_bytes()
    with pytest.raises(ModelError):
        pull(hub.put("/trap.pth", content), sha256=hashlib.sha256(content).hexdigest())
    assert not (tmp_path / "trap").exists()
    assert kinds(kept) == ["downloads", "index"]


def test_a_foreign_file_wants_the_facts_that_it_lacks(hub, kept, tmp_path):
    content = foreign(tmp_path / "town.pth")
    url, checksum = hub.put("/town.pth", content), hashlib.sha256(content).hexdigest()
    with pytest.raises(ModelError, match="makes no model yet") as caught:
        pull(url, sha256=checksum)
    assert "--resolution METRES" in str(caught.value)
    assert "geoseg models import" in str(caught.value)
    assert kinds(kept) == ["downloads", "index"]
    found = pull(url, sha256=checksum, hints=Hints(**FACTS))
    assert found.card.resolution == 0.5
    assert found.card.source == url
    assert load_model(found.path).card == found.card
    assert resolve(url) == found.path
    with pytest.raises(ModelError):
        pull(url, hints=Hints(**{**FACTS, "bands": ("red",)}))
    assert resolve(url) == pull(url).path == found.path
    assert pull(url).card == found.card


FACTS = {
    "task": "town",
    "architecture": "pixel-linear",
    "bands": ("red", "green", "blue"),
    "resolution": 0.5,
    "value_range": (0.0, 255.0),
    "mean": (0.0,) * 3,
    "std": (1.0,) * 3,
    "classes": ("background", "town"),
    "license": "MIT",
}


def foreign(path):
    """The bytes of a state dict without a card."""
    torch.save({"head.weight": torch.ones(2, 3, 1, 1), "head.bias": torch.zeros(2)}, path)
    return path.read_bytes()


def test_two_processes_pull_at_once(put, hub):
    url = put()
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        first, second = pool.map(pull, [url, url])
    assert first == second
    assert resolve(url) == first.path
    assert len(hub.asked) == 1


def test_offline_a_cold_cache_says_what_to_run(put, hub, offline, kept):
    url = put()
    offline()
    for call in (pull, resolve):
        with pytest.raises(ModelError, match=f"run  geoseg models pull {url}  and copy the folder"):
            call(url)
    assert (hub.asked, kept()) == ([], [])


def test_a_copy_is_complete_or_absent(put, tmp_path):
    found = pull(put())
    assert copy_to(found, tmp_path / "copy.safetensors").read_bytes() == found.path.read_bytes()
    for place, said in (
        (tmp_path / "copy.safetensors", "expected a new one"),
        (tmp_path / "no" / "x", "cannot be written"),
    ):
        with pytest.raises(OutputError, match=said):
            copy_to(found, place)
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("town.safetensors", "found no reference to a hub"),
        ("./x.pth", "geoseg models import"),
        ("buildings", "is there already"),
        ("https://huggingface.co/owner/town", "expected  hf:owner/town"),
    ],
)
def test_what_is_no_model_somewhere_else_is_not_pulled(text, said):
    with pytest.raises(ModelError, match=said):
        pull(text)


def test_an_unknown_kind_of_reference_lists_the_near_ones():
    for call in (pull, resolve):
        with pytest.raises(UnknownNameError, match="did you mean hf:"):
            call("hff:owner/repo")


def test_a_record_that_points_out_of_the_cache_counts_for_nothing(put, cache, tmp_path):
    found = pull(put())
    record = next((cache / "pulled").iterdir())
    values = json.loads(record.read_text())
    record.write_text(json.dumps({**values, "file": "../town.safetensors"}))
    assert cached() == []
    assert pull(found.reference) == found


def test_an_item_on_this_machine_is_followed_to_its_model(tmp_path, offline, kept):
    bundle = write_toy_bundle(tmp_path / "town.safetensors")
    export_mlm(bundle, tmp_path / "item.json")
    offline()
    found = pull(str(tmp_path / "item.json"))
    assert found.path.read_bytes() == bundle.read_bytes()
    assert found.licence.identifier == "CC0-1.0"
    assert resolve(f"mlm:{tmp_path / 'item.json'}") == found.path
    write_toy_bundle(bundle, classes=3)
    with pytest.raises(ModelError, match="as the item says"):
        pull(f"mlm:{tmp_path / 'item.json'}")
    with pytest.raises(ModelError, match="as the item says"):
        resolve(f"mlm:{tmp_path / 'item.json'}")
    export_mlm(bundle, tmp_path / "item.json")
    assert resolve(f"mlm:{tmp_path / 'item.json'}").read_bytes() == bundle.read_bytes()
    assert len(pull(f"mlm:{tmp_path / 'item.json'}").card.classes.classes) == 3


def test_an_item_on_this_machine_is_a_model_by_its_path(tmp_path):
    bundle = write_toy_bundle(tmp_path / "town.safetensors")
    export_mlm(bundle, tmp_path / "item.json")
    told = []
    for path in (tmp_path / "item.json", str(tmp_path / "item.json")):
        assert resolve(path, told.append).read_bytes() == bundle.read_bytes()
    assert len(told) == 1
    assert load_model(tmp_path / "item.json").card.name == "toy-one-hot"


@pytest.fixture
def item(tmp_path):
    """A STAC item of a toy bundle, as JSON-able values."""

    def make(**changes):
        export_mlm(write_toy_bundle(tmp_path / "town.safetensors", **changes), tmp_path / "item.json")
        return json.loads((tmp_path / "item.json").read_text())

    return make


@pytest.mark.parametrize("scheme", ["", "mlm:"])
def test_an_item_on_the_web_is_followed_to_its_model(hub, put, item, scheme):
    put()
    url = hub.put("/item.json", json.dumps(item()).encode())
    found = pull(scheme + url)
    assert [path for _, path, _ in hub.asked] == ["/item.json", "/town.safetensors"]
    assert found.origin == url
    assert resolve(scheme + url) == found.path


def test_an_items_licence_counts_before_its_model_is_downloaded(hub, item):
    url = hub.put("/item.json", json.dumps(item(license="CC-BY-NC-4.0")).encode())
    with pytest.raises(ModelError, match="expected your consent"):
        pull(url)
    assert [path for _, path, _ in hub.asked] == ["/item.json"]


def test_an_item_tells_what_a_foreign_file_lacks(hub, item, tmp_path):
    content = foreign(tmp_path / "town.pth")
    told = item()
    told["assets"]["model"] |= {"href": "./town.pth", "file:checksum": "1220" + hashlib.sha256(content).hexdigest()}
    hub.put("/town.pth", content)
    found = pull(hub.put("/item.json", json.dumps(told).encode()))
    assert found.card.name == "toy-one-hot"
    assert torch.equal(load_model(found.path).module.state_dict()["head.weight"], torch.ones(2, 3, 1, 1))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"type": "Collection"}, "found no STAC item"),
        ({"assets": {}}, "found 0 assets"),
        ({"assets": {"data": {"href": "x", "roles": ["data"]}}}, r"found 0 assets .*\(data\)"),
    ],
)
def test_an_item_without_a_model_is_told(hub, item, change, said):
    with pytest.raises(ModelError, match=said):
        pull(hub.put("/item.json", json.dumps({**item(), **change}).encode()))


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff\xfe"])
def test_an_item_that_is_no_json_object_is_told(hub, content, kept):
    with pytest.raises(ModelError, match=r"found no (readable )?STAC item"):
        pull(hub.put("/item.json", content))
    assert kept() == []


@pytest.mark.parametrize(
    "change",
    [
        {"license": 5},
        {"license": ["MIT"]},
        {"gsd": "ten"},
        {"gsd": -1},
        {"mlm:input": [{"bands": 3}]},
        {"mlm:input": 3},
        {"mlm:output": [3]},
        {"bands": [3]},
    ],
)
def test_an_item_with_a_field_of_another_form_is_told(hub, item, change):
    told = item()
    told["properties"] |= change
    with pytest.raises(ModelError, match="found a STAC item that is not valid"):
        pull(hub.put("/item.json", json.dumps(told).encode()))


@pytest.mark.parametrize("links", [["a"], [{"rel": "self"}], 3])
def test_an_item_with_links_of_another_form_is_told(hub, item, links):
    with pytest.raises(ModelError, match="links"):
        pull(hub.put("/item.json", json.dumps({**item(), "links": links}).encode()))


@pytest.mark.parametrize("asset", [5, {"href": 5}, {"href": "x", "roles": 5}, {"href": "x", "roles": [5]}])
def test_an_item_with_an_asset_of_another_form_is_told(hub, item, asset):
    with pytest.raises(ModelError, match=r"assets\.model"):
        pull(hub.put("/item.json", json.dumps({**item(), "assets": {"model": asset}}).encode()))


@pytest.mark.parametrize("wrong", ["1220" + "A" * 64, "1340" + "0" * 128, "1220" + "a" * 64])
@pytest.mark.parametrize("local", [True, False])
def test_the_checksum_in_an_item_counts_for_geosegs_own_models(hub, put, item, tmp_path, wrong, local, kept):
    told, place = item(), tmp_path / "item.json"
    told["assets"]["model"]["file:checksum"] = wrong
    place.write_text(json.dumps(told))
    put()
    with pytest.raises(ModelError, match="found the checksum"):
        pull(str(place) if local else hub.put("/item.json", place.read_bytes()))
    assert not [name for name in kept() if name.endswith(".safetensors")]


@pytest.mark.parametrize("odd", ["md5:00", "1220", "1220" + "0" * 63, 5, ""])
def test_a_checksum_in_an_item_that_cannot_be_read_is_refused(hub, item, odd):
    told = item()
    told["assets"]["model"]["file:checksum"] = odd
    with pytest.raises(ModelError, match="expected a multihash"):
        pull(hub.put("/item.json", json.dumps(told).encode()))


@pytest.mark.parametrize("function", ["sha256", "sha512"])
def test_multihashes_are_read_in_any_case(hub, put, item, function):
    put()
    told = item()
    digits = hashlib.new(function, hub.files["/town.safetensors"].content).hexdigest()
    told["assets"]["model"]["file:checksum"] = {"sha256": "1220", "sha512": "1340"}[function] + digits.upper()
    assert pull(hub.put("/item.json", json.dumps(told).encode())).card.name == "toy-one-hot"


def test_a_card_inside_an_item_may_be_stricter_than_the_item(hub, item):
    told = item()
    told["properties"]["geoseg:card"]["license"] = "CC-BY-NC-4.0"
    with pytest.raises(ModelError, match=r"found the licence 'CC-BY-NC-4\.0'"):
        pull(hub.put("/item.json", json.dumps(told).encode()))


def test_the_hub_costs_nothing_where_it_is_not_asked():
    code = (
        "import sys, geoseg.models as m, geoseg.models.hub as h; h.cached(); m.resolve('buildings');"
        "sys.exit(any(n in sys.modules for n in ('torch', 'huggingface_hub', 'torchgeo')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
