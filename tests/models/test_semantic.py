"""Semantic networks: every one takes any bands, keeps the size, learns, can be bundled, and runs on a scene."""

import numpy as np
import pytest
import rasterio
import torch
from torch.nn import functional

import geoseg
from geoseg.models import architectures, create_model, load_model, save_bundle
from geoseg.models.network import skeleton_of
from tests.factory import make_raster
from tests.models.networks import NAMES, small, small_arguments, small_card


@pytest.mark.parametrize("bands", [1, 4, 13])
@pytest.mark.parametrize("architecture", NAMES)
def test_any_bands_give_scores_of_the_same_size(architecture, bands):
    torch.manual_seed(0)
    network = small(architecture, bands).eval()
    side = 128 if architecture == "pan" else 64  # its attention pools an eighth of the size three times
    with torch.inference_mode():
        chips = torch.rand(2, bands, side, side + 32)
        scores = network(chips)
        assert scores.shape == (2, 3, side, side + 32)
        assert scores.isfinite().all()
        assert torch.equal(scores, network(chips)), "the same chips give the same bits"
        changed = chips.clone()
        changed[:, -1] = 1 - changed[:, -1]
        assert not torch.equal(scores, network(changed)), "the last band counts, too"


@pytest.mark.parametrize("architecture", NAMES)
def test_a_few_steps_of_training_lower_the_loss(architecture):
    torch.manual_seed(0)
    network = small(architecture).train()
    side = 128 if architecture == "pan" else 64
    chips = torch.rand(2, 3, side, side)
    chips[:, :, :, side // 2 :] *= 0.2
    labels = (chips.mean(1) > 0.3).long()
    rate = 0.1 if architecture == "pixel-linear" else 3e-3
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate)
    losses = []
    for _ in range(6):
        loss = functional.cross_entropy(network(chips), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert min(losses[1:]) < 0.95 * losses[0]


@pytest.mark.parametrize("architecture", NAMES)
def test_bundled_networks_answer_as_before(tmp_path, architecture):
    torch.manual_seed(1)
    card = small_card(architecture, 5)
    network = small(architecture, 5).eval()
    save_bundle(tmp_path / "model.safetensors", network, card, half=False)
    loaded = load_model(tmp_path / "model.safetensors")
    assert loaded.card == card
    chips = torch.rand(1, 5, 128, 128)
    with torch.inference_mode():
        assert torch.equal(loaded.module(chips), network(chips))


def predicted(folder, card, network):
    """The class raster of a scene of one tile, and what the network says of the same pixels."""
    save_bundle(folder / "model.safetensors", network, card, half=False)
    pixels = np.random.default_rng(0).integers(1, 255, (3, 128, 128), dtype=np.uint8)
    scene = make_raster(folder / "scene.tif", data=pixels)
    exact = {"inference": {"precision": "fp32", "device": "cpu"}}
    output = {"raster": str(folder / "classes.tif")}
    geoseg.predict(scene, folder / "model.safetensors", output=output, options=exact)
    with rasterio.open(folder / "classes.tif") as raster:
        found = raster.read(1)
    with torch.inference_mode():
        scores = network.eval()(torch.from_numpy(pixels / np.float32(255))[None]).softmax(1)[0]
    return found, scores.numpy()


def check_prediction(found, scores):
    best = scores.argmax(0)
    clear = np.sort(scores, 0)
    clear = clear[-1] - clear[-2] > 1e-4
    assert clear.mean() > 0.5
    np.testing.assert_array_equal(found[clear], best[clear])


@pytest.mark.parametrize("architecture", ["attention-unet", "dpt", "fcn", "hrnet", "lraspp", "multiscale", "segformer"])
def test_a_scene_gets_the_classes_that_the_network_says(tmp_path, architecture):
    torch.manual_seed(2)
    check_prediction(*predicted(tmp_path, small_card(architecture, overlap=0), small(architecture)))


@pytest.mark.slow
@pytest.mark.parametrize("architecture", NAMES)
def test_a_scene_runs_through_every_architecture_as_it_is_by_default(tmp_path, architecture):
    torch.manual_seed(2)
    card = small_card(architecture, overlap=0, arguments={})
    check_prediction(*predicted(tmp_path, card, create_model(architecture, in_channels=3, classes=3)))


def takes_any(found):
    return found.takes_encoder and not found.encoders and found.name != "dpt"


ENCODERS = [
    *((name, "resnet18") for name in NAMES if takes_any(architectures()[name])),
    *(("segformer", f"mit_b{size}") for size in range(6)),
    *(("hrnet", f"hrnet_w{width}") for width in (18, 32, 48)),
    ("attention-unet", "mit_b1"),
    ("fcn", "tu-convnext_atto"),
    ("fpn", "mit_b0"),
    ("multiscale", "mit_b0"),
    ("upernet", "tu-swin_tiny_patch4_window7_224"),
]


@pytest.mark.parametrize(("architecture", "encoder"), ENCODERS)
def test_a_skeleton_has_the_names_and_shapes_of_the_network(architecture, encoder):
    arguments = {**small_arguments(architecture), "encoder": encoder}
    skeleton = skeleton_of(small_card(architecture, 5, arguments=arguments))
    real = [name for name, p in skeleton.named_parameters() if not p.is_meta]
    assert len(real) <= 1, "smp gives the convolution that meets the bands its memory by hand"
    if encoder in ("resnet18", "mit_b0", "hrnet_w18"):
        network = create_model(architecture, in_channels=5, classes=3, **arguments)
        assert {k: v.shape for k, v in skeleton.state_dict().items()} == {
            k: v.shape for k, v in network.state_dict().items()
        }


def test_the_names_of_the_field_are_known():
    wanted = (
        "unet unetplusplus attention-unet fcn pspnet deeplabv3 deeplabv3plus hrnet segformer upernet fpn dpt lraspp"
    )
    assert {*wanted.split(), "multiscale"} <= set(NAMES)
