"""Which tensor of a file is which of an encoder."""

import pytest

from geoseg.errors import ModelError
from geoseg.models.pretrained.matching import matched

ENCODER = {
    "model.conv1.weight": (8, 4, 3, 3),
    "model.bn1.weight": (8,),
    "model.bn1.num_batches_tracked": (),
    "model.layers_0.proj.weight": (16, 8),
    "model.layers_0.proj.bias": (16,),
}
FIRST = "model.conv1.weight"
FILE = {
    "conv1.weight": (8, 3, 3, 3),
    "bn1.weight": (8,),
    "layers.0.proj.weight": (16, 8),
    "layers.0.proj.bias": (16,),
    "head.weight": (1000, 16),
}


@pytest.mark.parametrize("prefix", ["", "module.", "backbone.body.", "encoder.model."])
def test_names_are_compared_without_what_is_put_before_all_of_them(prefix):
    names = matched(ENCODER, {f"{prefix}{name}": shape for name, shape in FILE.items()}, FIRST, "x.pth")
    assert names == {
        "model.conv1.weight": f"{prefix}conv1.weight",
        "model.bn1.weight": f"{prefix}bn1.weight",
        "model.layers_0.proj.weight": f"{prefix}layers.0.proj.weight",
        "model.layers_0.proj.bias": f"{prefix}layers.0.proj.bias",
    }


def test_other_names_count_in_their_order():
    renamed = dict(zip(["a", "b", "c", "d", "e"], FILE.values(), strict=True))
    assert list(matched(ENCODER, renamed, FIRST, "x.pth").values()) == ["a", "b", "c", "d"]


def test_a_file_that_sorts_its_tensors_has_no_order_to_go_by():
    renamed = dict(zip(["a", "b", "c", "d", "e"], FILE.values(), strict=True))
    with pytest.raises(ModelError, match="neither by name nor by order"):
        matched(ENCODER, renamed, FIRST, "x.safetensors", ordered=False)


def test_a_counter_of_batches_may_stand_anywhere():
    renamed = {"a": (8, 3, 3, 3), "b": (8,), "n.num_batches_tracked": (), "c": (16, 8), "d": (16,)}
    assert list(matched(ENCODER, renamed, FIRST, "x.pth").values()) == ["a", "b", "c", "d"]


def test_a_tensor_that_is_missing_is_an_error_that_names_the_first_difference():
    missing = {name: shape for name, shape in FILE.items() if name != "bn1.weight"}
    with pytest.raises(ModelError, match=r"x\.pth: found 4 tensors.*encoder's 4.*bn1\.weight \[8\] in the encoder"):
        matched(ENCODER, missing, FIRST, "x.pth")


def test_a_file_that_ends_too_early_is_an_error():
    with pytest.raises(ModelError, match="the file ends before the encoder"):
        matched(ENCODER, {"a": (8, 3, 3, 3), "b": (8,)}, FIRST, "x.pth")


def test_a_tensor_of_another_shape_is_named_with_both_shapes():
    other = {**FILE, "layers.0.proj.weight": (32, 8)}
    with pytest.raises(ModelError, match=r"layers\.0\.proj\.weight: found \[32, 8\], expected \[16, 8\]"):
        matched(ENCODER, other, FIRST, "x.pth")


def test_a_resnet_of_transformers_has_the_usual_names():
    theirs = {
        "embedder.embedder.convolution.weight": (8, 3, 7, 7),
        "embedder.embedder.normalization.weight": (8,),
        "encoder.stages.1.layers.0.shortcut.convolution.weight": (16, 8, 1, 1),
        "encoder.stages.1.layers.0.shortcut.normalization.bias": (16,),
        "encoder.stages.1.layers.0.layer.1.convolution.weight": (16, 16, 3, 3),
        "encoder.stages.1.layers.0.layer.1.normalization.bias": (16,),
    }
    usual = ["conv1.weight", "bn1.weight", "layer2.0.downsample.0.weight", "layer2.0.downsample.1.bias"]
    usual += ["layer2.0.conv2.weight", "layer2.0.bn2.bias"]
    shuffled = dict(sorted(zip(usual, theirs.values(), strict=True)))
    assert list(matched(theirs, shuffled, next(iter(theirs)), "x").values()) == usual
