"""ONNX, with Deepness's metadata and without: what the graph says of its scores, and where its weights are."""

import pytest
import torch
from torch import nn

from geoseg.errors import ModelError
from geoseg.models.importing import detect, import_model
from tests.conftest import needed
from tests.models.importing.foreign import SIDE, Plain, answer, facts, noise, said, save_onnx

onnx = needed("onnx")

DEEPNESS = {
    "model_type": "Segmentor",
    "class_names": {0: "_background", 1: "field"},
    "resolution": 50,
    "tiles_size": SIDE,
    "tiles_overlap": 25,
    "seg_thresh": 0.6,
    "standardization_mean": [0.1, 0.2, 0.3],
    "standardization_std": [0.4, 0.5, 0.6],
}
UNSAID = {"classes": None, "mean": None, "std": None, "value_range": None, "resolution": None, "tile_size": None}


@pytest.mark.parametrize(
    ("channels", "last", "activation"),
    [
        (2, nn.Softmax(1), "none"),
        (1, nn.Sigmoid(), "sigmoid"),
        (2, nn.Sigmoid(), "none"),
        (2, nn.Identity(), "softmax"),
    ],
)
def test_a_deepness_model(tmp_path, channels, last, activation):
    network = Plain(channels, last).eval()
    path = save_onnx(network, tmp_path / "net.onnx", DEEPNESS)
    assert detect(path) == "a Deepness ONNX file"
    card = import_model(path, tmp_path / "model.onnx", facts(**UNSAID, overlap=None))
    assert (card.activation, card.resolution, card.threshold) == (activation, 0.5, 0.6)
    assert (card.tile_size, card.overlap, card.value_range) == (SIDE, SIDE // 4, (0.0, 255.0))
    assert (card.mean, card.std) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    assert [(c.id, c.name) for c in card.classes.classes] == [(0, "background"), (1, "field")]
    found = answer(tmp_path / "model.onnx", noise())
    scores = found.sigmoid() if activation == "sigmoid" else found
    assert float((scores - said(network, noise())).abs().max()) < 1e-6


def test_without_standardisation_bytes_are_divided_by_255_and_python_names_are_read(tmp_path):
    told = {"model_type": "Segmentor", "names": "{0: 'a', 1: 'b'}", "seg_thresh": 0.2}
    path = save_onnx(Plain().eval(), tmp_path / "net.onnx", told)
    card = import_model(path, tmp_path / "model.onnx", facts(**{**UNSAID, "resolution": 0.1}))
    assert (card.mean, card.std, card.value_range) == ((0, 0, 0), (1, 1, 1), (0, 255))
    assert (card.classes.background, card.threshold) == (None, None)
    assert [c.name for c in card.classes.classes] == ["a", "b"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "Detector"}, "a Deepness model of the type 'detector'; expected 'Segmentor'"),
        ({"class_names": {0: "a", 2: "b"}}, r"class_names with the numbers \[0, 2\]"),
        ({"class_names": [1, 2]}, "expected a name for each number"),
        ({"class_names": "__import__('os').system('true')"}, "class_names .* in its metadata; expected JSON"),
        ({"resolution": "[1]"}, r"found resolution '\[1\]' in its metadata; expected a number"),
        ({"resolution": "1e999"}, "found resolution 'inf' in its metadata"),
        ({"standardization_mean": "3"}, "found standardization_mean '3' in its metadata; expected a list of numbers"),
        ({"standardization_std": '[1, "x", 1]'}, "found standardization_std 'x' in its metadata"),
        ({"seg_thresh": "x"}, "found seg_thresh 'x' in its metadata; expected a number"),
        ({"tiles_size": "{}"}, "found tiles_size '{}' in its metadata"),
        ({"tiles_overlap": "x"}, "found tiles_overlap 'x' in its metadata"),
        ({"class_names": {0: "a", 1: "b", 2: "c"}}, r"network of 2 channel\(s\) of scores; expected 3"),
    ],
)
def test_deepness_models_that_cannot_be_run(tmp_path, changes, message):
    path = save_onnx(Plain().eval(), tmp_path / "net.onnx", {**DEEPNESS, **changes})
    with pytest.raises(ModelError, match=message):
        import_model(path, tmp_path / "model.onnx", facts(**UNSAID, activation="softmax"))
    assert [p.name for p in tmp_path.iterdir()] == ["net.onnx"]


def test_plain_onnx_wants_facts_and_takes_its_size_from_the_graph(tmp_path):
    network = Plain().eval()
    path = save_onnx(network, tmp_path / "net.onnx")
    assert detect(path) == "an ONNX file"
    with pytest.raises(ModelError, match=r"3 band\(s\) and 2 channel\(s\).*add --task NAME, --bands"):
        import_model(path, tmp_path / "model.onnx")
    card = import_model(path, tmp_path / "model.onnx", facts(tile_size=None))
    assert (card.tile_size, card.activation) == (SIDE, "softmax")
    assert float((answer(tmp_path / "model.onnx", noise()) - said(network, noise())).abs().max()) < 1e-6
    with pytest.raises(ModelError, match=r"found a network of 3 band\(s\); expected 2"):
        import_model(path, tmp_path / "b.onnx", facts(bands=("red", "nir")))


@pytest.mark.parametrize("location", ["/etc/hostname", "../secret.bin", "..\\secret.bin", "C:\\secret.bin"])
def test_weights_outside_the_folder_are_refused(tmp_path, location):
    (tmp_path / "in").mkdir()
    (tmp_path / "secret.bin").write_bytes(bytes(10_000))
    path = _external(tmp_path / "in", "weights.bin")
    model = onnx.load(str(path), load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = location
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=r"net.onnx: found .*"):
        import_model(path, tmp_path / "model.onnx", facts())
    assert not (tmp_path / "model.onnx").exists()


def test_weights_beside_the_model_are_taken_in(tmp_path):
    (tmp_path / "in").mkdir()
    path = _external(tmp_path / "in", "weights.bin")
    import_model(path, tmp_path / "model.onnx", facts())
    (tmp_path / "in" / "weights.bin").unlink()
    assert float((answer(tmp_path / "model.onnx", noise()) - said(Plain().eval(), noise())).abs().max()) < 1e-6
    with pytest.raises(ModelError, match=r"weights.bin"):
        import_model(path, tmp_path / "again.onnx", facts())


def _external(folder, name):
    path = save_onnx(Plain().eval(), folder / "net.onnx")
    model = onnx.load(str(path))
    onnx.save_model(model, str(path), save_as_external_data=True, location=name, size_threshold=0)
    return path


class Chosen(nn.Module):
    """A network whose answer is classes, not scores."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.argmax(1, keepdim=True)


def test_classes_for_an_answer_are_refused(tmp_path):
    path = save_onnx(Plain(last=Chosen()).eval(), tmp_path / "net.onnx")
    with pytest.raises(ModelError, match=r"classes as its answer \(ArgMax\)"):
        import_model(path, tmp_path / "model.onnx", facts())


def test_truncated_files_are_damaged(tmp_path):
    path = save_onnx(Plain().eval(), tmp_path / "net.onnx")
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ModelError, match=r"net.onnx: found"):
        import_model(path, tmp_path / "model.onnx", facts())
