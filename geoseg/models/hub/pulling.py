"""Models that are somewhere else, made geoseg models in the cache; a model that was pulled needs no network again."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geoseg.core.card import ModelCard
from geoseg.errors import GeosegError, ModelError, OutputError, WriteError
from geoseg.models.header import read_card
from geoseg.models.hub import cache
from geoseg.models.hub.checksums import sha256_digits
from geoseg.models.hub.fetching import locked
from geoseg.models.hub.licences import Licence, accepting, licence_of, require
from geoseg.models.hub.making import checksum, copy_model, files, make
from geoseg.models.hub.offers import Obtained, Offer, Report
from geoseg.models.hub.references import SCHEMES, Reference, parse
from geoseg.models.packaged import ITEMS, brought, names
from geoseg.models.placing import put, scratch

if TYPE_CHECKING:
    from geoseg.models.importing import Hints

_KIND = "pulled"


@dataclass(frozen=True, slots=True)
class Pulled:
    """A model that was pulled: its file in the cache, its card, and where it came from.

    `sha256` is the checksum of the weights as they were downloaded.
    """

    reference: str
    path: Path
    card: ModelCard
    licence: Licence
    sha256: str
    origin: str


@dataclass(frozen=True, slots=True)
class _Record:
    """What the cache keeps of a pulled model; `file` is relative to the cache's folder.

    `made` is the checksum of that file and its parts, `state` what an item on this machine was when it was read.
    """

    reference: str
    file: str
    sha256: str
    licence: str
    origin: str
    made: str
    state: str


def pull(
    reference: str,
    *,
    accept_license: bool = False,
    sha256: str | None = None,
    progress: Report | None = None,
    hints: Hints | None = None,
) -> Pulled:
    """The model that `reference` names, downloaded and made a geoseg model where it is not in the cache yet.

    `sha256` is the expected checksum of the weights (of several files, that of all, as `Pulled` has it); `hints` are
    facts for the card that the source does not say.
    Raises ModelError: no such model, a licence that needs `accept_license`, another checksum, or a file that is no
    model; UnknownNameError for a name that is none; MissingExtraError, ResourceError and WriteError.
    """
    found = _parsed(reference)
    if sha256 is not None:
        found = _pinned(found, sha256_digits(sha256, found.text))
    kept = _current(found) if hints is None else None
    if kept is not None:
        return kept
    if cache.offline() and not found.local:
        raise _offline(found)
    with locked("pull", found.text):
        kept = _current(found) if hints is None else None
        return kept or _pull(found, look_up(_remembered(found)), accept_license, progress, hints)


def _pinned(reference: Reference, sha256: str) -> Reference:
    """The reference with the checksum. Raises ModelError when it carries another one."""
    if reference.sha256 not in (None, sha256):
        raise ModelError(
            f"{reference.text}: found the checksum {reference.sha256} in the reference and {sha256} beside it; "
            "expected one: leave the wrong one out"
        )
    return replace(reference, sha256=sha256)


def _remembered(reference: Reference) -> Reference:
    """The reference with the checksum of what was pulled for that address before, where it carries none itself."""
    from geoseg.models.hub import web

    record = _recorded(reference.text)
    if record is None or reference.sha256 or not reference.scheme.startswith("http") or web.is_item(reference.text):
        return reference
    return replace(reference, sha256=record.sha256)


def _parsed(text: str) -> Reference:
    """The reference that `text` is; a path of a STAC item stands for it. Raises ModelError for any other word."""
    reference = parse(text)
    if reference is not None:
        return reference
    if text.lower().endswith(ITEMS):
        return parse(f"mlm:{text}") or Reference("mlm", text)
    if text in names() or text in brought():
        raise ModelError(
            f"{text}: is the name of a model that is there already; expected a reference to a hub: use it as it is"
        )
    forms = "; ".join(SCHEMES.values())
    raise ModelError(
        f"{text}: found no reference to a hub; expected one such as {forms}; "
        "a file on this machine is used as it is, or made a model with  geoseg models import"
    )


def look_up(reference: Reference) -> Offer:
    """What `reference` offers, before anything large is downloaded. Raises as `pull` does."""
    from geoseg.models.hub import enums, huggingface, items, web

    if reference.scheme == "hf":
        return huggingface.offer(reference)
    if reference.scheme in ("torchgeo", "torchvision"):
        return enums.offer(reference)
    if reference.scheme == "mlm" or web.is_item(reference.text):
        return items.offer(reference)
    return web.offer(reference)


def pulled(reference: Reference) -> Pulled | None:
    """The model that was pulled for `reference`, or None; with another checksum than the reference's it is none."""
    return _pulled(reference, _recorded(reference.text))


def _pulled(reference: Reference, record: _Record | None) -> Pulled | None:
    if record is None or reference.sha256 not in (None, record.sha256):
        return None
    path = cache.folder() / record.file
    try:
        card = read_card(path)
    except GeosegError:
        return None
    return Pulled(record.reference, path, card, licence_of(record.licence), record.sha256, record.origin)


