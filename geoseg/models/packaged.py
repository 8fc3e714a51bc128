"""The bundles that come with geoseg."""

from __future__ import annotations

import os
from pathlib import Path

from geoseg.core.card import ModelCard
from geoseg.errors import ModelError, UnknownNameError
from geoseg.models.header import read_card

WEIGHTS = Path(__file__).parent / "weights"
ENDING = ".safetensors"


def names() -> tuple[str, ...]:
    """Names of the packaged bundles, sorted."""
    return tuple(sorted(path.stem for path in WEIGHTS.glob(f"*{ENDING}")))


def packaged() -> list[ModelCard]:
    """Cards of the packaged bundles, by name."""
    return [read_card(WEIGHTS / f"{name}{ENDING}") for name in names()]


def resolve(reference: str | Path) -> Path:
    """The file that `reference` stands for: a packaged bundle's name, or a bundle's path.

    Raises UnknownNameError for a plain word that is no packaged name, and ModelError for a path without a file.
    """
    known = names()
    if isinstance(reference, str) and reference in known:
        return WEIGHTS / f"{reference}{ENDING}"
    path = Path(os.path.expanduser(reference))  # noqa: PTH111 (Path.expanduser raises for an unknown user)
    expected = f"expected a bundle's file (.safetensors) or one of: {', '.join(known) or 'none is packaged'}"
    try:
        if path.is_file():
            return path
        folder = path.is_dir()
    except OSError as error:
        raise ModelError(f"{str(path)[:200]}: cannot be read ({error.strerror or error}); {expected}") from error
    if isinstance(reference, str) and path.name == reference and not path.suffix and not folder:
        raise UnknownNameError("model", reference, known)
    raise ModelError(f"{path}: found {'a folder' if folder else 'no such file'}; {expected}")
