"""What licences are called, and which of them want consent."""

import pytest

from geoseg.errors import ModelError
from geoseg.models.hub.licences import licence_of, require, together


@pytest.mark.parametrize(
    ("text", "identifier"),
    [
        ("mit", "MIT"),
        ("MIT License", "MIT"),
        ("apache-2.0", "Apache-2.0"),
        ("Apache License 2.0", "Apache-2.0"),
        ("bsd-3-clause", "BSD-3-Clause"),
        ("BSD-3-Clause-Clear", "BSD-3-Clause-Clear"),
        ("isc", "ISC"),
        ("cc0-1.0", "CC0-1.0"),
        ("CC-BY-4.0", "CC-BY-4.0"),
        ("CC BY 3.0", "CC-BY-3.0"),
        ("cc by", "CC-BY-4.0"),
        ("Creative Commons Attribution 4.0 International", "CC-BY-4.0"),
        ("Creative Commons Attribution 4.0 International Public License", "CC-BY-4.0"),
        ("CC-BY-3.0-AT", "CC-BY-3.0"),
        ("unlicense", "Unlicense"),
        ("MIT OR GPL-3.0", "MIT OR GPL-3.0"),
        ("MIT AND Apache 2.0", "MIT AND Apache-2.0"),
        (["mit", "apache-2.0"], "MIT AND Apache-2.0"),
    ],
)
def test_licences_that_ask_for_credit_at_most_go_through(text, identifier):
    found = licence_of(text)
    assert (found.identifier, found.permissive, found.terms) == (identifier, True, "permissive")
    require("hf:a/b", found, False, "page")


@pytest.mark.parametrize(
    ("text", "identifier", "terms"),
    [
        ("cc-by-nc-4.0", "CC-BY-NC-4.0", "non-commercial"),
        ("CC BY-NC-SA 4.0", "CC-BY-NC-SA-4.0", "non-commercial"),
        ("Creative Commons Attribution-NonCommercial 4.0", "CC-BY-NC-4.0", "non-commercial"),
        ("non-commercial", "non-commercial", "non-commercial"),
        ("cc-by-sa-4.0", "CC-BY-SA-4.0", "with conditions"),
        ("cc-by-nd-4.0", "CC-BY-ND-4.0", "with conditions"),
        ("agpl-3.0", "AGPL-3.0", "with conditions"),
        ("odbl", "ODbL-1.0", "with conditions"),
        ("openrail", "openrail", "with conditions"),
        ("MITRE", "MITRE", "with conditions"),
        ("not MIT", "not MIT", "with conditions"),
        ("CC BY 4.0 (non-commercial)", "CC BY 4.0 (non-commercial)", "non-commercial"),
        ("CC-BY-4.0-NC", "CC-BY-4.0-NC", "non-commercial"),
        ("CC-BY-4.0 non commercial", "CC-BY-4.0 non commercial", "non-commercial"),
        ("cc-by-4.0 with restrictions", "cc-by-4.0 with restrictions", "with conditions"),
        ("BSD-3-Clause,non-commercial", "BSD-3-Clause,non-commercial", "non-commercial"),
        ("BSD-3-Clause-No-Nuclear-License", "BSD-3-Clause-No-Nuclear-License", "with conditions"),
        ("MIT, research use only", "MIT, research use only", "with conditions"),
        (5, "5", "with conditions"),
        ({"name": "MIT"}, "{'name': 'MIT'}", "with conditions"),
        ([None], "unknown", "not stated"),
        ("MIT AND CC-BY-NC-4.0", "MIT AND CC-BY-NC-4.0", "non-commercial"),
        (["mit", "other"], "MIT AND unknown", "with conditions"),
        ("other", "unknown", "not stated"),
        ("", "unknown", "not stated"),
        (None, "unknown", "not stated"),
    ],
)
def test_all_others_want_consent(text, identifier, terms):
    found = licence_of(text)
    assert (found.identifier, found.permissive, found.terms) == (identifier, False, terms)
    with pytest.raises(ModelError, match="geoseg models pull hf:a/b --accept-license"):
        require("hf:a/b", found, False, "page")


def test_international_and_non_commercial_is_no_free_licence():
    text = "Creative Commons Attribution 4.0 International, non-commercial use only"
    found = licence_of(text)
    assert (found.text, found.permissive, found.terms) == (text, False, "non-commercial")


def test_what_stands_far_behind_counts_too():
    assert not licence_of(["MIT"] * 40 + ["CC-BY-NC-4.0"]).permissive


@pytest.mark.parametrize(
    ("offered", "carried", "expected"),
    [
        ("mit", "CC0-1.0", "MIT"),
        ("mit", "unknown", "MIT"),
        ("mit", "CC-BY-NC-4.0", "CC-BY-NC-4.0"),
        ("agpl-3.0", "MIT", "AGPL-3.0"),
        ("agpl-3.0", "CC-BY-NC-4.0", "AGPL-3.0 AND CC-BY-NC-4.0"),
        (None, "MIT", "unknown"),
    ],
)
def test_of_two_licences_the_stricter_counts(offered, carried, expected):
    assert together(licence_of(offered), licence_of(carried)).identifier == expected


def test_consent_is_kept_for_that_licence_of_that_model():
    found = licence_of("CC-BY-NC-4.0")
    require("hf:a/b", found, True, "page")
    require("hf:a/b", found, False, "page")
    for reference, licence in (("hf:a/c", found), ("hf:a/b", licence_of("AGPL-3.0"))):
        with pytest.raises(ModelError, match="expected your consent"):
            require(reference, licence, False, "page")


def test_a_command_is_quoted_where_a_shell_needs_it():
    with pytest.raises(ModelError, match=r"pull 'https://host/a\?b=c&d' --accept"):
        require("https://host/a?b=c&d", licence_of(None), False, "page")
