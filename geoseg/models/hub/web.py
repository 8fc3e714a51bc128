"""Models by their web address."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Callable
from functools import partial
from pathlib import PurePosixPath

from geoseg.errors import ModelError
from geoseg.models.digest import sha256_of
from geoseg.models.hub.fetching import fetch, forget, name_of
from geoseg.models.hub.offers import Obtained, Offer, Report
from geoseg.models.hub.references import Reference
from geoseg.models.hub.transfer import shown
from geoseg.models.packaged import ITEMS

_SAFE = ".safetensors"
_PAGE = re.compile(r"https://(?:huggingface\.co|hf\.co)/([\w.-]+/[\w.-]+)/?")


def is_item(url: str) -> bool:
    """Whether the address is that of a STAC item, by its ending."""
    return urllib.parse.urlsplit(url).path.lower().endswith(ITEMS)


def offer(reference: Reference) -> Offer:
    """What a web address offers. Its licence is what the file itself says.

    Raises ModelError for a file that is no safetensors and has no checksum.
    """
    page = _PAGE.fullmatch(shown(reference.text))
    if page:
        raise ModelError(f"{reference.text}: found the page of a repository; expected  hf:{page[1]}")
    expected = reference.sha256
    name = PurePosixPath(name_of(reference.text))
    if expected is None and name.suffix.lower() != _SAFE:
        raise ModelError(
            f"{shown(reference.text)}: found an address without a checksum; expected --sha256 (or #sha256=...) for "
            f"everything but {_SAFE}, which cannot run code: ask the publisher for it"
        )
    return Offer(
        reference=reference.text,
        name=name.stem,
        origin=shown(reference.text),
        licence=None,
        obtain=partial(_obtain, reference.text, expected),
    )


def _obtain(url: str, sha256: str | None, report: Report | None) -> Obtained:
    path = fetch(url, sha256=sha256, progress=report)
    drop: Callable[[], None] | None = partial(forget, url) if sha256 is None else None
    return Obtained(path, path, sha256_of(path), {"source": shown(url)}, drop)
