"""Checksums as people and STAC items write them."""

import hashlib

import pytest

from geoseg.errors import ModelError
from geoseg.models.hub.checksums import multihash, sha256_digits

DIGITS = hashlib.sha256(b"town").hexdigest()


@pytest.mark.parametrize("text", [DIGITS, DIGITS.upper(), f"sha256:{DIGITS}", f" SHA256:{DIGITS}\n"])
def test_the_digits_of_a_checksum_are_read(text):
    assert sha256_digits(text, "here") == DIGITS


@pytest.mark.parametrize("text", ["", DIGITS[:8], DIGITS + "0", f"sha512:{DIGITS}", "²" * 64])
def test_what_is_no_checksum_is_told(text):
    with pytest.raises(ModelError, match=r"here: found the checksum .* expected the 64 hexadecimal digits"):
        sha256_digits(text, "here")


@pytest.mark.parametrize(("code", "function"), [("1220", "sha256"), ("1340", "sha512")])
def test_a_multihash_tells_its_function(tmp_path, code, function):
    file = tmp_path / "town.bin"
    file.write_bytes(b"town")
    found = multihash(code + hashlib.new(function, b"town").hexdigest().upper(), "item.json")
    assert found.function == function
    found.check(file, "item.json")
    file.write_bytes(b"Town")
    with pytest.raises(ModelError, match=r"as the item says \(item\.json\)"):
        found.check(file, "item.json")
    with pytest.raises(ModelError, match=r"item\.json names it as its model"):
        found.check(tmp_path / "nothing", "item.json")


def test_nothing_recorded_is_no_multihash():
    assert multihash(None, "item.json") is None


@pytest.mark.parametrize("odd", [5, "", "1220", "1220" + "g" * 64, "1340" + "0" * 64, "1114" + "0" * 40, ["x"]])
def test_a_multihash_that_cannot_be_read_is_refused(odd):
    with pytest.raises(ModelError, match="expected a multihash"):
        multihash(odd, "item.json")
