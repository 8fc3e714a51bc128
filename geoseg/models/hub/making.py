"""A geoseg model made of what was downloaded: checked, and with consent to what it says of its licence."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from geoseg.core.card import ModelCard
from geoseg.errors import ModelError
from geoseg.models.digest import sha256_of
from geoseg.models.header import read_card
from geoseg.models.hub.licences import UNKNOWN, Licence, licence_of, require, together
from geoseg.models.hub.offers import Obtained, Offer, carries_card
from geoseg.models.placing import put, scratch

if TYPE_CHECKING:
    from geoseg.models.importing import Hints


def make(offer: Offer, obtained: Obtained, made: Path, hints: Hints | None, accept: bool) -> tuple[ModelCard, Licence]:
    """The card and the licence of the model written to `made`, with consent to both what hub and file say.

    A download that makes no model, and for which no checksum vouched, is forgotten. Raises ModelError, and as
    `geoseg.models.importing.import_model` does.
    """
    carded = obtained.path == obtained.weights and carries_card(obtained.path)
    licence = offer.licence
    if carded:
        carried = licence_of(read_card(obtained.path).license)
        if licence is None or together(licence, carried) != licence:
            require(offer.reference, carried, accept, offer.origin)
        licence = carried if licence is None else together(licence, carried)
    try:
        card = _copied(obtained.path, made) if carded else _imported(offer, obtained, made, hints)
    except ModelError:
        if obtained.drop is not None:
            obtained.drop()
        raise
    if licence is None:
        licence = licence_of(card.license)
        require(offer.reference, licence, accept, offer.origin)
    return card, licence


def _imported(offer: Offer, obtained: Obtained, made: Path, hints: Hints | None) -> ModelCard:
    """The card of the model made of a foreign one. What the hub says of its licence counts before what hints say."""
    from geoseg.models.importing import Hints, import_model

    licence = {} if offer.licence is None else {"license": offer.licence.identifier}
    known = Hints(**{**licence, **offer.facts, **obtained.facts})
    if hints is not None and offer.licence is not None and offer.licence.identifier != UNKNOWN:
        hints = replace(hints, license=None)
    try:
        return import_model(obtained.path, made, hints.over(known) if hints is not None else known)
    except ModelError as error:
        raise ModelError(
            f"{offer.reference}: was downloaded, but makes no model yet: {error}; "
            "say it to  geoseg models pull  or to  geoseg models import"
        ) from error


def _copied(source: Path, made: Path) -> ModelCard:
    """The card of a geoseg model that is copied whole, after every check of `geoseg models verify`."""
    from geoseg.models.verification import verify

    copy_model(source, made)
    for check in verify(made).checks:
        if not check.passed:
            detail = check.detail.replace(str(made), "it")
            raise ModelError(f"{source}: was downloaded, but fails the check {check.name!r}: {detail}")
    return read_card(made)


def copy_model(source: Path, target: Path) -> None:
    """Copy a model with all its parts, complete or not at all. Raises OSError, WriteError, ModelError."""
    from geoseg.models import containers

    if containers.container_of(source) is not None:
        containers.copy_container(source, target)
        return
    with scratch(target) as making:
        shutil.copyfile(source, making / target.name)
        put([(making / target.name, target)])


def files(path: Path) -> list[Path]:
    """A model's files, the one that names it last."""
    from geoseg.models import containers

    return [path] if containers.container_of(path) is None else [*containers.parts(path), path]


def checksum(path: Path) -> str:
    """The checksum of a model with all its parts. Raises ModelError."""
    *others, first = files(path)
    return sha256_of(first, *others)
