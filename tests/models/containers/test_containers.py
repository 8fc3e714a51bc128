"""Models in files that carry their own graph: the same card, the same labels, and one clear error for bad ones."""

import json
import os
import struct
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch

from geoseg.errors import MissingExtraError, ModelError, OutputError, WriteError
from geoseg.jobs.plan import plan
from geoseg.jobs.run import run
from geoseg.jobs.spec import job_from
from geoseg.models import containers, load_model, read_card, verify
from geoseg.models.containers import exported, onnx_file, torchscript
from geoseg.models.containers.wire import metadata_field
from tests.factory import make_raster
from tests.models.containers.made import ENDINGS, bare_file, toy_module
from tests.toy import toy_card


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return toy_module(tmp_path_factory.mktemp("toy") / "toy.safetensors", classes=3)


@pytest.fixture(scope="module", params=ENDINGS)
def made(request, tmp_path_factory, toy):
    folder = tmp_path_factory.mktemp(request.param)
    bare = bare_file(request.param, folder, toy[0], torch.rand(2, 3, 64, 64))
    path = folder / f"model{ENDINGS[request.param]}"
    containers.write_card(bare, toy[1], path)
    return request.param, bare, path


def test_the_card_comes_back(made, toy):
    container, _, path = made
    assert containers.container_of(path) == container
    assert read_card(path) == toy[1]


def test_a_file_without_a_card_says_so(made):
    with pytest.raises(ModelError, match=r"without 'geoseg.card' inside.*geoseg models import"):
        read_card(made[1])


def test_a_card_is_replaced_not_added(made, toy, tmp_path):
    container, _, path = made
    other = toy[1].model_copy(update={"name": "another"})
    again = tmp_path / f"again{ENDINGS[container]}"
    containers.write_card(path, other, again)
    containers.write_card(again, other, again)
    assert read_card(again) == other
    assert load_model(again).sha256 == containers.checksum(again) != containers.checksum(path)
    expected = [".bin", ".xml"] if container == "openvino" else [ENDINGS[container]]
    assert sorted(p.suffix for p in tmp_path.iterdir()) == expected


def test_answers_are_those_of_torch(made, toy):
    container, _, path = made
    loaded = load_model(path)
    assert loaded.backend == container
    for shape in ((1, 3, 64, 64), (3, 3, 64, 64), (1, 3, 96, 32)):
        chips = torch.rand(shape)
        found = loaded.module(chips.contiguous(memory_format=torch.channels_last))
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, toy[0](chips), rtol=0, atol=1e-5)


def test_predict_gives_the_labels_of_the_bundle(made, tmp_path):
    _, _, path = made
    values = np.random.default_rng(0).integers(0, 4, (3, 150, 170)).astype(np.uint8)
    scene = make_raster(tmp_path / "scene.tif", data=values)
    asked = {"scene": {"paths": [str(scene)]}, "model": str(path), "output": {"raster": str(tmp_path / "classes.tif")}}
    run(plan(job_from({**asked, "inference": {"precision": "fp32", "threads": 1}})))
    with rasterio.open(tmp_path / "classes.tif") as raster:
        np.testing.assert_array_equal(raster.read(1), np.where(values[0] < 3, values[0], 0))


def test_verify_passes(made):
    report = verify(made[2])
    assert report.passed, report.describe()
    assert [check.name for check in report.checks] == ["card", "checksum", "chip"]


def test_object_models_are_refused(made, tmp_path):
    container, _, path = made
    card = toy_card(classes=3).model_copy(update={"kind": "instance"})
    target = tmp_path / f"objects{ENDINGS[container]}"
    containers.write_card(path, card, target)
    with pytest.raises(ModelError, match="semantic models only: use the bundle"):
        load_model(target)


def test_a_card_with_other_bands_or_classes_is_refused(made, tmp_path):
    container, bare, _ = made
    path = tmp_path / f"wrong{ENDINGS[container]}"
    containers.write_card(bare, toy_card(classes=3, bands=("red", "nir")), path)
    with pytest.raises(ModelError):
        load_model(path).module(torch.rand(1, 2, 64, 64))
    containers.write_card(bare, toy_card(classes=4), path)
    with pytest.raises(ModelError, match=r"4 channel"):
        load_model(path).module(torch.rand(1, 3, 64, 64))


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_damaged_files_are_one_error(made, tmp_path, share):
    container, _, path = made
    content = path.read_bytes()
    cut = tmp_path / f"cut{ENDINGS[container]}"
    cut.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ModelError):
        load_model(cut)


