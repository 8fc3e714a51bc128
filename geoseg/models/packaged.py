"""The bundles that come with geoseg, and what a name or reference of a model stands for."""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from geoseg.core.card import ModelCard
from geoseg.errors import ModelError, UnknownNameError
from geoseg.models.header import read_card

WEIGHTS = Path(__file__).parent / "weights"
ENDING = ".safetensors"
ITEMS = (".json", ".geojson")  # STAC items, which name a model
_CLOUDS = "geoseg.models.clouds"
_LOG = logging.getLogger("geoseg.models")


def names() -> tuple[str, ...]:
    """Names of the packaged bundles, sorted."""
    return tuple(sorted(path.stem for path in WEIGHTS.glob(f"*{ENDING}")))


def packaged() -> list[ModelCard]:
    """Cards of the packaged bundles, by name."""
    return [read_card(WEIGHTS / f"{name}{ENDING}") for name in names()]


def resolve(reference: str | Path, warn: Callable[[str], None] = _LOG.warning) -> Path:
    """The file that `reference` stands for.

    A packaged bundle's name, a model's path, that of a STAC item which names a model, the name of a model that an
    extra brings ("clouds"), or a reference to a hub (geoseg.models.hub): what was pulled before is there, and what has
    a permissive licence is pulled now, which `warn` is told. Raises UnknownNameError for a plain word that is no name,
    ModelError for a path without a file and for a licence that needs the user's consent first (with the command), and
    as geoseg.models.hub.pull does.
    """
    if isinstance(reference, str) and reference in names():
        return WEIGHTS / f"{reference}{ENDING}"
    path = Path(os.path.expanduser(reference))  # noqa: PTH111 (Path.expanduser raises for an unknown user)
    try:
        if path.is_file() and path.suffix.lower() in ITEMS:
            return _pulled(f"mlm:{path}", warn) or path
        if path.is_file():
            return path
        folder = path.is_dir()
    except OSError as error:
        raise ModelError(f"{str(path)[:200]}: cannot be read ({error.strerror or error}); {_expected()}") from error
    if isinstance(reference, str):
        found = _brought(reference) or _pulled(reference, warn)
        if found is not None:
            return found
        if path.name == reference and not path.suffix and not folder:
            from geoseg.models.zoo import zoo

            if reference in {one["name"] for one in zoo()["architectures"]}:
                raise ModelError(
                    f"{reference!r} is an architecture, which has no weights of its own; expected a model: see "
                    "`geoseg models list`, or train one"
                )
            raise UnknownNameError("model", reference, (*names(), *brought()))
    raise ModelError(f"{path}: found {'a folder' if folder else 'no such file'}; {_expected()}")


def remedy_for(reference: str) -> str | None:
    """The command that brings a model to this machine, None where it is here; nothing is fetched to know."""
    if reference in brought():
        return None if _clouds().available() else "pip install 'geoseg[clouds]'"
    if reference in names() or ":" not in reference:
        return None
    from geoseg.models.hub.pulling import pulled
    from geoseg.models.hub.references import parse

    known = parse(reference)
    return None if known is None or pulled(known) else f"geoseg models pull {reference}"


def brought() -> tuple[str, ...]:
    """Names of the models that extras bring, installed or not."""
    return tuple(_clouds().NAMES) if find_spec(_CLOUDS) else ()


def _brought(reference: str) -> Path | None:
    """The file of a model that an extra brings. Raises MissingExtraError when the extra is not installed."""
    return Path(_clouds().installed(reference)) if reference in brought() else None


def _clouds() -> Any:
    return importlib.import_module(_CLOUDS)


def _pulled(reference: str, warn: Callable[[str], None]) -> Path | None:
    """The file of a model that is somewhere else; None for a word or a path."""
    if ":" not in reference:
        return None
    from geoseg.models.hub.pulling import installed

    return installed(reference, warn)


def _expected() -> str:
    return (
        f"expected a model's file (.safetensors, ...), one of: {', '.join((*names(), *brought())) or 'none'}, or a "
        "reference to a hub (hf:owner/repository, torchgeo:Unet_Weights.NAME, https://...)"
    )
