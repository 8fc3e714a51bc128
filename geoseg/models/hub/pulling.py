"""Models that are somewhere else, made geoseg models in the cache; a model that was pulled needs no network again."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geoseg.core.card import ModelCard
from geoseg.errors import GeosegError, ModelError, OutputError
from geoseg.models.header import read_card, read_header
from geoseg.models.hub import cache
from geoseg.models.hub.fetching import locked
from geoseg.models.hub.licences import Licence, accepting, licence_of, require
from geoseg.models.hub.offers import Obtained, Offer, Report, carries_card
from geoseg.models.hub.references import SCHEMES, Reference, parse
from geoseg.models.packaged import brought, names

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
    """What the cache keeps of a pulled model; `file` is relative to the cache's folder."""

    reference: str
    file: str
    sha256: str
    licence: str
    origin: str


def pull(
    reference: str,
    *,
    accept_license: bool = False,
    sha256: str | None = None,
    progress: Report | None = None,
    hints: Hints | None = None,
) -> Pulled:
    """The model that `reference` names, downloaded and made a geoseg model where it is not in the cache yet.

    `sha256` is the expected checksum of the weights; `hints` are facts for the card that the source does not say.
    Raises ModelError: no such model, a licence that needs `accept_license`, another checksum, or a file that is no
    model; UnknownNameError for a name that is none; MissingExtraError, ResourceError and WriteError.
    """
    found = _parsed(reference)
    afresh = found.local or hints is not None
    kept = None if afresh else _whole(pulled(found, sha256))
    if kept is not None:
        return kept
    if cache.offline() and not found.local:
        raise _offline(found)
    with locked("pull", found.text):
        kept = None if afresh else _whole(pulled(found, sha256))
        return kept or _pull(look_up(found, sha256), accept_license, progress, hints)


def _parsed(text: str) -> Reference:
    """The reference that `text` is; a path of a STAC item stands for it. Raises ModelError for any other word."""
    reference = parse(text)
    if reference is not None:
        return reference
    if text.lower().endswith((".json", ".geojson")):
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


def look_up(reference: Reference, sha256: str | None = None) -> Offer:
    """What `reference` offers, before anything large is downloaded. Raises as `pull` does."""
    from geoseg.models.hub import enums, huggingface, items, web

    if reference.scheme == "hf":
        return huggingface.offer(reference, sha256)
    if reference.scheme in ("torchgeo", "torchvision"):
        return enums.offer(reference, sha256)
    if reference.scheme == "mlm" or web.is_item(reference.text):
        return items.offer(reference, sha256)
    return web.offer(reference, sha256)


def pulled(reference: Reference, sha256: str | None = None) -> Pulled | None:
    """The model that was pulled for `reference`, or None; with another checksum than the expected one it is none."""
    record = _recorded(reference.text)
    expected = sha256 or reference.sha256
    if record is None or (expected is not None and not record.sha256.startswith(expected.lower())):
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
    kept = pulled(reference)
    if kept is not None:
        return kept.path
    if cache.offline():
        raise _offline(reference)
    offer = look_up(reference)
    if offer.licence is not None:
        require(offer.reference, offer.licence, False, offer.origin)
    licence = offer.licence.text if offer.licence is not None else "the licence that it carries"
    warn(f"{reference.text}: not in the cache yet; it is downloaded now, under {licence}")
    with locked("pull", reference.text):
        kept = pulled(reference) or _pull(offer, False, None, None)
    return kept.path


def copy_to(found: Pulled, destination: str | Path) -> Path:
    """A copy of the model's file at `destination`, complete or absent. Raises OutputError when it cannot be written."""
    target = Path(destination)
    if target.exists():
        raise OutputError(f"{target}: found a file of that name; expected a new one: remove it, or choose another")
    temporary = target.with_name(f".{target.name}.part")
    try:
        try:
            shutil.copyfile(found.path, temporary)
            os.replace(temporary, target)  # noqa: PTH105
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{target}: cannot be written ({error.strerror or error}); choose another place") from error
    return target


def _pull(offer: Offer, accept: bool, progress: Report | None, hints: Hints | None) -> Pulled:
    """Download, make a model, keep what it is. The caller holds the lock of the reference."""
    if offer.licence is not None:
        require(offer.reference, offer.licence, accept, offer.origin)
    obtained = offer.obtain(progress)
    path = _place(offer, obtained)
    try:
        card = _made(offer, obtained, path, hints)
        licence = offer.licence or licence_of(card.license)
        require(offer.reference, licence, accept, offer.origin)
    except GeosegError:
        _forget(path)
        raise
    file = path.relative_to(cache.folder()).as_posix()
    record = _Record(offer.reference, file, obtained.sha256, licence.text, offer.origin)
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


def _made(offer: Offer, obtained: Obtained, path: Path, hints: Hints | None) -> ModelCard:
    """The card of the model written to `path`: geoseg's own models are copied, all else is imported."""
    if obtained.path == obtained.weights and carries_card(obtained.path):
        return _copied(obtained.path, path)
    from geoseg.models.importing import Hints, import_model

    licence = {} if offer.licence is None else {"license": offer.licence.identifier}
    known = Hints(**{**licence, **offer.facts, **obtained.facts})
    try:
        return import_model(obtained.path, path, hints.over(known) if hints is not None else known)
    except ModelError as error:
        raise ModelError(
            f"{offer.reference}: was downloaded, but makes no model yet: {error}; "
            "say it to  geoseg models pull  or to  geoseg models import"
        ) from error


def _copied(source: Path, path: Path) -> ModelCard:
    """The card of a geoseg model that is copied whole; a bundle's own checksum is compared first."""
    from geoseg.models.bundle import checked_sum
    from geoseg.models.containers import container_of

    if container_of(source) is None:
        checked_sum(read_header(source))
    temporary = path.with_name(f".{path.name}.part")
    try:
        try:
            shutil.copyfile(source, temporary)
            os.replace(temporary, path)  # noqa: PTH105
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise cache.unwritable(path, error) from error
    return read_card(path)


def _forget(path: Path) -> None:
    """Remove a model that may not be used, and its folder when nothing else is in it."""
    path.unlink(missing_ok=True)
    if path.parent.is_dir() and not any(path.parent.iterdir()):
        path.parent.rmdir()


def _whole(found: Pulled | None) -> Pulled | None:
    """`found` when its file is still what was written; a damaged bundle is as good as none."""
    from geoseg.models.bundle import checked_sum
    from geoseg.models.containers import container_of

    try:
        if found is not None and container_of(found.path) is None:
            checked_sum(read_header(found.path))
    except GeosegError:
        return None
    return found


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
    return ModelError(
        f"{reference.text}: found no such model in the cache, and GEOSEG_OFFLINE forbids to fetch it; where there is a "
        f"network, run  {accepting(reference.text).removesuffix(' --accept-license')}  and copy the folder "
        f"{cache.folder()} from there"
    )
