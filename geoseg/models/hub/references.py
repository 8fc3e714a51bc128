"""What stands for a model that is somewhere else: `scheme:rest`."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from geoseg.errors import ModelError, UnknownNameError

SCHEMES: Mapping[str, str] = MappingProxyType(
    {
        "https": "https://host/model.safetensors#sha256=...",
        "http": "http://host/model.safetensors#sha256=...",
        "hf": "hf:owner/repository[@revision][:file]",
        "torchgeo": "torchgeo:Unet_Weights.SENTINEL2_3CLASS_FTW",
        "torchvision": "torchvision:MaskRCNN_ResNet50_FPN_V2_Weights.COCO_V1",
        "mlm": "mlm:item.json, or mlm:https://host/item.json (a STAC item)",
    }
)
_FORM = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(.*)", re.DOTALL)  # two letters at least: C: is a drive
_SUM = re.compile(r"sha256[=:]([0-9a-f]{64})", re.IGNORECASE)
_MEANT = re.compile(r"sha\d|md5", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Reference:
    """A model somewhere else: which kind of place, where in it, and its checksum where the reference carries one."""

    scheme: str
    rest: str
    sha256: str | None = None

    @property
    def local(self) -> bool:
        """Whether it is on this machine: a STAC item's path."""
        return self.scheme == "mlm" and "://" not in self.rest

    @property
    def text(self) -> str:
        """The reference as it is written and remembered, without the checksum."""
        return f"{self.scheme}:{self.rest}"


def parse(text: str) -> Reference | None:
    """The reference that `text` is, or None for a word or a path.

    Raises UnknownNameError for a scheme that is none, ModelError for a scheme with nothing behind it, and for a
    checksum behind # that is no SHA-256.
    """
    form = _FORM.fullmatch(text.strip())
    if form is None:
        return None
    scheme, rest = form[1].lower(), form[2]
    if scheme not in SCHEMES:
        raise UnknownNameError("kind of reference", f"{form[1]}:", [f"{name}:" for name in SCHEMES])
    rest, checksum = _split(text, rest)
    if scheme in ("hf", "torchgeo", "torchvision"):
        rest = rest.removeprefix("//")
    if not rest.strip("/"):
        raise ModelError(f"{text}: found nothing behind {scheme}:; expected {SCHEMES[scheme]}")
    if scheme == "mlm" and "://" not in rest:
        rest = str(Path(os.path.expanduser(rest)).absolute())  # noqa: PTH111
    return Reference(scheme, rest, checksum)


def _split(text: str, rest: str) -> tuple[str, str | None]:
    """What is behind the scheme without its checksum, and the checksum."""
    before, _, fragment = rest.partition("#")
    carried = _SUM.fullmatch(fragment)
    if carried:
        return before, carried[1].lower()
    if _MEANT.search(fragment):
        raise ModelError(
            f"{text[:200]}: found the checksum {fragment[:80]!r}; expected #sha256= and 64 hexadecimal digits"
        )
    return rest, None
