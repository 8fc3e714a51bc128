"""A picture of a report, with what is said of it."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Literal

Kind = Literal["thumbnail", "best", "worst", "tile"]


@dataclass(frozen=True, slots=True)
class Exhibit:
    """A picture: `image` holds the bytes of a PNG or JPEG file.

    `kind` "thumbnail" shows the whole scene, of `shape` (height, width) pixels, and lies beneath the map of errors;
    the others are tiles. `scene` is the name of the scene (`Scores.name`), `alt` what those who do not see the picture
    are told (the caption, without it).
    """

    name: str
    caption: str
    image: bytes
    kind: Kind = "tile"
    scene: str = ""
    shape: tuple[int, int] | None = None
    alt: str = ""

    @property
    def uri(self) -> str:
        """The picture as a data URI."""
        kind = "png" if self.image.startswith(b"\x89PNG") else "jpeg"
        return f"data:image/{kind};base64,{base64.b64encode(self.image).decode('ascii')}"
