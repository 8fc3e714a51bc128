"""What a reference stands for, before anything large is downloaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from geoseg.errors import GeosegError
from geoseg.models.header import read_card
from geoseg.models.hub.licences import Licence

Report = Callable[[int, int | None], None]


@dataclass(frozen=True, slots=True)
class Obtained:
    """What was downloaded: `weights`, the file with the weights, its checksum, and `path`, what is to be imported.

    `path` is that file too, or a folder or a STAC item that tells more. `facts` are what came with it for the model's
    card, under the names of its fields. `drop` forgets the download where no checksum vouched for it: a file that makes
    no model may be a server's mistake, which is to be asked for again.
    """

    path: Path
    weights: Path
    sha256: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    drop: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True)
class Offer:
    """A model that can be had: its `reference`, a `name`, a page or address that tells more (`origin`).

    `licence` is None where only the file itself says it. `facts` are what is known for the model's card, under the
    names of its fields. `obtain` downloads.
    """

    reference: str
    name: str
    origin: str
    licence: Licence | None
    obtain: Callable[[Report | None], Obtained]
    facts: Mapping[str, Any] = field(default_factory=dict)


def carries_card(path: Path) -> bool:
    """Whether the file at `path` is a geoseg model already: a bundle or a container with a card inside."""
    try:
        read_card(path)
    except GeosegError:
        return False
    return True
