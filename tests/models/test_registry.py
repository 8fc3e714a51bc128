"""Architectures by name."""

import pytest

from geoseg.errors import ModelError, UnknownNameError
from geoseg.models import architectures, create_model, register


def test_every_architecture_is_described():
    for name, found in architectures().items():
        assert found.name == name
        assert found.description
        assert found.paper or name == "pixel-linear"


def test_a_taken_name_cannot_be_registered():
    with pytest.raises(ModelError, match="'unet' is taken"):
        register("unet", kind="semantic", paper="")(lambda **_: None)


def test_the_registry_cannot_be_changed_from_outside():
    with pytest.raises(TypeError):
        architectures()["mine"] = None


@pytest.mark.parametrize(
    ("name", "options", "error", "said"),
    [
        ("unetplus", {}, UnknownNameError, "unetplusplus"),
        ("unet", {"encoder": "resnt34"}, UnknownNameError, "resnet34"),
        ("unet", {"encoder": "tu-convnext_tny"}, UnknownNameError, "tu-convnext_tiny"),
        ("unet", {"encoder": "tu-local-dir:/tmp"}, UnknownNameError, "unknown encoder"),
        ("unet", {"decoder_chanels": (8,)}, ModelError, "did you mean decoder_channels"),
        ("unet", {"things": 2}, ModelError, "found things=2, but this architecture is semantic"),
        ("unet", {"decoder_attention_type": "loud"}, ModelError, "cannot be built"),
        ("unet", {"in_channels": 0}, ModelError, "in_channels=0"),
        ("unet", {"in_channels": 5000}, ModelError, "1 to 4096"),
        ("unet", {"classes": True}, ModelError, "classes=True"),
        ("unet", {"classes": 2.0}, ModelError, "classes=2.0"),
        ("fpn", {"decoder_pyramid_channels": float("nan")}, ModelError, "decoder_pyramid_channels"),
        ("linknet", {"encoder": "mit_b0"}, ModelError, "not supported"),
        ("pixel-linear", {"encoder": "resnet18"}, ModelError, "leave it out"),
    ],
)
def test_wrong_requests_are_explained(name, options, error, said):
    with pytest.raises(error) as caught:
        create_model(name, **{"in_channels": 3, "classes": 2, **options})
    assert said in str(caught.value)
