"""What stands for a model that is somewhere else."""

from pathlib import Path

import pytest

from geoseg.errors import ModelError, UnknownNameError
from geoseg.models.hub.references import parse


@pytest.mark.parametrize(
    "text",
    [
        "buildings",
        "town.safetensors",
        "a/b:c",
        r"C:\models\town.pt",
        "C:/x.pt",
        r"C:\x",
        "C:x",
        r"d:\item.json",
        "",
        "a\0b",
    ],
)
def test_words_and_paths_are_no_references(text):
    assert parse(text) is None


@pytest.mark.parametrize(
    ("text", "scheme", "rest", "sha256"),
    [
        ("https://host/a.safetensors", "https", "//host/a.safetensors", None),
        ("HTTPS://host/a.pth#sha256=" + "AB" * 32, "https", "//host/a.pth", "ab" * 32),
        ("https://host/a.pth?x=1#other", "https", "//host/a.pth?x=1#other", None),
        ("hf:owner/repo@main:a.pth", "hf", "owner/repo@main:a.pth", None),
        ("hf://owner/repo", "hf", "owner/repo", None),
        ("torchgeo:Unet_Weights.X", "torchgeo", "Unet_Weights.X", None),
        ("mlm:https://host/item.json", "mlm", "https://host/item.json", None),
        ("mlm:item.json", "mlm", str(Path("item.json").absolute()), None),
    ],
)
def test_references_are_read(text, scheme, rest, sha256):
    found = parse(text)
    assert (found.scheme, found.rest, found.sha256) == (scheme, rest, sha256)
    assert parse(found.text) == type(found)(scheme, rest)


@pytest.mark.parametrize(
    "carried", ["sha256=zz12", "sha256=" + "a" * 63 + "g", "sha256=", "SHA256=12345678", "sha256", "sha512=ab", "md5=0"]
)
def test_a_checksum_that_is_none_is_refused(carried):
    with pytest.raises(ModelError, match="expected #sha256= and 64 hexadecimal digits"):
        parse(f"https://host/a.onnx#{carried}")


def test_only_items_on_this_machine_are_local():
    assert parse("mlm:item.json").local
    assert not parse("mlm:https://host/item.json").local
    assert not parse("hf:a/b").local


@pytest.mark.parametrize(("text", "near"), [("hff:a/b", "hf:"), ("torch-geo:X", "torchgeo:"), ("htps://h", "https:")])
def test_an_unknown_kind_lists_the_near_ones(text, near):
    with pytest.raises(UnknownNameError, match=f"did you mean .*{near}"):
        parse(text)


@pytest.mark.parametrize("text", ["hf:", "https://", "mlm:", "torchgeo://"])
def test_nothing_behind_the_colon_is_told(text):
    with pytest.raises(ModelError, match="found nothing behind"):
        parse(text)
