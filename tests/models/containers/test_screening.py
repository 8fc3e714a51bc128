"""Archives that torch would make more of than a network: none of them gets to torch."""

import io
import json
import os
import zipfile

import pytest
import torch

from geoseg.errors import ModelError
from geoseg.models.containers import exported, screening, torchscript
from geoseg.models.containers.archive import extra_text, with_extra
from tests.models.containers.made import bare_file, toy_module

EVIL = "__import__('os').mkdir('sprung')"


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pt2")
    return bare_file("pt2", folder, toy_module(folder / "toy.safetensors")[0], torch.rand(2, 3, 64, 64))


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    folder = tmp_path_factory.mktemp("torchscript")
    return bare_file("torchscript", folder, toy_module(folder / "toy.safetensors")[0], torch.rand(2, 3, 64, 64))


def contents(path):
    with zipfile.ZipFile(path) as archive:
        return {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}


def pack(path, entries, *, compressed=()):
    """An archive of (name, content), twofold names allowed."""
    with zipfile.ZipFile(path, "w") as archive, pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *_, **__: None)
        for name, content in entries:
            kind = zipfile.ZIP_DEFLATED if name in compressed else zipfile.ZIP_STORED
            archive.writestr(name if name.startswith("/") else f"m/{name}", content, kind)
    return path


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("name", ["models/model.json", "MODELS/model.json", "models/model.JSON"])
@pytest.mark.parametrize("read", [exported.screened, screening.screened, extra_text, lambda p: with_extra(p, "", p)])
def test_twofold_entries_are_refused_whatever_their_case(tmp_path, program, order, name, read):
    entries = [*contents(program).items(), (name, EVIL.encode())]
    with pytest.raises(ModelError, match="entries of the same name"):
        read(pack(tmp_path / "two.pt2", entries[::order]))


def test_a_second_folder_is_refused(tmp_path, program):
    with pytest.raises(ModelError, match="more than one folder"):
        exported.screened(pack(tmp_path / "two.pt2", [*contents(program).items(), ("/other", b"")]))


@pytest.mark.parametrize(
    "name",
    [
        "data/sample_inputs/model.PT",
        "data/weights/model_weights_config.JSON",
        "data/constants/model_constants_CONFIG.json",
        "data/weights/model.pt",
        "data/constants/custom_obj_0",
        "data/constants/opaque_obj_0",
        "data/aotinductor/model/x.so",
        "models/other.json",
        "Models/other.json",
        "serialized_exported_program.json",
    ],
)
def test_other_names_are_refused(tmp_path, program, name):
    entries = {key: held for key, held in contents(program).items() if key.casefold() != name.casefold()}
    with pytest.raises(ModelError, match="found the entry"):
        exported.screened(pack(tmp_path / "bad.pt2", [*entries.items(), (name, b"{}")]))


def test_compressed_entries_are_refused_unread(tmp_path, program):
    entries = [*contents(program).items(), ("extra/blob", bytes(1 << 20))]
    with pytest.raises(ModelError, match="compressed entries"):
        exported.screened(pack(tmp_path / "bomb.pt2", entries, compressed={"extra/blob"}))


def test_code_that_expands_beyond_measure_is_refused(tmp_path, script, monkeypatch):
    monkeypatch.setattr("geoseg.models.containers.archive.LARGEST_CODE", 1 << 20)
    bomb = ("code/bomb.py", bytes((1 << 20) + 1))
    path = pack(tmp_path / "bomb.pt", [*contents(script).items(), bomb], compressed={"code/bomb.py"})
    with pytest.raises(ModelError, match="bytes of code"):
        screening.screened(path)


def test_extra_files_are_not_read(tmp_path, program):
    content = exported.screened(pack(tmp_path / "x.pt2", [*contents(program).items(), ("extra/Blob", b"\xff")]))
    assert not [name for name in zipfile.ZipFile(io.BytesIO(content.getvalue())).namelist() if "extra" in name]
    assert torch.export.load(content).module()(torch.rand(2, 3, 64, 64)).shape == (2, 2, 64, 64)


def test_pickles_are_written_anew(tmp_path, program):
    held = contents(program)
    name = "data/sample_inputs/model.pt"
    out = io.BytesIO()
    torch.save(torch.load(io.BytesIO(held[name])), out, _use_new_zipfile_serialization=False)
    held[name] = out.getvalue()
    content = exported.screened(pack(tmp_path / "x.pt2", held.items()))
    found = zipfile.ZipFile(content).read(f"archive/{name}")
    assert found != held[name]
    (args, named), (before, _) = (torch.load(io.BytesIO(pickled)) for pickled in (found, held[name]))
    assert torch.equal(args[0], before[0])
    assert named == {}


def _first(kind):
    def change(program, text):
        nodes = program["graph_module"]["graph"]["nodes"]
        nodes[0].update(**{kind: text})

    return change


def _tree(program, text):
    program["graph_module"]["module_call_graph"][0]["signature"]["in_spec"] = text


def _names(program, text):
    program["graph_module"]["module_call_graph"][0]["signature"]["forward_arg_names"] = [text]


def _output(program, text):
    program["graph_module"]["graph"]["nodes"][0]["outputs"][0]["as_tensor"]["name"] = text