@pytest.mark.parametrize(("container", "package"), [("onnx", "onnxruntime"), ("openvino", "openvino")])
def test_without_the_runtime_the_command_is_told(tmp_path, toy, monkeypatch, container, package):
    bare = bare_file(container, tmp_path, toy[0], torch.rand(2, 3, 64, 64))
    path = tmp_path / f"model{ENDINGS[container]}"
    containers.write_card(bare, toy[1], path)
    monkeypatch.setitem(sys.modules, package, None)
    assert read_card(path) == toy[1]
    with pytest.raises(MissingExtraError, match=rf"pip install 'geoseg\[{container}\]'"):
        load_model(path)


# ONNX


def _onnx(folder, toy, size=None, card=None):
    path = folder / "fixed.onnx"
    shape = size or (2, 3, 64, 64)
    torch.onnx.export(toy[0], (torch.rand(shape),), path, dynamo=False)
    containers.write_card(path, card or toy[1], path)
    return path


def test_fixed_batches_are_filled_up(tmp_path, toy):
    module = load_model(_onnx(tmp_path, toy)).module
    for count in (1, 2, 5):
        chips = torch.rand(count, 3, 64, 64)
        torch.testing.assert_close(module(chips), toy[0](chips), rtol=0, atol=1e-5)


def test_fixed_sizes_are_told(tmp_path, toy):
    with pytest.raises(ModelError, match=r"96 x 96 pixels; this file takes 64 x 64 only: use --tile-size 64"):
        load_model(_onnx(tmp_path, toy)).module(torch.rand(1, 3, 96, 96))
    path = _onnx(tmp_path, toy, card=toy[1].model_copy(update={"tile_size": 128}))
    with pytest.raises(ModelError, match=r"64 x 64 pixels fixed in the file.*tile_size 64"):
        load_model(path)


def test_bands_last_are_turned(tmp_path, toy):
    class BandsLast(torch.nn.Module):
        def forward(self, chips):
            return toy[0](chips.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)

    path = tmp_path / "last.onnx"
    torch.onnx.export(BandsLast(), (torch.rand(1, 64, 64, 3),), path, dynamo=False)
    containers.write_card(path, toy[1], path)
    chips = torch.rand(2, 3, 64, 64)
    torch.testing.assert_close(load_model(path).module(chips), toy[0](chips), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("/etc/passwd", "outside of the model's folder"),
        ("../secret.bin", "outside of the model's folder"),
        ("C:\\secret.bin", "outside of the model's folder"),
        ("a\\..\\..\\secret.bin", "outside of the model's folder"),
        ("*/_ORT_MEM_ADDR_/*", "no file"),
        ("missing.bin", "no file"),
        ("link.bin", "outside of the model's folder"),
    ],
)
def test_weights_elsewhere_are_not_opened(tmp_path, toy, location, said):
    import onnx

    (tmp_path / "inside").mkdir()
    (tmp_path / "secret.bin").write_bytes(bytes(4096))
    (tmp_path / "inside" / "link.bin").symlink_to(tmp_path / "secret.bin")
    model = onnx.load(_onnx(tmp_path, toy))
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    path = tmp_path / "inside" / "model.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=said):
        load_model(path)


def test_weights_in_graphs_of_graphs_are_found(tmp_path, toy):
    import onnx

    model = onnx.load(_onnx(tmp_path, toy))
    hidden = onnx.helper.make_tensor("hidden", onnx.TensorProto.FLOAT, [1], [0.0])
    hidden.ClearField("float_data")
    hidden.data_location = onnx.TensorProto.EXTERNAL
    hidden.external_data.add(key="location", value="/etc/passwd")
    inner = onnx.helper.make_graph([], "inner", [], [], [hidden])
    model.graph.node.append(onnx.helper.make_node("If", ["c"], ["d"], then_branch=inner))
    path = tmp_path / "nested.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="outside of the model's folder"):
        onnx_file.parts(path)


def test_weights_beside_the_model_are_read(tmp_path, toy):
    import onnx

    model = onnx.load(_onnx(tmp_path, toy))
    path = tmp_path / "two.onnx"
    onnx.save_model(model, path, save_as_external_data=True, location="two.bin", size_threshold=0)
    chips = torch.rand(1, 3, 64, 64)
    loaded = load_model(path)
    torch.testing.assert_close(loaded.module(chips), toy[0](chips), rtol=0, atol=1e-5)
    (tmp_path / "two.bin").write_bytes((tmp_path / "two.bin").read_bytes() + b"x")
    assert containers.checksum(path) != loaded.sha256
    with pytest.raises(ModelError, match="weights in other files"):
        containers.write_card(path, toy[1], tmp_path / "three.onnx")
    assert not (tmp_path / "three.onnx").exists()


