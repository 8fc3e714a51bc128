"""Bundles: what is saved comes back, equal things give equal bytes, and damaged files give one clear error."""

import json
import os
import subprocess
import sys
import time

import psutil
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from geoseg.core.classes import ClassInfo, ClassSet
from geoseg.core.values import normalisation
from geoseg.errors import GeosegError, ModelError, UnknownNameError, WriteError
from geoseg.models import create_model, load_model, save_bundle
from tests.models.bytes_of import edit, join, split
from tests.toy import LIMIT, toy_card, write_toy_bundle


@pytest.fixture
def bundle(tmp_path):
    return write_toy_bundle(tmp_path / "toy.safetensors", classes=3)


def _raw_values():
    """Every uint8 value once in the first band, normalised as inference does it: shape (1, 3, 16, 16)."""
    steps = normalisation(toy_card(), None)
    raw = torch.arange(256.0).view(1, 1, 16, 16).expand(1, 3, 16, 16)
    return raw * torch.from_numpy(steps.scale).view(3, 1, 1) + torch.from_numpy(steps.offset).view(3, 1, 1)


@pytest.mark.parametrize("classes", [1, 2, 8, 254])
def test_one_hot_toy_is_exact(tmp_path, classes):
    model = load_model(write_toy_bundle(tmp_path / "toy.safetensors", classes=classes))
    scores = model.module(_raw_values())
    truth = torch.arange(256.0).view(1, 1, 16, 16) == torch.arange(float(classes)).view(1, -1, 1, 1)
    assert torch.equal(scores, truth.float())


def test_one_hot_toy_interpolates(tmp_path):
    model = load_model(write_toy_bundle(tmp_path / "toy.safetensors", classes=3))
    scores = model.module(torch.tensor([0.25, 9, 9]).view(1, 3, 1, 1))
    assert scores.flatten().tolist() == [0.75, 0.25, 0.0]


def test_threshold_toy_is_exact(tmp_path):
    model = load_model(write_toy_bundle(tmp_path / "toy.safetensors", kind="threshold"))
    scores = model.module(_raw_values())
    above = (torch.arange(256.0).view(16, 16) >= LIMIT).float()
    assert torch.equal(scores, torch.stack([1 - above, above])[None])


def test_weights_and_card_come_back(tmp_path):
    metrics = ({"name": "IoU", "value": 0.5, "data": "a town"},)
    card = toy_card(classes=4, arguments={"shape": "linear"}, name="own", metrics=metrics)
    module = create_model("pixel-linear", in_channels=3, classes=4)
    save_bundle(tmp_path / "own.safetensors", module.train(), card, half=False)
    loaded = load_model(tmp_path / "own.safetensors")
    assert loaded.card == card
    for name, weight in module.state_dict().items():
        assert torch.equal(loaded.module.state_dict()[name], weight)
    assert not loaded.module.training
    assert all(p.dtype == torch.float32 and not p.requires_grad for p in loaded.module.parameters())
    assert module.training, "saving must not touch the caller's network"


def test_half_precision_keeps_vectors_and_large_values(tmp_path):
    card = toy_card(classes=2, arguments={"shape": "linear"})
    module = create_model("pixel-linear", in_channels=3, classes=2)
    kernel = torch.tensor([[0.1, 0.2, 0.3], [1e-3, 1.0, 3.0]]).view(2, 3, 1, 1)
    module.load_state_dict({"head.weight": kernel, "head.bias": torch.tensor([0.1, 1e6])})
    path = tmp_path / "own.safetensors"
    save_bundle(path, module, card)
    assert {k: v["dtype"] for k, v in split(path.read_bytes())[0].items() if k != "__metadata__"} == {
        "head.weight": "F16",
        "head.bias": "F32",
    }
    assert torch.equal(load_model(path).module.head.weight, kernel.half().float())
    assert torch.equal(load_model(path).module.head.bias, torch.tensor([0.1, 1e6]))
    module.load_state_dict({"head.weight": kernel * 1e5, "head.bias": torch.zeros(2)})
    save_bundle(path, module, card)
    assert torch.equal(load_model(path).module.head.weight, kernel * 1e5)