def cached() -> list[tuple[str, ModelCard, Path]]:
    """Every model that was pulled: reference, card and file, by reference."""
    found = []
    for place in (cache.folder() / _KIND).glob("*.json"):
        reference = (_json(place) or {}).get("reference")
        kept = pulled(Reference(*reference.split(":", 1))) if isinstance(reference, str) and ":" in reference else None
        if kept is not None:
            found.append((kept.reference, kept.card, kept.path))
    return sorted(found, key=lambda entry: entry[0])


def installed(text: str, warn: Callable[[str], None]) -> Path | None:
    """The file of the model that `text` names where that is a reference; None for a word or a path.

    A model of a permissive licence is pulled now, which `warn` is told. Raises ModelError with the command for any
    other one, and as `pull` does.
    """
    reference = parse(text)
    if reference is None:
        return None
    kept = _current(reference)
    if kept is not None:
        return kept.path
    if cache.offline() and not reference.local:
        raise _offline(reference)
    offer = look_up(_remembered(reference))
    if offer.licence is not None:
        require(offer.reference, offer.licence, False, offer.origin)
    licence = offer.licence.text if offer.licence is not None else "the licence that it carries"
    warn(f"{reference.text}: not in the cache yet; it is downloaded now, under {licence}")
    with locked("pull", reference.text):
        kept = _current(reference) or _pull(reference, offer, False, None, None)
    return kept.path


def check_free(destination: str | Path) -> Path:
    """The path `destination`. Raises OutputError when a file of that name is there."""
    target = Path(destination)
    if target.exists():
        raise OutputError(f"{target}: found a file of that name; expected a new one: remove it, or choose another")
    return target


def copy_to(found: Pulled, destination: str | Path) -> Path:
    """A copy of the model at `destination`, complete or absent. Raises OutputError when it cannot be written."""
    target = check_free(destination)
    for part in files(found.path)[:-1]:
        check_free(target.with_suffix(part.suffix))
    try:
        copy_model(found.path, target)
    except (OSError, WriteError) as error:
        said = getattr(error, "strerror", None) or error
        raise OutputError(f"{target}: cannot be written ({said}); choose another place") from error
    return target


def _pull(reference: Reference, offer: Offer, accept: bool, progress: Report | None, hints: Hints | None) -> Pulled:
    """Download, make a model, keep what it is. The caller holds the lock of the reference."""
    if offer.licence is not None:
        require(offer.reference, offer.licence, accept, offer.origin)
    state = _state(reference)
    obtained = offer.obtain(progress)
    path = _place(offer, obtained)
    try:
        with scratch(path) as making:
            card, licence = make(offer, obtained, making / path.name, hints, accept)
            made = checksum(making / path.name)
            put([(file, path.with_name(file.name)) for file in files(making / path.name)])
    except OSError as error:
        raise cache.unwritable(path, error) from error
    file = path.relative_to(cache.folder()).as_posix()
    record = _Record(offer.reference, file, obtained.sha256, licence.text, offer.origin, made, state)
    cache.write_record(_KIND, offer.reference, asdict(record))
    return Pulled(offer.reference, path, card, licence, obtained.sha256, offer.origin)


def _place(offer: Offer, obtained: Obtained) -> Path:
    """Where the model will lie; files that are run as they are keep their ending."""
    from geoseg.models.containers import container_of

    ending = ".safetensors" if container_of(obtained.weights) is None else obtained.weights.suffix
    place = cache.folder() / "bundles" / cache.key_of(offer.reference)[:16]
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cache.unwritable(place, error) from error
    return place / f"{cache.plain_name(offer.name)}{ending}"


def _current(reference: Reference) -> Pulled | None:
    """The model that was pulled for `reference`, when its file is whole and the item that it was made of is the same.

    Raises ModelError when an item on this machine cannot be read.
    """
    record = _recorded(reference.text)
    found = _pulled(reference, record)
    if record is None or found is None:
        return None
    try:
        whole = checksum(found.path) == record.made
    except ModelError:
        return None
    return found if whole and _state(reference) == record.state else None


def _state(reference: Reference) -> str:
    """What an item on this machine is now; nothing for what is elsewhere."""
    from geoseg.models.hub import items

    return items.state_of(reference) if reference.local else ""


def _recorded(reference: str) -> _Record | None:
    values = cache.read_record(_KIND, reference)
    try:
        record = _Record(**values) if values else None
    except TypeError:
        return None
    if record is None or not all(isinstance(v, str) for v in asdict(record).values()):
        return None
    inside = (cache.folder() / record.file).resolve()
    return record if inside.is_relative_to(cache.folder().resolve()) else None


def _json(path: Path) -> dict[str, Any] | None:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return values if isinstance(values, dict) else None


def _offline(reference: Reference) -> ModelError:
    command = accepting(reference.text).removesuffix(" --accept-license")
    return ModelError(
        f"{reference.text}: found no whole copy of such a model in the cache, and GEOSEG_OFFLINE forbids to fetch it; "
        f"where there is a network, run  {command}  and copy the folder {cache.folder()} from there"
    )
