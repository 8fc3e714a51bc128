"""`verify` finds every fault of a bundle, and says which."""

import json
import warnings

import pytest
import torch

from geoseg.errors import ModelError
from geoseg.models import containers, create_model, save_bundle, verify
from geoseg.models.verification import chip_shape, run_zeros
from tests.models.bytes_of import edit, join, split
from tests.toy import toy_card, write_toy_bundle


@pytest.fixture
def bundle(tmp_path):
    return write_toy_bundle(tmp_path / "toy.safetensors", classes=3)


def test_a_good_bundle_passes_every_check(bundle):
    report = verify(bundle)
    assert report.passed
    assert [c.name for c in report.checks] == ["card", "checksum", "shapes", "weights", "chip"]
    described = json.loads(json.dumps(report.describe()))
    assert described["name"] == "toy-one-hot"
    assert described["passed"] is True
    assert "12 parameters" in described["checks"][2]["detail"]


def _failure(bundle):
    report = verify(bundle)
    assert not report.passed
    assert not report.describe()["passed"]
    return report.checks[-1].name, report.checks[-1].detail


def test_no_header(tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"nothing of the kind")
    assert verify(path).card is None
    assert _failure(path)[0] == "card"


def test_a_changed_weight(bundle):
    content = bytearray(bundle.read_bytes())
    content[-1] ^= 1
    bundle.write_bytes(content)
    name, detail = _failure(bundle)
    assert name == "checksum"
    assert "damaged" in detail


def test_an_unrecorded_checksum_is_told(bundle):
    report = verify(edit(bundle))
    assert report.passed
    assert "no checksum" in report.checks[1].detail


def test_another_architecture(bundle):
    assert _failure(edit(bundle, card={"architecture": "unet", "arguments": {}}))[0] == "shapes"


def test_a_nan(bundle):
    header, data = split(edit(bundle).read_bytes())
    start = header["head.bias"]["data_offsets"][0]
    bundle.write_bytes(join(header, data[:start] + b"\x00\x00\xc0\x7f" + data[start + 4 :]))
    assert _failure(bundle)[0] == "weights"


def test_scores_that_are_none(tmp_path):
    card = toy_card(arguments={"shape": "linear"})
    module = create_model("pixel-linear", in_channels=3, classes=2)
    module.load_state_dict({"head.weight": torch.zeros(2, 3, 1, 1), "head.bias": torch.tensor([0.0, 7.0])})
    save_bundle(tmp_path / "x.safetensors", module, card)
    name, detail = _failure(tmp_path / "x.safetensors")
    assert name == "chip"
    assert "from 0 to 7" in detail


def test_no_such_bundle_raises(tmp_path):
    with pytest.raises(ModelError, match="no such file"):
        verify(tmp_path / "none.safetensors")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda x: x[:, :1], r"shape \[1, 1, 64, 64\]; expected \[1, 2, 64, 64\]"),
        (lambda x: x[:, :2, ::2, ::2], r"shape \[1, 2, 32, 32\]"),
        (lambda x: [x], "shape list"),
        (lambda x: x[:, :2] / 0, "NaN"),
        (lambda x: x @ x[:, :, 1:], "fails on a chip"),
    ],
)
def test_answers_of_the_wrong_kind(answer, said):
    with pytest.raises(ModelError, match=said):
        run_zeros(answer, toy_card())


def test_a_huge_tile_is_not_tried():
    assert chip_shape(toy_card(tile_size=96 * 10**6, divisor=96, overlap=0)) == (1, 3, 960, 960)


def test_a_file_of_one_large_size_is_run_with_it(tmp_path):
    module = torch.nn.Conv2d(1, 2, 1).eval().requires_grad_(False)
    module.weight.zero_()
    module.bias.fill_(0.5)
    card = toy_card(bands=("red",), tile_size=1056, overlap=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (torch.rand(1, 1, 1056, 1056),), tmp_path / "bare.onnx", dynamo=False)
    containers.write_card(tmp_path / "bare.onnx", card, tmp_path / "large.onnx")
    report = verify(tmp_path / "large.onnx")
    assert report.passed, report.describe()
    assert "1056 x 1056" in report.checks[-1].detail