def test_equal_models_give_equal_bytes_in_every_process(tmp_path, bundle):
    other = tmp_path / "other.safetensors"
    code = f"from tests.toy import write_toy_bundle; write_toy_bundle({str(other)!r}, classes=3)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": "5"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    assert other.read_bytes() == bundle.read_bytes()
    assert load_model(other).sha256 == load_model(bundle).sha256


def test_loading_leaves_random_numbers_alone(bundle):
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    load_model(bundle)
    assert torch.equal(torch.rand(2), expected)


def test_a_failed_save_leaves_what_was_there(tmp_path, bundle):
    before = bundle.read_bytes()
    wrong = create_model("pixel-linear", in_channels=5, classes=3)
    with pytest.raises(ModelError, match=r"head.weight: found \[3, 5, 1, 1\] F16, expected \[3, 3, 1, 1\]"):
        save_bundle(bundle, wrong, toy_card(classes=3))
    assert bundle.read_bytes() == before
    assert list(tmp_path.iterdir()) == [bundle]


def test_a_save_touches_no_file_but_its_own(tmp_path, monkeypatch):
    other = tmp_path / ".toy.safetensors.part"
    other.write_bytes(b"of another process")
    path = write_toy_bundle(tmp_path / "toy.safetensors")
    card, module = load_model(path).card, load_model(path).module
    seen = []

    def check_fit(*_):
        seen.append(sorted(tmp_path.iterdir()))
        raise ModelError("no")

    monkeypatch.setattr("geoseg.models.bundle.check_fit", check_fit)
    for _ in range(2):
        with pytest.raises(ModelError, match="no"):
            save_bundle(path, module, card)
    assert len({p for listing in seen for p in listing}) == 4  # a name of its own for each save, gone when it fails
    assert sorted(tmp_path.iterdir()) == [other, path]
    assert other.read_bytes() == b"of another process"


def test_infinite_weights_are_not_saved(tmp_path):
    module = create_model("pixel-linear", in_channels=3, classes=2)
    nn.init.constant_(module.head.weight, float("nan"))
    with pytest.raises(ModelError, match=r"NaN or infinite weights in 1 tensors \(head.weight\)"):
        save_bundle(tmp_path / "bad.safetensors", module, toy_card())
    assert not list(tmp_path.iterdir())


def test_a_missing_folder_is_a_write_error(tmp_path):
    module = create_model("pixel-linear", in_channels=3, classes=2)
    with pytest.raises(WriteError, match=r"model.safetensors: the bundle cannot be written"):
        save_bundle(tmp_path / "none" / "model.safetensors", module, toy_card())


def _tensor(dtype, shape, *offsets):
    return {"dtype": dtype, "shape": shape, "data_offsets": list(offsets)}


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({"head.bias": None}, "1 tensors missing (head.bias)"),
        ({"more": _tensor("F32", [0], 30, 30)}, "1 tensors too many (more)"),
        ({"head.bias": _tensor("F32", [4], 0, 16)}, "head.bias: found [4] F32, expected [3] floating"),
        ({"head.bias": _tensor("I32", [3], 0, 12)}, "head.bias: found [3] I32"),
        ({"head.bias": _tensor("F8_E4M3", [3], 0, 3)}, "head.bias: found [3] F8_E4M3"),
        ({"head.bias": _tensor("F32", [3], 0, 2**40)}, "cannot be read"),
        ({"head.bias": _tensor("F32", [3], 6, 18)}, "cannot be read"),
        ({"head.bias": _tensor("F32", [3])}, "cannot be read"),
        ({"head.bias": {"dtype": "F32", "shape": [3]}}, "cannot be read"),
    ],
)
def test_weights_that_do_not_fit_are_refused(bundle, entries, said):
    edit(bundle, **entries)
    with pytest.raises(ModelError) as caught:
        load_model(bundle)
    assert said in str(caught.value)


def test_nan_in_a_file_is_refused(bundle):
    header, data = split(edit(bundle).read_bytes())
    start = header["head.bias"]["data_offsets"][0]
    data = data[:start] + b"\x00\x00\xc0\x7f" + data[start + 4 :]
    bundle.write_bytes(join(header, data))
    with pytest.raises(ModelError, match=r"NaN or infinite weights .*head\.bias"):
        load_model(bundle)


