"""Repositories of Hugging Face: a server that answers as the hub does, named by HF_ENDPOINT."""

from __future__ import annotations

import hashlib
import json
import shlex

import pytest
import safetensors.torch
import torch

from geoseg.errors import ModelError, UnknownNameError
from geoseg.models import load_model, resolve
from geoseg.models.hub import pull
from geoseg.models.importing import Hints
from geoseg.tasks import TASKS
from geoseg_cli.main import main
from tests.conftest import needed
from tests.toy import write_toy_bundle

REPO = "owner/town"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
BANDS = Hints(
    task="town",
    bands=("red", "green", "blue"),
    resolution=0.5,
    value_range=(0.0, 255.0),
    mean=(0.0,) * 3,
    std=(1.0,) * 3,
    classes=("background", "town"),
    license="MIT",
)


@pytest.fixture(autouse=True)
def _endpoint(hub, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("HF_TOKEN", "")
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")


@pytest.fixture
def publish(hub):
    """Make a repository of files; the large ones lie elsewhere, with a checksum, as the hub's own storage has them."""

    def make(files, licence="mit", repo=REPO, revision=None, large=(".safetensors", ".pth", ".bin", ".onnx")):
        siblings = []
        for name, content in files.items():
            checksum = hashlib.sha256(content).hexdigest()
            lfs = {"sha256": checksum, "size": len(content), "pointerSize": 130} if name.endswith(large) else None
            siblings.append({"rfilename": name, "size": len(content), "blobId": checksum[:40], "lfs": lfs})
            place = f"/{repo}/resolve/{COMMIT}/{name}"
            if lfs:
                hub.put(f"/blobs/{checksum}", content)
                hub.redirects[place] = {
                    "Location": f"{hub.url.replace('127.0.0.1', 'localhost')}/blobs/{checksum}",
                    "X-Repo-Commit": COMMIT,
                    "X-Linked-Etag": f'"{checksum}"',
                    "X-Linked-Size": str(len(content)),
                }
            else:
                hub.put(place, content, headers={"X-Repo-Commit": COMMIT})
        card = {"license": licence} if isinstance(licence, str) else licence
        told = {"_id": "1", "id": repo, "modelId": repo, "sha": COMMIT, "siblings": siblings, "cardData": card}
        told |= {"private": False, "gated": False, "disabled": False, "tags": [], "downloads": 0, "likes": 0}
        path = f"/api/models/{repo}" + (f"/revision/{revision}" if revision else "")
        hub.put(path, json.dumps(told).encode(), kind="application/json")

    return make


@pytest.fixture
def bundle(tmp_path):
    return write_toy_bundle(tmp_path / "town.safetensors").read_bytes()


def smp_folder(folder):
    """The files of a network as segmentation-models-pytorch pushes them to the hub."""
    import segmentation_models_pytorch as smp

    network = smp.Linknet("tu-tf_mobilenetv3_small_minimal_100", encoder_weights=None, classes=2)
    network.save_pretrained(folder)
    return {name: (folder / name).read_bytes() for name in ("config.json", "model.safetensors")}


def test_a_bundle_in_a_repository_is_pulled_and_found_offline(hub, publish, bundle, monkeypatch):
    publish({"README.md": b"# town", "town.safetensors": bundle})
    found = pull(f"hf:{REPO}")
    assert found.path.read_bytes() == bundle
    assert found.origin == f"{hub.url}/{REPO}/tree/{COMMIT}"
    assert found.licence.identifier == "MIT"
    assert found.sha256 == hashlib.sha256(bundle).hexdigest()
    assert not [path for _, path, _ in hub.asked if path.endswith("README.md")]
    hub.files.clear()
    monkeypatch.setenv("GEOSEG_OFFLINE", "1")
    assert resolve(f"hf:{REPO}") == found.path


def test_a_network_of_smp_is_pulled_with_its_config(publish, tmp_path, cache):
    files = smp_folder(tmp_path / "smp")
    publish({**files, "pytorch_model.bin": b"never asked for"})
    with pytest.raises(ModelError, match="--resolution METRES") as caught:
        pull(f"hf:{REPO}")
    assert "geoseg models import" in str(caught.value)
    assert not (cache / "pulled").exists()
    found = pull(f"hf:{REPO}", hints=BANDS)
    assert found.card.architecture == "linknet"
    assert found.card.attribution == REPO
    assert found.card.source.endswith(f"/{REPO}/tree/{COMMIT}")
    stored = safetensors.torch.load(files["model.safetensors"])
    for name, tensor in load_model(found.path).module.state_dict().items():
        assert torch.equal(tensor, stored[name])


@pytest.mark.parametrize("task", [task for task in TASKS.values() if task.published], ids=lambda task: task.name)
def test_the_published_model_that_a_task_names_is_pulled_as_it_says(publish, tmp_path, capsys, task):
    words = shlex.split(task.published.partition(" (")[0])
    assert words[:3] == ["geoseg", "models", "pull"]
    transformers = needed("transformers")
    named = ("Ignore", "Background", "Building", "Road", "Water", "Barren", "Forest", "Agricultural")
    small = {"hidden_sizes": [16, 32, 48, 64], "depths": [1, 1, 1, 1], "decoder_hidden_size": 32}
    config = transformers.SegformerConfig(**small, id2label=dict(enumerate(named)))
    transformers.SegformerForSemanticSegmentation(config).save_pretrained(tmp_path / "net")
    told = {"do_normalize": True, "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
    files = {file.name: file.read_bytes() for file in (tmp_path / "net").iterdir()}
    publish(
        {**files, "preprocessor_config.json": json.dumps({**told, "do_rescale": True}).encode()},
        licence={},
        repo=words[3].removeprefix("hf:"),
    )
    assert main(words[1:]) == 0, capsys.readouterr()
    card = load_model(words[3]).card
    assert card.resolution == 0.3
    assert {c.name for c in card.classes.foreground} == {*named} - {"Background"}


def test_a_revision_and_a_file_are_chosen(hub, publish, bundle, tmp_path):
    other = write_toy_bundle(tmp_path / "other.safetensors", classes=3).read_bytes()
    publish({"a/town.safetensors": bundle, "a/other.safetensors": other}, revision="v2")
    with pytest.raises(ModelError, match=r"found 2 files of weights; .*hf:owner/town:a/other\.safetensors"):
        pull(f"hf:{REPO}@v2")
    assert pull(f"hf:{REPO}@v2:a/other.safetensors").path.read_bytes() == other
    with pytest.raises(UnknownNameError, match=r"did you mean .*a/town\.safetensors"):
        pull(f"hf:{REPO}@v2:a/town.safetensor")


def test_a_repository_with_pickles_only_runs_nothing(publish, tmp_path):
    import os

    class Trap:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'trap'}",)

    torch.save({"state_dict": Trap()}, tmp_path / "trap.pth")
    publish({"trap.pth": (tmp_path / "trap.pth").read_bytes()})
    with pytest.raises(ModelError):
        pull(f"hf:{REPO}", hints=BANDS)
    assert not (tmp_path / "trap").exists()


def test_a_pickle_of_weights_alone_is_read(publish, tmp_path):
    torch.save({"head.weight": torch.ones(2, 3, 1, 1), "head.bias": torch.zeros(2)}, tmp_path / "town.pth")
    publish({"town.pth": (tmp_path / "town.pth").read_bytes()})
    found = pull(f"hf:{REPO}", hints=Hints(architecture="pixel-linear").over(BANDS))
    assert load_model(found.path).card.architecture == "pixel-linear"


@pytest.mark.parametrize(
    "licence", ["cc-by-nc-4.0", "other", {"license": "other", "license_name": "town-1.0"}, {}, "openrail"]
)
def test_other_licences_want_consent_before_anything_is_downloaded(hub, publish, bundle, licence):
    publish({"town.safetensors": bundle}, licence=licence)
    for call in (pull, resolve):
        with pytest.raises(ModelError, match=f"geoseg models pull hf:{REPO} --accept-license"):
            call(f"hf:{REPO}")
    assert {path for _, path, _ in hub.asked} == {f"/api/models/{REPO}"}
    assert pull(f"hf:{REPO}", accept_license=True).card.name == "toy-one-hot"


def test_a_wrong_pin_leaves_what_the_hub_vouches_for(hub, publish, bundle, kept):
    publish({"town.safetensors": bundle})
    found = pull(f"hf:{REPO}")
    before = kept()
    with pytest.raises(ModelError, match=f"expected {'0' * 64}"):
        pull(f"hf:{REPO}", sha256="0" * 64)
    assert kept() == before
    assert pull(f"hf:{REPO}", sha256=f"sha256:{found.sha256.upper()}") == found


def test_the_stricter_of_the_hubs_and_the_cards_licence_counts(publish, tmp_path, kept):
    content = write_toy_bundle(tmp_path / "a.safetensors", license="CC-BY-NC-4.0").read_bytes()
    publish({"town.safetensors": content}, licence="mit")
    for call in (pull, resolve):
        with pytest.raises(ModelError, match=r"found the licence 'CC-BY-NC-4\.0'"):
            call(f"hf:{REPO}")
    assert not [name for name in kept() if name.startswith("bundles")]
    found = pull(f"hf:{REPO}", accept_license=True)
    assert (found.licence.identifier, found.licence.permissive) == ("CC-BY-NC-4.0", False)
    assert resolve(f"hf:{REPO}") == found.path


def test_a_hint_is_no_licence_where_the_hub_names_one(publish, tmp_path):
    publish(smp_folder(tmp_path / "smp"), licence="agpl-3.0")
    found = pull(f"hf:{REPO}", hints=BANDS, accept_license=True)
    assert BANDS.license == "MIT"
    assert (found.card.license, found.licence.identifier) == ("AGPL-3.0", "AGPL-3.0")


def test_the_very_file_that_was_checked_is_imported(publish, tmp_path):
    files = smp_folder(tmp_path / "smp")
    tensors = {name: torch.full_like(t, 2) for name, t in safetensors.torch.load(files["model.safetensors"]).items()}
    other = safetensors.torch.save(tensors)
    torch.save({name: t + 1 for name, t in tensors.items()}, tmp_path / "x.bin")
    publish({**files, "big-model.safetensors": other, "pytorch_model.bin": (tmp_path / "x.bin").read_bytes()})
    sums = {}
    for name in ("model.safetensors", "big-model.safetensors", "pytorch_model.bin"):
        found = pull(f"hf:{REPO}:{name}", hints=BANDS)
        sums[name] = float(next(iter(load_model(found.path).module.state_dict().values())).flatten()[0])
    assert (sums["big-model.safetensors"], sums["pytorch_model.bin"]) == (2.0, 3.0)
    assert sums["model.safetensors"] not in (2.0, 3.0)


def test_a_pin_covers_all_parts_of_weights(hub, publish, tmp_path):
    files = smp_folder(tmp_path / "smp")
    tensors = safetensors.torch.load(files.pop("model.safetensors"))
    names = sorted(tensors)
    halves = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for shard, held in halves.items():
        files[shard] = safetensors.torch.save({name: tensors[name] for name in held})
    weight_map = {name: shard for shard, held in halves.items() for name in held}
    index = json.dumps({"metadata": {}, "weight_map": weight_map}).encode()
    files["model.safetensors.index.json"] = index
    publish(files)
    found = pull(f"hf:{REPO}", hints=BANDS)
    listed = (*halves, "model.safetensors.index.json")
    lines = "".join(f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(listed))
    assert found.sha256 == hashlib.sha256(lines.encode()).hexdigest()
    assert pull(f"hf:{REPO}", hints=BANDS, sha256=found.sha256).path == found.path
    with pytest.raises(ModelError, match=f"found the checksum {found.sha256}, expected"):
        pull(f"hf:{REPO}", hints=BANDS, sha256=hashlib.sha256(index).hexdigest())


def test_a_checksum_that_differs_removes_the_file(hub, publish, bundle, kept):
    publish({"town.safetensors": bundle})
    with pytest.raises(ModelError, match=f"expected {'0' * 64}; nothing was downloaded"):
        pull(f"hf:{REPO}", sha256="0" * 64)
    assert not [name for name in kept() if "safetensors" in name or "/blobs/" in name]
    blob = hub.files[f"/blobs/{hashlib.sha256(bundle).hexdigest()}"]
    blob.content = bundle[:-1] + b"\xff"
    with pytest.raises(ModelError, match=f"expected {hashlib.sha256(bundle).hexdigest()}"):
        pull(f"hf:{REPO}")
    assert not [name for name in kept() if "safetensors" in name or "/blobs/" in name]
    blob.content = bundle
    assert pull(f"hf:{REPO}").path.read_bytes() == bundle


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("hf:owner/nothing", "cannot be had from"),
        ("hf:owner", "expected hf:owner/repository"),
        ("hf:a/b/c", "expected hf:owner/repository"),
        ("hf:a/b@", "expected hf:owner/repository"),
    ],
)
def test_what_is_not_there_is_told(reference, said):
    with pytest.raises(ModelError, match=said):
        pull(reference)


