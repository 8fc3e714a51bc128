"""Semantic networks: every one takes any bands, keeps the size, and can be trained and bundled."""

import pytest
import torch

from geoseg.models import architectures, create_model, load_model, save_bundle
from geoseg.models.network import skeleton_of
from tests.toy import toy_card

BANDS = ("red", "green", "blue", "nir", "swir16")
ASSEMBLED = sorted(name for name, found in architectures().items() if found.encoder is not None)
SMALL = {
    "deeplabv3": {"decoder_channels": 16},
    "deeplabv3plus": {"decoder_channels": 16},
    "fpn": {"decoder_pyramid_channels": 32, "decoder_segmentation_channels": 32},
    "manet": {"decoder_channels": [32, 16, 16, 8, 8]},
    "pan": {"decoder_channels": 8},
    "pspnet": {"psp_out_channels": 16},
    "segformer": {"decoder_segmentation_channels": 16},
    "unet": {"decoder_channels": [32, 16, 16, 8, 8]},
    "unetplusplus": {"decoder_channels": [32, 16, 16, 8, 8]},
    "upernet": {"decoder_channels": 16},
}


def _card(architecture, encoder):
    return toy_card(
        name=architecture,
        architecture=architecture,
        arguments={"encoder": encoder, **SMALL.get(architecture, {})},
        bands=BANDS,
        classes=3,
        activation="softmax",
        tile_size=128,
        overlap=32,
        divisor=32,
    )


@pytest.mark.parametrize("architecture", ASSEMBLED)
def test_any_bands_same_size_and_one_step_of_training(architecture):
    torch.manual_seed(0)
    network = create_model(
        architecture, encoder="tu-mobilenetv3_small_050", in_channels=5, classes=3, **SMALL.get(architecture, {})
    )
    pixels = torch.rand(2, 5, 128, 160)
    scores = network.train()(pixels)
    assert scores.shape == (2, 3, 128, 160)
    before = scores.detach().mean()
    scores.square().mean().backward()
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    assert any(bool(g.abs().sum() > 0) for g in gradients)
    assert torch.isfinite(before)


@pytest.mark.parametrize(
    ("architecture", "encoder"),
    [("unet", "tu-tf_efficientnet_lite0"), ("segformer", "mit_b0"), ("fpn", "tu-convnext_atto")],
)
def test_bundled_networks_answer_as_before(tmp_path, architecture, encoder):
    torch.manual_seed(1)
    card = _card(architecture, encoder)
    network = create_model(architecture, in_channels=5, classes=3, **card.arguments).eval()
    save_bundle(tmp_path / "model.safetensors", network, card, half=False)
    loaded = load_model(tmp_path / "model.safetensors")
    assert loaded.card == card
    pixels = torch.rand(1, 5, 128, 128)
    with torch.inference_mode():
        assert torch.equal(loaded.module(pixels), network(pixels))


@pytest.mark.parametrize("encoder", ["mit_b0", "resnet18"])
def test_a_skeleton_has_the_names_and_shapes_of_the_network(encoder):
    card = _card("fpn", encoder)
    network = create_model("fpn", in_channels=5, classes=3, **card.arguments)
    skeleton = skeleton_of(card)
    real = [name for name, p in skeleton.named_parameters() if not p.is_meta]
    assert len(real) <= 1, "smp gives the convolution that meets the bands its memory by hand"
    assert {k: v.shape for k, v in skeleton.state_dict().items()} == {
        k: v.shape for k, v in network.state_dict().items()
    }
