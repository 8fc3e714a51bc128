"""Every backend gives the network's own answer, and networks that cannot be rewritten run as they are."""

import gc
import sys
import weakref

import pytest
import torch
from torch import nn
from torch.nn import functional

from geoseg.errors import MissingExtraError, ResourceError, SpecError, UnknownNameError
from geoseg.models import containers, create_model, load_model
from geoseg.models.backends import compiled, prepared
from geoseg.models.backends.eager import simplified, without_doubled_maps
from geoseg.models.backends.packing import PackedConvolution, PackedSplit
from geoseg.models.backends.splitting import SplitConvolution
from geoseg.models.settings import Settings
from tests.models.containers.made import bare_file, small_network, toy_module
from tests.toy import toy_card

CARD = toy_card(activation="softmax", tile_size=64, divisor=32)
CPU = Settings(torch.device("cpu"), "fp32", 1)
BF16 = Settings(torch.device("cpu"), "bf16", 1)


@pytest.fixture(scope="module")
def network():
    return small_network()


def _parts(module, kind):
    return [m for m in module.modules() if type(m) is kind]


@pytest.mark.parametrize("backend", ["torch", "onnx", "openvino"])
def test_answers_are_those_of_the_network(network, backend):
    before = {name: t.clone() for name, t in network.state_dict().items()}
    run = prepared(network, CARD, backend, CPU)
    for shape in ((1, 3, 64, 64), (2, 3, 64, 64), (1, 3, 96, 32)):
        chips = torch.randn(shape)
        expected = network(chips)
        torch.testing.assert_close(run(chips), expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))
    assert all(torch.equal(before[name], t) for name, t in network.state_dict().items())
    assert {t.dtype for t in network.parameters()} == {torch.float32}


@pytest.mark.parametrize("backend", ["torch", "openvino"])
def test_bf16_is_close(network, backend):
    chips = torch.randn(1, 3, 64, 64)
    expected = network(chips)
    found = prepared(network, CARD, backend, BF16)(chips).float()
    assert float((found - expected).abs().max()) < 0.1 * float(expected.abs().max())


def test_the_network_is_folded_split_and_packed(network):
    run = prepared(network, CARD, "torch", CPU)
    assert not _parts(run, nn.BatchNorm2d)
    assert not _parts(run, nn.Conv2d)
    assert len(_parts(run, PackedSplit)) == 5
    assert len(_parts(run, PackedConvolution)) > 20


def test_the_same_is_prepared_once(network):
    assert prepared(network, CARD, "torch", CPU) is prepared(network, CARD, "torch", CPU)
    assert prepared(network, CARD, "torch", CPU) is not prepared(network, CARD, "torch", BF16)