@pytest.mark.parametrize(
    ("code", "status", "said"),
    [
        ("RepoNotFound", 404, "no such repository, or it is private"),
        ("GatedRepo", 403, "accept the terms on its page"),
        ("RevisionNotFound", 404, "check what stands behind @"),
        ("", 500, "check the connection"),
    ],
)
def test_refusals_of_the_hub_are_one_error_each(hub, kept, code, status, said):
    file = hub.put(f"/api/models/{REPO}", b"", headers={"X-Error-Code": code})
    hub.files[f"/api/models/{REPO}"].statuses[:] = [status] * 20
    with pytest.raises(ModelError, match=said):
        pull(file.replace(f"{hub.url}/api/models/", "hf:"))
    assert kept() == []


def test_a_repository_without_weights_is_told(publish):
    publish({"README.md": b"# town"})
    with pytest.raises(ModelError, match=r"found no weights \(README\.md\)"):
        pull(f"hf:{REPO}")


def test_a_hub_that_cannot_be_reached_is_told(monkeypatch, kept):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(ModelError, match=r"cannot be had from http://127\.0\.0\.1:1 .*copy the folder"):
        pull(f"hf:{REPO}")
    assert kept() == []


def test_progress_counts_the_bytes(publish, bundle):
    publish({"town.safetensors": bundle})
    told = []
    pull(f"hf:{REPO}", progress=lambda done, total: told.append((done, total)))
    assert told[-1][0] == len(bundle)