def _symbol(program, text):
    program["range_constraints"][text] = {"min_val": 2, "max_val": None}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (_output, f"x = {EVIL}"),
        (_output, "x\ny"),
        (_names, f"a={EVIL}"),
        (_symbol, EVIL),
        (_first("name"), "x;y"),
        (_first("target"), "_operator.methodcaller"),
        (_first("target"), "torch.ops.aten.__class__"),
        (_first("target"), "torch.ops.aten.add.Tensor.x"),
        (lambda p, t: p.update(guards_code=[t]), f"L['\"); {EVIL} #'].size()[0] == 1"),
        (lambda p, t: p.update(guards_code=[t]), "L['a b'].size()[0] == 1"),
        (lambda p, t: p.update(guards_code=[t]), "torch.load('a')[0] == 1"),
        (_tree, '[1, {"type": "builtins.dict", "context": "{\\"__enum__\\": 1}", "children_spec": []}]'),
        (_tree, '[1, {"type": "torch.Size", "context": "null", "children_spec": []}]'),
        (_tree, "[2, {}]"),
    ],
)
def test_texts_that_torch_makes_code_of_are_refused(tmp_path, program, change, text):
    held = contents(program)
    values = json.loads(held["models/model.json"])
    change(values, text)
    held["models/model.json"] = json.dumps(values).encode()
    with pytest.raises(ModelError, match="graph of tensor operations with plain weights"):
        exported.screened(pack(tmp_path / "bad.pt2", held.items()))
    assert not os.path.exists("sprung")  # noqa: PTH110


def test_notes_are_left_out(tmp_path, program):
    held = contents(program)
    values = json.loads(held["models/model.json"])
    values["graph_module"]["graph"]["nodes"][0]["metadata"] = {"source_fn_stack": "a,torch.hub.load"}
    held["models/model.json"] = json.dumps(values).encode()
    content = exported.screened(pack(tmp_path / "noted.pt2", held.items()))
    assert b"torch.hub" not in content.getvalue()


def test_networks_with_guards_and_equations_are_loaded(tmp_path):
    class Mixes(torch.nn.Module):
        def forward(self, chips):
            mixed = torch.einsum("bchw,cd->bdhw", chips, torch.ones(3, 2))
            return torch.nn.functional.interpolate(mixed[..., ::2, ::2], size=chips.shape[2:], mode="bilinear")

    sizes = dict.fromkeys((0, 2, 3), torch.export.Dim.AUTO)
    chips = torch.rand(2, 3, 64, 96)
    program = torch.export.export(Mixes(), (chips,), dynamic_shapes=(sizes,), strict=False)
    torch.export.save(program, tmp_path / "mixes.pt2")
    assert b"->" in contents(tmp_path / "mixes.pt2")["models/model.json"]
    graph = torch.export.load(exported.screened(tmp_path / "mixes.pt2")).module()
    torch.testing.assert_close(graph(chips[:1]), Mixes()(chips[:1]))


class _Fills(torch.nn.Module):
    """Its state is set by code, which runs while it is loaded."""

    def __init__(self, place: str) -> None:
        super().__init__()
        self.place = place
        self.held = torch.zeros(4)

    @torch.jit.export
    def __getstate__(self):
        return (self.place, self.training)

    @torch.jit.export
    def __setstate__(self, state: tuple[str, bool]):
        self.place = state[0]
        self.training = state[1]
        self.held = torch.from_file(state[0], True, 4)

    def forward(self, chips):
        return chips * 2


@pytest.mark.parametrize("ending", [".py", ".PY", ".Py"])
@pytest.mark.filterwarnings("ignore")
def test_code_that_runs_on_loading_is_refused_whatever_its_case(tmp_path, ending):
    torch.jit.save(torch.jit.script(_Fills(str(tmp_path / "written"))), tmp_path / "m.pt")
    entries = [
        (f"{n[:-3]}{ending}" if n.endswith(".py") else n, held) for n, held in contents(tmp_path / "m.pt").items()
    ]
    with pytest.raises(ModelError, match=r"__setstate__|the entry 'code/"):
        torchscript.script(pack(tmp_path / "bad.pt", entries))
    assert not (tmp_path / "written").exists()


@pytest.mark.parametrize("name", ["data.PKL", "model.json", "code/a.pyc", "CODE/a.py", "Constants.pkl.x", "lib/x.so"])
def test_other_names_in_scripts_are_refused(tmp_path, script, name):
    entries = {key: held for key, held in contents(script).items() if key.casefold() != name.casefold()}
    with pytest.raises(ModelError, match="found the entry"):
        torchscript.script(pack(tmp_path / "bad.pt", [*entries.items(), (name, b"")]))


@pytest.mark.filterwarnings("ignore")
def test_hooks_that_touch_files_are_refused(tmp_path):
    class Plain(torch.nn.Module):
        def forward(self, chips: torch.Tensor) -> torch.Tensor:
            return chips * 2

    def hook(self, input: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
        return (input[0] + torch.from_file("/etc/hostname", False, 4).sum(),)

    module = Plain()
    module.register_forward_pre_hook(hook)
    torch.jit.save(torch.jit.script(module), tmp_path / "hooked.pt")
    with pytest.raises(ModelError, match="hooks"):
        torchscript.script(tmp_path / "hooked.pt")
