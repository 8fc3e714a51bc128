"""Models by a STAC item with the Machine Learning Model extension: the item names the file and its checksum.

https://github.com/stac-extensions/mlm
"""

from __future__ import annotations

import json
import re
import shutil
import urllib.parse
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from geoseg.errors import ModelError
from geoseg.models.hub.cache import folder, key_of, replace_text, sha256_of, unwritable
from geoseg.models.hub.fetching import fetch, name_of
from geoseg.models.hub.licences import licence_of
from geoseg.models.hub.offers import Obtained, Offer, Report, carries_card
from geoseg.models.hub.references import Reference

_ROLE = "mlm:model"
_SHA256 = re.compile(r"1220([0-9a-f]{64})")  # a multihash: SHA-256, 32 bytes


def offer(reference: Reference, sha256: str | None) -> Offer:
    """What an item offers; an item on the web is downloaded. Raises ModelError when it describes no model."""
    place = reference.rest if reference.scheme == "mlm" else reference.text
    item = _read(place)
    properties = item.get("properties")
    if item.get("type") != "Feature" or not isinstance(properties, dict) or not isinstance(item.get("assets"), dict):
        raise ModelError(f"{place}: found no STAC item; expected one with the extension for models (mlm)")
    asset = _model_asset(place, item["assets"])
    recorded = _SHA256.fullmatch(str(asset.get("file:checksum", "")))
    expected = sha256 or reference.sha256 or (recorded[1] if recorded else None)
    return Offer(
        reference=reference.text,
        name=re.sub(r"[^a-z0-9._-]+", "-", str(item.get("id", "model")).lower()).strip("-._") or "model",
        origin=place,
        licence=licence_of(properties.get("license")),
        obtain=partial(_obtain, place, item, asset, expected),
    )


def _read(place: str) -> dict[str, Any]:
    path = fetch(place) if _on_web(place) else Path(place)
    try:
        item = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{place}: found no readable STAC item ({error}); expected a JSON file") from error
    if not isinstance(item, dict):
        raise ModelError(f"{place}: found JSON that is no object; expected a STAC item")
    return item


def _model_asset(place: str, assets: Mapping[str, Any]) -> dict[str, Any]:
    """The asset with the model: the one with the role mlm:model."""
    listed = {name: asset for name, asset in assets.items() if isinstance(asset, dict) and "href" in asset}
    models = [asset for asset in listed.values() if _ROLE in (asset.get("roles") or ())]
    if len(models) != 1:
        raise ModelError(
            f"{place}: found {len(models)} assets with the role {_ROLE!r} ({', '.join(listed) or 'no assets'}); "
            "expected one"
        )
    return models[0]


def _obtain(
    place: str, item: Mapping[str, Any], asset: Mapping[str, Any], sha256: str | None, report: Report | None
) -> Obtained:
    """The model's file; beside it the item, which tells what its card needs, when the file is not geoseg's own."""
    address = _address(place, str(asset["href"]))
    path = fetch(address, sha256=sha256, progress=report) if _on_web(address) else Path(address)
    checksum = _checked(path, sha256)
    if carries_card(path):
        return Obtained(path, path, checksum)
    there = Path(place) if not _on_web(place) and not _on_web(address) else _beside(place, item, path)
    return Obtained(there, path, checksum)


def _address(place: str, href: str) -> str:
    """Where the asset is: its own address, or one relative to the item's."""
    if _on_web(href):
        return href
    if _on_web(place):
        return urllib.parse.urljoin(place, href)
    if href.startswith("file://"):
        return urllib.parse.unquote(urllib.parse.urlsplit(href).path)
    return str(Path(place).parent / href)


def _checked(path: Path, expected: str | None) -> str:
    try:
        found = sha256_of(path)
    except OSError as error:
        raise ModelError(
            f"{path}: cannot be read ({error.strerror or error}); the item names it as its model"
        ) from error
    if expected is not None and not found.startswith(expected):
        raise ModelError(f"{path}: found the checksum {found}, expected {expected}, as the item says")
    return found


def _beside(place: str, item: Mapping[str, Any], path: Path) -> Path:
    """The item again, in the cache with its model beside it under a relative address."""
    here = folder() / "items" / key_of(place)
    model = here / name_of(path.as_uri())
    try:
        here.mkdir(parents=True, exist_ok=True)
        temporary = model.with_name(f".{model.name}.part")
        shutil.copyfile(path, temporary)
        temporary.replace(model)
    except OSError as error:
        raise unwritable(model, error) from error
    assets = {
        name: {**asset, "href": f"./{model.name}"} if _ROLE in (asset.get("roles") or ()) else asset
        for name, asset in item["assets"].items()
        if isinstance(asset, dict)
    }
    replace_text(here / "item.json", json.dumps({**item, "assets": assets}))
    return here / "item.json"


def _on_web(address: str) -> bool:
    return address.startswith(("https://", "http://"))
