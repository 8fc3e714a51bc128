"""What could run code, is damaged, or is no model: one clear error each, and nothing left behind."""

import hashlib
import io
import json
import pickle
import zipfile

import pytest
import torch

from geoseg.errors import ModelError
from geoseg.models.importing import detect, import_model
from geoseg.models.importing.conversion import check_sum
from tests.models.importing.foreign import Plain, facts, unet
from tests.toy import write_toy_bundle


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return exec, (f"open({str(self.path)!r}, 'w').close()",)


@pytest.mark.parametrize("legacy", [True, False])
def test_a_pickle_that_wants_to_run_code_does_not(tmp_path, legacy):
    torch.save({"x": Trap(tmp_path / "ran")}, tmp_path / "net.pth", _use_new_zipfile_serialization=not legacy)
    with pytest.raises(ModelError, match=r"net.pth: found a pickle that wants to run code \(.*exec.*nothing of it"):
        import_model(tmp_path / "net.pth", tmp_path / "net.safetensors", facts())
    assert [p.name for p in tmp_path.iterdir()] == ["net.pth"]


def test_a_plain_pickle_is_named_and_not_opened(tmp_path):
    (tmp_path / "net.pth").write_bytes(pickle.dumps({"x": Trap(tmp_path / "ran")}))
    assert detect(tmp_path / "net.pth") == "a plain pickle, which can run code"
    with pytest.raises(ModelError, match="found a plain pickle, which can run code; nothing of it was run"):
        import_model(tmp_path / "net.pth", tmp_path / "net.safetensors", facts())
    assert [p.name for p in tmp_path.iterdir()] == ["net.pth"]


def test_a_whole_network_in_a_pickle_is_refused_by_its_class(tmp_path):
    torch.save(Plain(), tmp_path / "net.pth")
    with pytest.raises(ModelError, match=r"wants to run code \(.*foreign.Plain"):
        import_model(tmp_path / "net.pth", tmp_path / "net.safetensors", facts())


@pytest.mark.parametrize("part", [0.2, 0.9])
def test_truncated_checkpoints_are_damaged(tmp_path, part):
    stream = io.BytesIO()
    torch.save(Plain().state_dict(), stream)
    (tmp_path / "net.pth").write_bytes(stream.getvalue()[: int(len(stream.getvalue()) * part)])
    with pytest.raises(ModelError, match=r"net.pth: .*fetch it again"):
        import_model(tmp_path / "net.pth", tmp_path / "net.safetensors", facts())
    assert [p.name for p in tmp_path.iterdir()] == ["net.pth"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "a file of an unknown kind"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"\x89HDF\r\n\x1a\n", "Keras"),
        (b'{"type": "Feature", "properties": {}}', "no STAC item with fields of the MLM extension"),
        (b'{"architectures": []}', "the config of a model alone"),
        (b"\x08\x08\x12\x07pytorch", "no graph"),
        (b"\x08\x08\x3a\xff\xff\x03abc", "ends too early"),
        (b"hello world", "a file of an unknown kind"),
    ],
)
def test_what_is_no_model_is_named(tmp_path, content, message):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ModelError, match=message):
        detect(tmp_path / "file")


def test_folders_and_archives_that_are_no_models(tmp_path):
    with pytest.raises(ModelError, match="cannot be read"):
        detect(tmp_path / "none")
    with pytest.raises(ModelError, match=r"a folder without config.json"):
        detect(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"a": 1}))
    with pytest.raises(ModelError, match="no '_model_class'"):
        detect(tmp_path)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("readme", "x")
    with pytest.raises(ModelError, match="a zip archive that is no model"):
        detect(tmp_path / "a.zip")


def test_a_bundle_needs_no_import(tmp_path):
    path = write_toy_bundle(tmp_path / "toy.safetensors")
    assert detect(path) == "a geoseg bundle"
    with pytest.raises(ModelError, match="needs no import"):
        import_model(path, tmp_path / "b.safetensors", facts())


def test_checksums_are_compared(tmp_path):
    path = tmp_path / "net.pth"
    torch.save(Plain().state_dict(), path)
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    assert check_sum(path) == check_sum(path, f"sha256:{found.upper()}") == found
    with pytest.raises(ModelError, match=f"found the checksum {found}, expected 0{{64}}"):
        check_sum(path, "0" * 64)
    with pytest.raises(ModelError, match="found the checksum '00'; expected the 64"):
        check_sum(path, "00")


def test_an_older_destination_stays_when_an_import_fails(tmp_path):
    network = unet()
    torch.nn.init.constant_(network.segmentation_head[0].bias, 5)
    torch.save(network.state_dict(), tmp_path / "net.pth")
    (tmp_path / "net.safetensors").write_bytes(b"older")
    with pytest.raises(ModelError, match="fails the check 'chip'"):
        import_model(tmp_path / "net.pth", tmp_path / "net.safetensors", facts(activation="none"))
    assert (tmp_path / "net.safetensors").read_bytes() == b"older"
    assert len(list(tmp_path.iterdir())) == 2
