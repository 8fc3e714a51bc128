"""What is exported answers like torch, carries its card, and is what Deepness reads."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from geoseg.errors import MissingExtraError, ModelError, OutputError, UnknownNameError, WriteError
from geoseg.models import create_model, export_model, load_model, read_card, save_bundle, verify
from geoseg.models import export as export_module
from geoseg.models.scored import Scored, deepness_metadata, scored_card
from geoseg_cli.main import main
from tests.models.containers.made import ENDINGS, small_network
from tests.toy import toy_card, write_toy_bundle

FORMS = ("onnx", "openvino", "pt2")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    path = tmp_path_factory.mktemp("bundle") / "small.safetensors"
    arguments = {"encoder": "tu-mobilenetv3_small_050", "decoder_channels": [16, 8, 8, 8, 8]}
    save_bundle(
        path, small_network(), toy_card(architecture="unet", arguments=arguments, activation="softmax", divisor=32)
    )
    return path


@pytest.mark.parametrize("form", FORMS)
def test_the_file_answers_like_the_bundle(bundle, tmp_path, form):
    target = tmp_path / f"small{ENDINGS[form]}"
    report = export_model(bundle, target, form)
    assert report.difference < 1e-4
    assert report.agreement == 1
    loaded, card = load_model(target), read_card(bundle)
    assert loaded.backend == form
    assert loaded.card == (scored_card(card) if form == "onnx" else card)
    chips = torch.randn(3, 3, 64, 64)
    found, expected = Scored(loaded.module, loaded.card)(chips), Scored(load_model(bundle).module, card)(chips)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
    assert verify(target).passed
    assert sorted(p.suffix for p in tmp_path.iterdir()) == ([".bin", ".xml"] if form == "openvino" else [target.suffix])


def test_any_size_is_allowed_on_demand(bundle, tmp_path):
    export_model(bundle, tmp_path / "fixed.onnx", "onnx")
    export_model(bundle, tmp_path / "free.onnx", "onnx", any_size=True)
    chips = torch.randn(1, 3, 96, 128)
    assert load_model(tmp_path / "free.onnx").module(chips).shape == (1, 2, 96, 128)
    with pytest.raises(ModelError, match="use --tile-size 64"):
        load_model(tmp_path / "fixed.onnx").module(chips)


def test_real_pixels_are_compared_too(bundle, tmp_path):
    report = export_model(bundle, tmp_path / "small.onnx", "onnx", chips=torch.randn(2, 3, 64, 64))
    assert report.pixels
    assert report.checked == 5


@pytest.mark.parametrize("activation", ["softmax", "sigmoid", "none"])
def test_scores_hold_every_class(activation):
    classes = 2 if activation == "sigmoid" else 3
    card = toy_card(classes=3, activation=activation)
    module = create_model("pixel-linear", in_channels=3, classes=classes).requires_grad_(False)
    scored, chips = Scored(module, card), torch.randn(2, 3, 8, 8)
    scores, logits = scored(chips), module(chips)
    assert scores.shape == (2, 3, 8, 8)
    told = scored_card(card)
    assert told.channel_ids == (0, 1, 2)
    assert told.threshold == (0.5 if activation == "sigmoid" else None)
    if activation == "sigmoid":
        torch.testing.assert_close(scores[:, 1:], logits.sigmoid())
        torch.testing.assert_close(scores[:, 0], 1 - logits.sigmoid().amax(1))
    elif activation == "softmax":
        torch.testing.assert_close(scores, logits.softmax(1))


def test_deepness_reads_what_it_needs(tmp_path):
    path = write_toy_bundle(
        tmp_path / "toy.safetensors", classes=3, resolution=0.3, value_range=(100.0, 300.0), std=(0.5,) * 3
    )
    export_model(path, tmp_path / "toy.onnx", "onnx")
    import onnxruntime

    session = onnxruntime.InferenceSession(tmp_path / "toy.onnx")
    (given,), (answer,) = session.get_inputs(), session.get_outputs()
    assert given.shape[1:] == [3, 64, 64]
    assert answer.shape[1:] == [3, 64, 64]
    told = {k: json.loads(v) for k, v in session.get_modelmeta().custom_metadata_map.items() if k != "geoseg.card"}
    assert str(told["model_type"]).capitalize() == "Segmentor"
    assert told["class_names"] == {"0": "background", "1": "class-1", "2": "class-2"}
    assert told["resolution"] == pytest.approx(30)
    assert (told["tile_size"], told["tiles_size"], told["tiles_overlap"]) == (64, 64, 25)
    raw = np.array([100.0, 200.0, 300.0])
    for mean, std in zip(told["standardization_mean"], told["standardization_std"], strict=True):
        np.testing.assert_allclose((raw / 255 - mean) / std, [0, 1, 2])


def test_sigmoid_models_tell_their_threshold():
    card = scored_card(toy_card(activation="sigmoid"))
    assert json.loads(deepness_metadata(card)["seg_thresh"]) == 0.5


def test_a_network_that_answers_otherwise_is_not_written(bundle, tmp_path, monkeypatch):
    monkeypatch.setattr(
        export_module, "simplified", lambda network, card, rewrite: torch.nn.Sequential(network, Halved())
    )
    with pytest.raises(ModelError, match=r"answers otherwise than torch.*nothing was written"):
        export_model(bundle, tmp_path / "small.onnx", "onnx")
    assert list(tmp_path.iterdir()) == []


class Halved(torch.nn.Module):
    def forward(self, logits):
        return logits / 2


def test_bad_requests(bundle, tmp_path, monkeypatch):
    with pytest.raises(UnknownNameError, match="did you mean onnx"):
        export_model(bundle, tmp_path / "x.onnx", "onx")
    with pytest.raises(OutputError, match=r"found the ending '.xml'; expected '.onnx'"):
        export_model(bundle, tmp_path / "x.xml", "onnx")
    with pytest.raises(WriteError):
        export_model(bundle, tmp_path / "none" / "x.onnx", "onnx")
    export_model(bundle, tmp_path / "x.onnx", "onnx")
    with pytest.raises(ModelError, match="found a file of the kind onnx; expected a bundle"):
        export_model(tmp_path / "x.onnx", tmp_path / "y.onnx", "onnx")
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'geoseg\[onnx\]'"):
        export_model(bundle, tmp_path / "y.onnx", "onnx")
    assert not (tmp_path / "y.onnx").exists()


def test_the_command_tells_the_difference(bundle, tmp_path, capsys):
    assert main(["models", "export", str(bundle), str(tmp_path / "x.onnx")]) == 0
    out, err = capsys.readouterr()
    assert out.strip() == str(tmp_path / "x.onnx")
    assert "scores differ by at most" in err
    assert "100.0000% of the labels are equal" in err
    assert main(["models", "export", str(bundle), str(tmp_path / "y.pt2"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["agreement"] == 1
    assert main(["models", "export", str(bundle), str(tmp_path / "z.onnx"), "--format", "pt2"]) == 2
    assert "expected '.pt2' for pt2" in capsys.readouterr().err


@pytest.mark.parametrize("form", FORMS)
def test_a_folder_is_no_target(bundle, tmp_path, form):
    target = tmp_path / f"folder{ENDINGS[form]}"
    target.mkdir()
    with pytest.raises(OutputError, match="found a folder"):
        export_model(bundle, target, form)
    assert list(target.iterdir()) == []


def test_older_files_stay_when_the_new_ones_cannot_be_put(bundle, tmp_path, monkeypatch):
    target = tmp_path / "small.xml"
    for older in (target, target.with_suffix(".bin")):
        older.write_text("older")

    def replace(self, place, _real=Path.replace):
        if self.suffix == ".xml" and Path(place) == target and self.parent.parent == tmp_path and self.name != "1":
            raise OSError(28, "No space left on device")
        return _real(self, place)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", replace)
        with pytest.raises(WriteError, match="No space"):
            export_model(bundle, target, "openvino")
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"small.xml": "older", "small.bin": "older"}


@pytest.mark.parametrize("name", ["whole.onnx", "bare.xml"])
def test_every_name_can_be_exported_to(bundle, tmp_path, name):
    export_model(bundle, tmp_path / name, "onnx" if name.endswith("onnx") else "openvino")
    assert verify(tmp_path / name).passed
