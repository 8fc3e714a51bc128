"""What defines the semantic networks that geoseg adds: gates, skips, branches, scales."""

import pytest
import torch
from torch import nn
from torch.nn import functional
from torchvision.models.segmentation import lraspp_mobilenet_v3_large

from geoseg.errors import ModelError, UnknownNameError
from geoseg.models import create_model
from geoseg.models.semantic.attention import AttentionGate, GatedBlock
from tests.models.networks import small


def test_a_gate_scales_each_place_of_the_skip_by_a_coefficient():
    torch.manual_seed(0)
    gate, skip, signal = AttentionGate(6, 10), torch.randn(2, 6, 8, 12), torch.randn(2, 10, 4, 6)
    weights = gate.coefficients(skip, signal)
    assert weights.shape == (2, 1, 8, 12)
    assert ((weights > 0) & (weights < 1)).all()
    torch.testing.assert_close(gate(skip, signal), skip * weights)
    assert not torch.equal(weights, gate.coefficients(skip, -signal)), "the coarser features steer it"


def test_an_open_gate_is_a_unet_and_a_closed_one_cuts_the_skip():
    torch.manual_seed(0)
    gated = small("attention-unet").eval()
    blocks = [block for block in gated.decoder.blocks if isinstance(block, GatedBlock)]
    assert len(blocks) == 4
    plain = small("unet").eval()
    weights = {name.replace(".block.", "."): v for name, v in gated.state_dict().items() if ".gate." not in name}
    plain.load_state_dict(weights, strict=True)
    chips = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        expected = plain(chips)
        for bias, alike in ((1e4, True), (-1e4, False)):
            for block in blocks:
                block.gate.coefficient.bias.fill_(bias)
            assert torch.allclose(gated(chips), expected, atol=1e-5) is alike
        features = gated.encoder(chips)
        without = gated.decoder([features[0], *(torch.zeros_like(f) for f in features[1:-1]), features[-1]])
        torch.testing.assert_close(gated(chips), gated.segmentation_head(without))


class Given(nn.Module):
    """An encoder that gives features it was told."""

    def __init__(self, features):
        super().__init__()
        self.features = features

    def forward(self, chips):
        return self.features


@pytest.mark.parametrize(("skips", "read"), [(32, {5}), (16, {4, 5}), (8, {3, 4, 5})])
def test_fcn_reads_the_features_that_its_name_says(skips, read):
    torch.manual_seed(0)
    network = create_model("fcn", encoder="resnet18", in_channels=3, classes=2, skips=skips).eval()
    chips = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        features = network.encoder(chips)
        expected = network(chips)
        for stage in range(6):
            changed = [f + 1 if i == stage else f for i, f in enumerate(features)]
            network.encoder = Given(changed)
            assert torch.equal(network(chips), expected) is (stage not in read)


def test_fcn_upsamples_bilinearly_at_first_and_refines_by_finer_scores():
    torch.manual_seed(0)
    network = create_model("fcn", encoder="resnet18", in_channels=3, classes=2).eval()
    scores = torch.rand(1, 2, 5, 7)
    doubled = network.doublings[0](scores)
    inside = (..., slice(1, -1), slice(1, -1))
    torch.testing.assert_close(doubled[inside], functional.interpolate(scores, scale_factor=2, mode="bilinear")[inside])
    coarse = create_model("fcn", encoder="resnet18", in_channels=3, classes=2, skips=32).eval()
    fewer = {name: v for name, v in network.state_dict().items() if name in coarse.state_dict()}
    coarse.load_state_dict(fewer)
    chips = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        assert not torch.allclose(network(chips), coarse(chips), atol=1e-3)
        for score in list(network.scores)[1:]:
            score.weight.zero_()
            score.bias.zero_()
        inner = (..., slice(24, 40), slice(24, 40))
        torch.testing.assert_close(network(chips)[inner].mean(), coarse(chips)[inner].mean(), atol=0.02, rtol=0.05)


def test_fcn_with_the_layers_of_the_paper_has_its_parameters():
    with torch.device("meta"):
        network = create_model("fcn", encoder="vgg16", in_channels=3, classes=21, dense=4096)
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(134e6, rel=0.01)


@pytest.mark.parametrize("width", [18, 32, 48])
def test_hrnet_stacks_its_four_branches_bare(width):
    torch.manual_seed(0)
    with torch.device("meta"):
        network = create_model("hrnet", encoder=f"hrnet_w{width}", in_channels=4, classes=2).eval()
        chips = torch.rand(1, 4, 64, 96)
        branches = network.encoder(chips)
        assert [tuple(b.shape) for b in branches] == [(1, width << i, 16 >> i, 24 >> i) for i in range(4)]
        assert network.stacked(chips).shape == (1, 15 * width, 16, 24)