def test_metadata_is_written_as_onnx_reads_it(tmp_path, toy):
    import onnx

    path = _onnx(tmp_path, toy)
    onnx_file.with_metadata(path, {"größe": "5 µm", "empty": ""}, tmp_path / "more.onnx")
    read = {entry.key: entry.value for entry in onnx.load(tmp_path / "more.onnx").metadata_props}
    assert read == {"größe": "5 µm", "empty": "", "geoseg.card": toy[1].model_dump_json()}
    assert onnx_file.metadata(tmp_path / "more.onnx") == read


@pytest.mark.parametrize("content", [b"\x08\x08\x3a", b"\x08" + b"\xff" * 40, b"", b"\x3a\xff\xff\xff\xff\x7f"])
def test_bytes_that_are_no_model_are_none(tmp_path, content):
    path = tmp_path / "x.onnx"
    path.write_bytes(content)
    assert containers.container_of(path) is None
    with pytest.raises(ModelError):
        read_card(path)


def test_an_entry_of_metadata_is_length_delimited():
    entry = metadata_field("k" * 200, "v")
    assert entry[0] == 14 << 3 | 2
    assert entry.endswith(b"\x12\x01v")


# TorchScript and torch.export


def _with_entry(source, target, name, content):
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for entry in old.infolist():
            if entry.filename.partition("/")[2] != name:
                new.writestr(entry, old.read(entry))
        new.writestr(f"{old.namelist()[0].partition('/')[0]}/{name}", content)


def test_scripts_that_touch_files_are_not_loaded(tmp_path, toy):
    class Writes(torch.nn.Module):
        def forward(self, chips: torch.Tensor) -> torch.Tensor:
            return torch.from_file("/etc/hostname", False, 4) + chips

    torch.jit.save(torch.jit.script(Writes()), tmp_path / "bad.pt")
    with pytest.raises(ModelError, match=r"found a call of aten::from_file.*not used"):
        torchscript.script(tmp_path / "bad.pt")


def test_checkpoints_are_no_containers(tmp_path, toy):
    torch.save(toy[0].state_dict(), tmp_path / "weights.pt")
    assert containers.container_of(tmp_path / "weights.pt") is None
    with pytest.raises(ModelError, match="pickle"):
        read_card(tmp_path / "weights.pt")


class _Trap:
    def __reduce__(self):
        return os.mkdir, (self.place,)


@pytest.fixture(scope="module")
def exported_file(tmp_path_factory, toy):
    return bare_file("pt2", tmp_path_factory.mktemp("pt2"), toy[0], torch.rand(2, 3, 64, 64))


def test_pickles_in_exported_programs_are_not_opened(tmp_path, toy, exported_file):
    trap = _Trap()
    trap.place = str(tmp_path / "sprung")
    torch.save(trap, tmp_path / "trap.pt")
    _with_entry(exported_file, tmp_path / "bad.pt2", "data/sample_inputs/model.pt", (tmp_path / "trap.pt").read_bytes())
    containers.write_card(tmp_path / "bad.pt2", toy[1], tmp_path / "bad.pt2")
    with pytest.raises(ModelError, match=r"pickle of more than tensors"):
        load_model(tmp_path / "bad.pt2")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda p: p["graph_module"]["graph"]["nodes"][0].update(target="torch.hub.load"),
            "a call of 'torch.hub.load'",
        ),
        (lambda p: p["graph_module"]["graph"]["nodes"][0].update(target="os.system"), "a call of 'os.system'"),
        (
            lambda p: p["graph_module"]["graph"]["nodes"][0].update(target="torch.ops.aten.from_file.default"),
            "a call of 'torch.ops.aten.from_file",
        ),
        (lambda p: p.update(guards_code=["__import__('os').mkdir('sprung')"]), "a guard"),
        (lambda p: p.update(expr_str="__import__('os').mkdir('sprung')"), "a size"),
        (lambda p: p.update(expr_str="Symbol('a b')"), "a size"),
        (lambda p: p.update(expr_str="().__class__"), "a size"),
    ],
)
def test_exported_programs_hold_tensor_operations_only(tmp_path, toy, exported_file, change, said):
    with zipfile.ZipFile(exported_file) as archive:
        name = next(n for n in archive.namelist() if n.endswith("models/model.json"))
        program = json.loads(archive.read(name))
    change(program)
    _with_entry(exported_file, tmp_path / "bad.pt2", "models/model.json", json.dumps(program))
    with pytest.raises(ModelError, match=f"found {said}"):
        exported.screened(tmp_path / "bad.pt2")