@pytest.mark.parametrize("skip", [0, 3])
@pytest.mark.parametrize("size", [(12, 20), (11, 20), (18, 30)])
def test_a_split_convolution_is_the_convolution_over_the_repeated_map(skip, size):
    whole = nn.Conv2d(5 + skip, 4, 3, padding=1).requires_grad_(False)
    small, beside = torch.randn(2, 5, 6, 10), torch.randn(2, skip, *size) if skip else None
    large = functional.interpolate(small, size)
    expected = whole(large if beside is None else torch.cat([large, beside], 1))
    split = SplitConvolution(whole, 5)
    torch.testing.assert_close(split(small, size, beside), expected, rtol=1e-4, atol=1e-5)
    packed = PackedSplit(split)
    packed.relu = True
    torch.testing.assert_close(packed(small, size, beside), expected.relu(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "convolution",
    [
        nn.Conv2d(4, 6, 3, padding=1),
        nn.Conv2d(4, 6, (3, 1), stride=2, dilation=(2, 1), padding=(2, 0), bias=False),
        nn.Conv2d(4, 8, 3, groups=2),
        nn.Conv2d(4, 4, 5, groups=4, padding=2),
        nn.ConvTranspose2d(4, 6, 4, stride=2, padding=1),
    ],
)
def test_packed_convolutions_are_the_same_to_the_last_bits(convolution):
    convolution.requires_grad_(False)
    packed = PackedConvolution(convolution)
    for settle in (False, True):
        if settle:
            packed.settle(torch.float32)
        for shape in ((1, 4, 16, 16), (2, 4, 9, 12)):
            chips = torch.randn(shape)
            expected = convolution(chips)
            torch.testing.assert_close(packed(chips), expected, rtol=1e-5, atol=1e-5)
            torch.testing.assert_close(packed(chips, expected), 2 * expected, rtol=1e-5, atol=1e-5)


class Odd(nn.Module):
    """Steps that look like those that are rewritten, and are not."""

    def __init__(self):
        super().__init__()
        self.shared = nn.Conv2d(3, 3, 3, padding=1)
        self.once = nn.BatchNorm2d(3)
        self.mirrored = nn.Conv2d(3, 3, 3, padding=1, padding_mode="reflect")
        self.strided = nn.Conv2d(3, 2, 3, padding=1, stride=2)
        self.large = nn.Conv2d(3, 2, 3, padding=1)
        self.eval()

    def forward(self, chips):
        one = self.shared(chips)
        two = self.once(self.shared(one))
        three = torch.relu(self.mirrored(two)) + one
        seen = self.large(functional.interpolate(three, scale_factor=2))
        smooth = self.large(functional.interpolate(three, scale_factor=2, mode="bilinear"))
        return self.strided(functional.interpolate(three, scale_factor=2)) + functional.avg_pool2d(seen + smooth, 2)


class Branching(nn.Module):
    """A network whose path hangs on its values, with a part that does not."""

    def __init__(self):
        super().__init__()
        self.part = nn.Sequential(nn.Conv2d(3, 2, 3, padding=1), nn.BatchNorm2d(2), nn.ReLU())
        self.eval()

    def forward(self, chips):
        return self.part(chips) if float(chips.sum()) > -1e9 else chips[:, :2]


@pytest.mark.parametrize("build", [Odd, Branching])
@pytest.mark.parametrize("packs", [True, False])
def test_odd_networks_keep_their_answers(build, packs):
    torch.manual_seed(1)
    network = build().requires_grad_(False)
    run = prepared(network, CARD, "torch", CPU) if packs else simplified(network, CARD, without_doubled_maps)
    for _ in range(2):
        chips = torch.randn(1, 3, 64, 64)
        torch.testing.assert_close(run(chips), network(chips), rtol=1e-4, atol=1e-4)
    if build is Branching:
        assert not _parts(run, nn.BatchNorm2d)


def test_a_rewriting_that_changes_answers_is_dropped(network):
    def spoil(graph):
        for module in graph.modules():
            if isinstance(module, nn.Conv2d):
                module.weight.data.mul_(2)

    chips = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(simplified(network, CARD, spoil)(chips), network(chips))


def test_files_run_by_their_own_runtime(tmp_path):
    module, card = toy_module(tmp_path / "toy.safetensors")
    bare = bare_file("onnx", tmp_path, module, torch.rand(2, 3, 64, 64))
    containers.write_card(bare, card, bare)
    loaded = load_model(bare)
    run = prepared(loaded.module, card, "auto", CPU)
    assert run.settings.thread_count == 1
    assert prepared(loaded.module, card, "onnx", CPU) is not None
    with pytest.raises(SpecError, match="a file that onnx runs"):
        prepared(loaded.module, card, "torch", CPU)


def test_unknown_backends_are_listed(network):
    with pytest.raises(UnknownNameError, match="did you mean openvino"):
        prepared(network, CARD, "openvinno", CPU)


@pytest.mark.parametrize(("backend", "package"), [("onnx", "onnxruntime"), ("openvino", "openvino")])
def test_without_the_extra_the_command_is_told(network, monkeypatch, backend, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=rf"pip install 'geoseg\[{backend}\]'"):
        prepared(network, CARD, backend, Settings(torch.device("cpu"), "fp32", 3))


def test_objects_are_found_by_torch_alone(network):
    card = CARD.model_copy(update={"kind": "instance"})
    with pytest.raises(SpecError, match=r"finds objects \(instance\)"):
        prepared(network, card, "onnx", CPU)


def test_without_a_compiler_the_remedy_is_told(network, monkeypatch):
    from torch._inductor import cpp_builder
    from torch._inductor.exc import InvalidCxxCompiler

    def none():
        raise InvalidCxxCompiler

    monkeypatch.setattr(cpp_builder, "get_cpp_compiler", none)
    with pytest.raises(ResourceError, match=r"no C\+\+ compiler"):
        compiled.check_compiler()


@pytest.mark.slow
def test_a_compiled_network_gives_the_same():
    network = create_model("pixel-linear", in_channels=3, classes=2).eval().requires_grad_(False)
    run = prepared(network, toy_card(), "compile", CPU)
    chips = torch.rand(1, 3, 64, 64)
    torch.testing.assert_close(run(chips), network(chips), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("container", ["onnx", "openvino"])
def test_models_in_files_are_freed(tmp_path, container):
    module, card = toy_module(tmp_path / "toy.safetensors")
    path = bare_file(container, tmp_path, module, torch.rand(1, 3, 64, 64))
    containers.write_card(path, card, path)
    loaded = load_model(path)
    assert prepared(loaded.module, card, "auto", loaded.module.settings) is loaded.module
    held = weakref.ref(loaded.module)
    del loaded
    gc.collect()
    assert held() is None
