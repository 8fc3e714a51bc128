"""Licences of weights: what they are called, and which of them want the user's consent first."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import Any

from geoseg.errors import ModelError
from geoseg.models.hub.cache import read_record, write_record

_PERMISSIVE = re.compile(
    r"MIT(-0)?|0BSD|BSD-2-Clause(-Patent|-Views)?|BSD-3-Clause(-Clear|-LBNL|-Attribution|-Modification|-Open-MPI)?|"
    r"BSD-4-Clause(-UC|-Shortened)?|BSD-Source-Code|Apache-2\.0|ISC|CC0-1\.0|CC-BY-\d\.\d|Unlicense|Zlib|BSL-1\.0|WTFPL|PostgreSQL|"
    r"PDDL-1\.0|ODC-By-1\.0|CDLA-Permissive-[12]\.0|AFL-3\.0|ECL-2\.0|NCSA|Python-2\.0|etalab-2\.0|DL-DE-BY-2\.0",
    re.IGNORECASE,
)
_SPELLED = {
    "mit": "MIT", "mit license": "MIT", "the mit license": "MIT",
    "apache": "Apache-2.0", "apache 2": "Apache-2.0", "apache 2.0": "Apache-2.0", "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0", "apache software license": "Apache-2.0",
    "bsd": "BSD-3-Clause", "bsd 3 clause": "BSD-3-Clause", "bsd 2 clause": "BSD-2-Clause", "new bsd": "BSD-3-Clause",
    "isc": "ISC", "cc0": "CC0-1.0", "cc0 1.0": "CC0-1.0", "public domain": "CC0-1.0", "unlicense": "Unlicense",
    "the unlicense": "Unlicense", "bsl 1.0": "BSL-1.0", "wtfpl": "WTFPL", "pddl": "PDDL-1.0", "zlib": "Zlib",
    "odc by": "ODC-By-1.0", "cdla permissive 1.0": "CDLA-Permissive-1.0", "cdla permissive 2.0": "CDLA-Permissive-2.0",
    "etalab 2.0": "etalab-2.0", "afl 3.0": "AFL-3.0", "ecl 2.0": "ECL-2.0", "ncsa": "NCSA", "0bsd": "0BSD",
    "postgresql": "PostgreSQL",
    "gpl 2.0": "GPL-2.0", "gpl 3.0": "GPL-3.0", "agpl 3.0": "AGPL-3.0", "agpl 3": "AGPL-3.0", "lgpl 3.0": "LGPL-3.0",
    "odbl": "ODbL-1.0", "odbl 1.0": "ODbL-1.0", "non commercial": "non-commercial", "noncommercial": "non-commercial",
}  # fmt: skip
_BOUND = re.compile(r"(?<![a-z])(nc|non.?commercial|restrict|research|academic|evaluation)", re.IGNORECASE)
_CREATIVE_COMMONS = re.compile(
    r"(?:cc|creative commons) (?:by|attribution)((?: (?:nc|nd|sa))*)(?: (\d\.\d))?"
    r"(?: (?:international|unported|generic|igo|public|licen[cs]e|deed|at|au|de|nl|us|uk))*"
)
_PARTS = {"noncommercial": "nc", "non commercial": "nc", "sharealike": "sa", "share alike": "sa", "noderivatives": "nd"}
_NO_COMMERCE = re.compile(r"\b(nc|non.?commercial)\b", re.IGNORECASE)
_NO_NAME = frozenset({"", "other", "unknown", "none", "null", "noassertion", "proprietary", "cc"})
UNKNOWN = "unknown"
_LONGEST = 200  # letters of a licence that are shown


@dataclass(frozen=True, slots=True)
class Licence:
    """A licence: its SPDX identifier where it has one, `text` as it was found, and whether anybody may do anything.

    `permissive` licences ask for credit at most. All others (non-commercial, share-alike, copyleft, unknown) bind what
    may be done with the weights or with what is made from them, so that the user has to know them.
    """

    identifier: str
    text: str
    permissive: bool

    @property
    def terms(self) -> str:
        """What kind of licence it is, in words."""
        if self.permissive:
            return "permissive"
        if self.identifier == UNKNOWN:
            return "not stated"
        return "non-commercial" if _NO_COMMERCE.search(self.identifier) else "with conditions"


def licence_of(text: Any) -> Licence:
    """The licence that a hub's text stands for; a list stands for several that hold together."""
    listed = text if isinstance(text, (list, tuple)) else [text]
    found = " AND ".join("" if part is None else str(part).strip() for part in listed)
    identifier = " AND ".join(_alternatives(part) for part in re.split(r"\s+AND\s+", found))
    free = all(_free(part) for part in identifier.split(" AND "))
    return Licence(identifier[:_LONGEST], found[:_LONGEST] or UNKNOWN, free)


def together(offered: Licence, carried: Licence) -> Licence:
    """The licence of weights for which a hub and the file itself name one each: the stricter, or both.

    A file that names none is what the hub says.
    """
    if carried.identifier in (UNKNOWN, offered.identifier) or carried.permissive:
        return offered
    return carried if offered.permissive else licence_of([offered.text, carried.text])


def require(reference: str, licence: Licence, accept: bool, origin: str) -> None:
    """Raise ModelError unless `licence` is permissive, accepted now, or was accepted for `reference` before.

    Consent is kept in the cache, with the name of what was consented to.
    """
    if licence.permissive or accepted(reference, licence):
        return
    if not accept:
        raise ModelError(
            f"{reference}: found the licence {licence.text!r} ({licence.terms}), which binds what may be done with the "
            f"model; expected your consent: read its terms ({origin}), then run  {accepting(reference)}"
        )
    write_record("accepted", _about(reference, licence), {"reference": reference, "licence": licence.text})


def accepted(reference: str, licence: Licence) -> bool:
    """Whether the user has consented to that licence of that model."""
    return read_record("accepted", _about(reference, licence)) is not None


def accepting(reference: str) -> str:
    """The command that consents."""
    return f"geoseg models pull {shlex.quote(reference)} --accept-license"


def _about(reference: str, licence: Licence) -> str:
    return f"{reference}\n{licence.text}"


def _alternatives(text: str) -> str:
    """One side of an AND: a name, or names of which one may be chosen."""
    inner = text.strip() if "(" in text.strip("( ") else text.strip("() ")
    return " OR ".join(_identifier(name) for name in re.split(r"\s+OR\s+", inner))


def _free(names: str) -> bool:
    return any(_PERMISSIVE.fullmatch(name) and not _BOUND.search(name) for name in names.split(" OR "))


def _identifier(name: str) -> str:
    """The SPDX identifier of one licence, "unknown" where the text names none, else the text itself."""
    plain = re.sub(r"[\s_-]+", " ", name.lower()).strip()
    if plain in _NO_NAME:
        return UNKNOWN
    for spelled, short in _PARTS.items():
        plain = plain.replace(spelled, short)
    if plain in _SPELLED:
        return _SPELLED[plain]
    commons = _CREATIVE_COMMONS.fullmatch(plain)
    if commons:
        return "-".join(["CC-BY", *commons[1].upper().split(), commons[2] or "4.0"])
    return name.strip()