@pytest.mark.parametrize("entry", ["data/aotinductor/model/x.so", "code/run.py"])
def test_exported_programs_hold_no_libraries(tmp_path, exported_file, entry):
    _with_entry(exported_file, tmp_path / "bad.pt2", entry, b"\x7fELF")
    with pytest.raises(ModelError, match="the entry"):
        exported.screened(tmp_path / "bad.pt2")


# OpenVINO


def test_declared_entities_are_refused(tmp_path):
    path = tmp_path / "model.xml"
    path.write_text('<?xml version="1.0"?><!DOCTYPE net [<!ENTITY a "b">]><net>&a;</net>')
    with pytest.raises(ModelError, match="declares entities"):
        read_card(path)


def test_missing_weights_are_named(tmp_path, toy):
    bare = bare_file("openvino", tmp_path, toy[0], torch.rand(2, 3, 64, 64))
    containers.write_card(bare, toy[1], bare)
    bare.with_suffix(".bin").unlink()
    with pytest.raises(ModelError, match=r"no bare.bin beside it"):
        load_model(bare)


def test_a_length_that_reaches_beyond_the_file_is_none(tmp_path):
    path = tmp_path / "x.onnx"
    path.write_bytes(b"\x08\x08" + struct.pack("<B", 7 << 3 | 2) + b"\x7f" + b"short")
    assert containers.container_of(path) is None


# Copies


def test_a_copy_has_all_its_parts(made, tmp_path):
    container, _, path = made
    target = tmp_path / f"copy.v1{ENDINGS[container]}"
    written = containers.copy_container(path, target)
    assert written[-1] == target
    assert sorted(tmp_path.iterdir()) == sorted(written)
    assert containers.checksum(target) == containers.checksum(path)
    assert [p.name for p in containers.parts(target)] == (["copy.v1.bin"] if container == "openvino" else [])
    assert verify(target).passed


@pytest.mark.parametrize("write", [containers.copy_container, lambda s, t: containers.write_card(s, read_card(s), t)])
def test_a_copy_is_complete_or_absent(made, tmp_path, monkeypatch, write):
    container, _, path = made
    target = tmp_path / f"copy{ENDINGS[container]}"
    for older in (target, target.with_suffix(".bin")):
        older.write_text("older")

    def replace(self, place, _real=Path.replace):
        if self.suffix == target.suffix and self.parent != tmp_path and Path(place).parent == tmp_path:
            raise OSError(28, "No space left on device")
        return _real(self, place)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", replace)
        with pytest.raises(WriteError, match="No space"):
            write(path, target)
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {target.name: "older", "copy.bin": "older"}


def test_copies_are_not_put_into_folders(made, tmp_path):
    container, _, path = made
    target = tmp_path / f"copy{ENDINGS[container]}"
    target.mkdir()
    with pytest.raises(OutputError, match="found a folder"):
        containers.copy_container(path, target)
    with pytest.raises(OutputError, match="found a folder"):
        containers.write_card(path, read_card(path), target)
    assert list(target.iterdir()) == []


def test_models_in_several_files_are_not_copied(tmp_path, toy):
    import onnx

    path = tmp_path / "two.onnx"
    model = onnx.load(_onnx(tmp_path, toy))
    onnx.save_model(model, path, save_as_external_data=True, location="two.bin", size_threshold=0)
    with pytest.raises(ModelError, match="weights in other files"):
        containers.copy_container(path, tmp_path / "copy.onnx")
    assert not (tmp_path / "copy.onnx").exists()


def test_openvino_models_keep_their_ending(tmp_path, toy):
    bare = bare_file("openvino", tmp_path, toy[0], torch.rand(2, 3, 64, 64))
    with pytest.raises(OutputError, match=r"expected \.xml"):
        containers.copy_container(bare, tmp_path / "model.bin")
    with pytest.raises(OutputError, match=r"expected \.xml"):
        containers.write_card(bare, toy[1], tmp_path / "model.bin")
    assert not (tmp_path / "model.bin").exists()