def test_hrnet_reads_the_branches_as_they_are_upsampled():
    network = small("hrnet").eval()
    branches = [torch.rand(1, c, 16 >> i, 16 >> i) for i, c in enumerate((16, 32, 64, 128))]
    network.encoder = Given(branches)
    stacked = network.stacked(torch.zeros(1, 3, 64, 64))
    assert torch.equal(stacked[:, :16], branches[0])
    start = 16
    for branch in branches[1:]:
        upsampled = functional.interpolate(branch, (16, 16), mode="bilinear")
        assert torch.equal(stacked[:, start : start + branch.shape[1]], upsampled)
        start += branch.shape[1]


def test_lraspp_takes_the_checkpoints_of_torchvision():
    torch.manual_seed(0)
    published = lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=2).eval()
    network = create_model("lraspp", in_channels=3, classes=2).eval()
    network.load_state_dict(published.state_dict(), strict=True)
    chips = torch.rand(1, 3, 64, 96)
    with torch.inference_mode():
        assert torch.equal(network(chips), published(chips)["out"])


@pytest.mark.parametrize("fusion", ["attention", "mean", "max"])
@pytest.mark.parametrize("base", ["unet", "lraspp"])
def test_one_scale_is_the_base_itself(base, fusion):
    torch.manual_seed(0)
    alone = create_model(base, in_channels=3, classes=2).eval()
    network = create_model("multiscale", in_channels=3, classes=2, base=base, scales=[1], fusion=fusion).eval()
    network.base.load_state_dict(alone.state_dict())
    chips = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(network(chips), alone(chips))


def scaled_scores(network, chips):
    """What the base says of each scale, brought to the size of the chips."""
    answers = []
    for scale in network.scales:
        size = [round(n * scale / 32) * 32 for n in chips.shape[2:]]
        given = functional.interpolate(chips, size, mode="bilinear") if scale != 1 else chips
        answers.append(functional.interpolate(network.base(given)[:, :2], chips.shape[2:], mode="bilinear"))
    return torch.stack(answers)


@pytest.mark.parametrize("fusion", ["attention", "mean", "max"])
def test_scales_are_fused(fusion):
    torch.manual_seed(0)
    options = {"base": "fcn", "encoder": "resnet18", "base_options": {"skips": 16}, "fusion": fusion}
    network = create_model("multiscale", in_channels=3, classes=2, **options).eval()
    assert network.scales == (0.5, 1.0, 1.5, 2.0)
    chips = torch.rand(1, 3, 64, 128)
    with torch.inference_mode():
        scores, fused = scaled_scores(network, chips), network(chips)
        if fusion == "max":
            torch.testing.assert_close(fused, scores.amax(0))
        elif fusion == "mean":
            torch.testing.assert_close(fused, scores.mean(0))
        else:
            assert (fused <= scores.amax(0) + 1e-5).all()
            assert (fused >= scores.amin(0) - 1e-5).all()
            answers = [torch.rand(1, 18, 64, 128) for _ in range(4)]
            weights = network.attention(answers, chips.shape[2:])
            torch.testing.assert_close(weights.sum(1), torch.ones(1, 64, 128))
            network.attention.weights.weight.zero_()
            network.attention.weights.bias.copy_(torch.tensor([0.0, 0.0, 1e4, 0.0]))
            torch.testing.assert_close(network(chips), scores[2])


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"base": "unett"}, UnknownNameError, "unet"),
        ({"base": "multiscale"}, UnknownNameError, "base of multiscale"),
        ({"base_options": {"decoder_chanels": [8]}}, ModelError, "did you mean decoder_channels"),
        ({"base_options": {"decoder_channels": {"a": 1}}}, ModelError, "base_options.decoder_channels"),
        ({"base_options": {"classes": 3}}, ModelError, "base_options"),
        ({"base": "lraspp", "encoder": "resnet18"}, ModelError, "leave it out"),
        ({"scales": []}, ModelError, "scales"),
        ({"scales": [0.01]}, ModelError, "0.25 to 4"),
        ({"fusion": "vote"}, ModelError, "attention, mean, max"),
    ],
)
def test_wrong_multiscale_requests_are_explained(options, error, said):
    with pytest.raises(error, match=said):
        create_model("multiscale", in_channels=3, classes=2, **options)


@pytest.mark.parametrize("encoder", ["resnet18", "tu-resnet18"])
def test_pspnet_reads_the_last_features_at_an_eighth_of_the_size_where_it_is_dilated(encoder):
    options = {"encoder": encoder, "in_channels": 4, "classes": 2}
    with torch.device("meta"):
        chips = torch.rand(1, 4, 64, 96)
        plain, dilated = create_model("pspnet", **options), create_model("pspnet", dilated=True, **options)
        read = [tuple(network.eval().encoder(chips)[-1].shape[1:]) for network in (plain, dilated)]
        assert read == [(128, 8, 12), (512, 8, 12)]
        assert dilated(chips).shape == (1, 2, 64, 96)


def test_fcn_has_three_versions():
    with pytest.raises(ModelError, match="skips=4; expected one of 32, 16, 8"):
        create_model("fcn", in_channels=3, classes=2, skips=4)


def test_hrnet_is_built_over_hrnets():
    with pytest.raises(UnknownNameError, match="hrnet_w18"):
        create_model("hrnet", encoder="hrnet_w17", in_channels=3, classes=2)