@pytest.mark.parametrize("cut", [1, 12])
def test_a_truncated_file_is_refused(bundle, cut):
    bundle.write_bytes(bundle.read_bytes()[:-cut])
    with pytest.raises(ModelError, match="damaged"):
        load_model(bundle)
    edit(bundle)
    with pytest.raises(ModelError, match="damaged"):
        load_model(bundle)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_damage_passes_unseen(tmp_path, data):
    """Any changed byte gives one of geoseg's errors, or an equal model (where a space became a tab)."""
    path = write_toy_bundle(tmp_path / "toy.safetensors", classes=3)
    original, content = load_model(path), bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(bytes(content))
    try:
        found = load_model(path)
    except GeosegError:
        return
    assert found.card == original.card
    for name, weight in original.module.state_dict().items():
        assert torch.equal(found.module.state_dict()[name], weight)


@pytest.mark.parametrize(
    ("card", "error", "said"),
    [
        ({"architecture": "pixel-liner"}, UnknownNameError, "did you mean pixel-linear?"),
        ({"arguments": {"shape": "round"}}, ModelError, "expected one of linear, step, tent"),
        ({"arguments": {"shap": "tent"}}, ModelError, "did you mean shape?"),
        ({"arguments": {"in_channels": 3}}, ModelError, "they follow from bands and classes"),
        ({"arguments": {"name": "unet"}}, ModelError, "found name in arguments"),
        ({"arguments": {"encoder": "resnet18"}}, ModelError, "has none to choose"),
        ({"arguments": {"self": 1}}, ModelError, "no option 'self'"),
        ({"architecture": "unet", "arguments": {"encoder": "resnet19"}}, UnknownNameError, "resnet18"),
        ({"architecture": "unet", "arguments": {"encoder": "tu-hf-hub:a/b"}}, UnknownNameError, "encoder"),
        ({"architecture": "unet", "arguments": {"encoder": 5}}, ModelError, "encoder 5"),
        ({"architecture": "unet", "arguments": {"decoder_channels": [1] * 17}}, ModelError, "at most 16"),
        ({"architecture": "unet", "arguments": {"decoder_channels": [8, [8]]}}, ModelError, "decoder_channels"),
        ({"architecture": "unet", "arguments": {"decoder_channels": "many"}}, ModelError, "cannot be built"),
        ({"architecture": "unet", "arguments": {"decoder_channels": [10**12]}}, ModelError, "a number up to 65536"),
        ({"architecture": "unet", "arguments": {"decoder_channels": []}}, ModelError, "cannot be built"),
    ],
)
def test_cards_that_cannot_be_built_are_refused(bundle, card, error, said):
    edit(bundle, card=card)
    with pytest.raises(error) as caught:
        load_model(bundle)
    assert said in str(caught.value)


def test_a_card_that_asks_for_a_huge_network_costs_nothing(bundle):
    edit(bundle, card={"architecture": "unet", "arguments": {"encoder": "resnet18", "decoder_channels": [60000] * 5}})
    create_model("unet", encoder="resnet18", in_channels=3, classes=3)  # the imports
    before, started = psutil.Process().memory_info().rss, time.monotonic()
    with pytest.raises(ModelError, match="do not fit the card's architecture"):
        load_model(bundle)
    assert psutil.Process().memory_info().rss - before < 100e6
    assert time.monotonic() - started < 20


def test_a_bundle_of_another_tool_needs_no_checksum(bundle):
    header, data = split(edit(bundle).read_bytes())
    assert "geoseg.sha256" not in header["__metadata__"]
    assert json.loads(header["__metadata__"]["geoseg.card"])["name"] == load_model(bundle).card.name
    assert len(data) == 3 * 3 * 2 + 3 * 4


def test_a_network_of_other_counts_is_told_how_the_cards_is_built(tmp_path):
    classes = ClassSet(
        classes=(
            ClassInfo(id=0, name="ground", colour="#000000"),
            ClassInfo(id=1, name="roof", colour="#ff0000", kind="thing"),
        )
    )
    card = toy_card(kind="threshold").model_copy(update={"architecture": "unet", "arguments": {}, "classes": classes})
    network = create_model("unet", encoder="resnet18", in_channels=3, classes=5)
    with pytest.raises(ModelError, match=r"the card asks for in_channels=3, classes=2: build .*network_of\(card\)"):
        save_bundle(tmp_path / "m.safetensors", network, card)
    assert not list(tmp_path.iterdir())
