"""Models by a STAC item with the Machine Learning Model extension: the item names the file and its checksum.

https://github.com/stac-extensions/mlm
"""

from __future__ import annotations

import json
import re
import shutil
import urllib.parse
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from geoseg.errors import ModelError
from geoseg.models.digest import sha256_of
from geoseg.models.hub.cache import folder, key_of, replace_text, unwritable
from geoseg.models.hub.checksums import Checksum, multihash
from geoseg.models.hub.fetching import fetch, forget, name_of
from geoseg.models.hub.licences import Licence, licence_of, together
from geoseg.models.hub.offers import Obtained, Offer, Report, carries_card
from geoseg.models.hub.references import Reference
from geoseg.models.hub.stac import ROLE, check_item, model_asset
from geoseg.models.placing import put, scratch

_CARD = "geoseg:card"


def offer(reference: Reference) -> Offer:
    """What an item offers; an item on the web is downloaded. Raises ModelError when it describes no model."""
    place = _place(reference)
    item = _read(place)
    asset = model_asset(place, item["assets"])
    recorded = multihash(asset.get("file:checksum"), place)
    return Offer(
        reference=reference.text,
        name=re.sub(r"[^a-z0-9._-]+", "-", str(item.get("id", "model")).lower()).strip("-._") or "model",
        origin=place,
        licence=_licence(item["properties"]),
        obtain=partial(_obtain, place, item, reference.sha256, recorded),
    )


def state_of(reference: Reference) -> str:
    """What an item on this machine and the model that it names are now: a text that changes when one of them does.

    Raises ModelError when one cannot be read.
    """
    place = _place(reference)
    item = _read(place)
    address = _address(place, str(model_asset(place, item["assets"])["href"]))
    weights = "" if _on_web(address) else _sum_of(Path(address), place)
    return key_of(f"{json.dumps(item, sort_keys=True)}\n{weights}")


def _place(reference: Reference) -> str:
    return reference.rest if reference.scheme == "mlm" else reference.text


def _licence(properties: Mapping[str, Any]) -> Licence:
    """The licence that the item says, and its card where that says a stricter one."""
    card = properties.get(_CARD)
    said = licence_of(properties.get("license"))
    return together(said, licence_of(card.get("license"))) if isinstance(card, Mapping) else said


def _read(place: str) -> dict[str, Any]:
    """The item. One on the web that is none is forgotten: nothing vouched for it. Raises ModelError."""
    path = fetch(place) if _on_web(place) else Path(place)
    try:
        try:
            return check_item(json.loads(path.read_text(encoding="utf-8-sig")), place)
        except (OSError, ValueError, RecursionError) as error:
            raise ModelError(f"{place}: found no readable STAC item ({error}); expected a JSON file") from error
    except ModelError:
        if _on_web(place):
            forget(place)
        raise


def _obtain(
    place: str, item: Mapping[str, Any], pin: str | None, recorded: Checksum | None, report: Report | None
) -> Obtained:
    """The model's file; beside it the item, which tells what its card needs, when the file is not geoseg's own."""
    address = _address(place, str(model_asset(place, dict(item["assets"]))["href"]))
    drop = partial(_drop, place, None if pin or recorded else address)
    if _on_web(address):
        sha256 = pin or (recorded.digits if recorded is not None and recorded.function == "sha256" else None)
        path = fetch(address, sha256=sha256, progress=report)
    else:
        path = Path(address)
    checksum = _checked(place, path, pin, recorded, partial(forget, address))
    if carries_card(path):
        return Obtained(path, path, checksum, drop=drop)
    there = Path(place) if not _on_web(place) and not _on_web(address) else _beside(place, item, path)
    return Obtained(there, path, checksum, drop=drop)


def _drop(place: str, address: str | None) -> None:
    for url in (place, address or ""):
        if _on_web(url):
            forget(url)


def _address(place: str, href: str) -> str:
    """Where the asset is: its own address, or one relative to the item's."""
    if _on_web(href):
        return href
    if _on_web(place):
        return urllib.parse.urljoin(place, href)
    if href.startswith("file://"):
        return urllib.parse.unquote(urllib.parse.urlsplit(href).path)
    return str(Path(place).parent / href)


def _checked(place: str, path: Path, pin: str | None, recorded: Checksum | None, drop: Callable[[], None]) -> str:
    """The SHA-256 of the model's file, once it is what the user and the item say. Raises ModelError."""
    found = _sum_of(path, place)
    if pin is not None and found != pin:
        raise ModelError(f"{path}: found the checksum {found}, expected {pin}; fetch the file again, or check that")
    try:
        if recorded is not None:
            recorded.check(path, place)
    except ModelError:
        drop()
        raise
    return found


def _sum_of(path: Path, place: str) -> str:
    try:
        return sha256_of(path)
    except ModelError as error:
        raise ModelError(f"{error}; {place} names it as its model") from error


def _beside(place: str, item: Mapping[str, Any], path: Path) -> Path:
    """The item again, in the cache with its model beside it under a relative address."""
    model = folder() / "items" / key_of(place) / name_of(path.as_uri())
    try:
        model.parent.mkdir(parents=True, exist_ok=True)
        with scratch(model) as making:
            shutil.copyfile(path, making / model.name)
            put([(making / model.name, model)])
    except OSError as error:
        raise unwritable(model, error) from error
    assets = {
        name: {**asset, "href": f"./{model.name}"} if ROLE in (asset.get("roles") or ()) else asset
        for name, asset in item["assets"].items()
    }
    replace_text(model.with_name("item.json"), json.dumps({**item, "assets": assets}))
    return model.with_name("item.json")


def _on_web(address: str) -> bool:
    return address.startswith(("https://", "http://"))
