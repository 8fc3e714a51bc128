"""A bundle's header: what can be known of a model without reading its weights.

A bundle is one safetensors file: eight bytes of length (little-endian), a JSON header, then the tensors. The card is
JSON text under the header's metadata key `geoseg.card`. `geoseg.sha256` is the checksum of all the rest: the header
without it, in canonical form, and the bytes of the tensors.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from pydantic import ValidationError

from geoseg.core.card import ModelCard
from geoseg.errors import ModelError

CARD_KEY = "geoseg.card"
CHECKSUM_KEY = "geoseg.sha256"
LARGEST_HEADER = 16 * 2**20
CARD_VERSION = 1

_PICKLES = (b"PK\x03\x04", b"\x80")  # a zip archive (torch.save since 1.6), or the pickle itself
_EXPECTED = "expected a geoseg bundle (.safetensors with a card in its header)"
_DAMAGED = f"{_EXPECTED}; the file is damaged or of another kind: fetch or export it again"


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One tensor as the header declares it; `dtype` in safetensors' words (F16, F32, I64, ...)."""

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class BundleHeader:
    """What the header of a bundle says.

    `checksum` is the recorded one, or None; it stands for `canonical`, then the file's bytes from `data_start` on.
    """

    path: Path
    card: ModelCard
    tensors: dict[str, TensorInfo]
    checksum: str | None
    canonical: bytes
    data_start: int


def read_card(path: str | Path) -> ModelCard:
    """The card of the model at `path`, a bundle or another container; no weights are read.

    Raises ModelError when the file is missing, of no kind that is known, damaged, without a card, or of a newer geoseg.
    """
    from geoseg.models import containers

    place = Path(path)
    return read_header(place).card if containers.container_of(place) is None else containers.read_card(place)


def read_header(path: str | Path) -> BundleHeader:
    """The header of the bundle at `path`. Raises ModelError as `read_card` does."""
    place = Path(path)
    text, data_start = _header_text(place)
    values = _json(place, text, "header")
    metadata = values.get("__metadata__")
    if not isinstance(metadata, dict) or CARD_KEY not in metadata:
        raise ModelError(
            f"{place}: found a safetensors file without {CARD_KEY!r} in its header; {_EXPECTED}; "
            "write one with geoseg.models.save_bundle"
        )
    checksum = metadata.pop(CHECKSUM_KEY, None)
    tensors = {name: _tensor(place, name, value) for name, value in values.items() if name != "__metadata__"}
    return BundleHeader(
        path=place,
        card=parse_card(place, metadata[CARD_KEY]),
        tensors=tensors,
        checksum=None if checksum is None else str(checksum),
        canonical=canonical(values),
        data_start=data_start,
    )


def canonical(header: dict[str, Any]) -> bytes:
    """The JSON text of a header that is the same for equal headers: keys sorted, no spaces, ASCII."""
    return json.dumps(header, sort_keys=True, separators=(",", ":")).encode("ascii")


def _header_text(path: Path) -> tuple[bytes, int]:
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(8)
            length = int.from_bytes(start, "little")
            if len(start) < 8 or not 2 <= length <= size - 8:
                if start.startswith(_PICKLES):
                    raise ModelError(
                        f"{path}: found a pickle (PyTorch checkpoint), which can run code; {_EXPECTED}; make one of "
                        "its weights with  geoseg models import"
                    )
                raise ModelError(f"{path}: found {size} bytes without a complete safetensors header; {_DAMAGED}")
            if length > LARGEST_HEADER:
                raise ModelError(
                    f"{path}: found a header of {length} bytes; expected at most {LARGEST_HEADER}; {_DAMAGED}"
                )
            return file.read(length), 8 + length
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror or error}); {_EXPECTED}; check the path") from error


def _json(path: Path, text: bytes | str, what: str) -> dict[str, Any]:
    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is no number")

    try:
        values = json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path}: found a {what} that is no JSON ({error}); {_DAMAGED}") from error
    if not isinstance(values, dict):
        raise ModelError(f"{path}: found a {what} that is no JSON object; {_DAMAGED}")
    return values


def _tensor(path: Path, name: str, value: Any) -> TensorInfo:
    try:
        dtype, shape = value["dtype"], tuple(value["shape"])
    except (TypeError, KeyError) as error:
        raise ModelError(f"{path}: tensor {name[:80]!r} has no dtype and shape; {_DAMAGED}") from error
    if not isinstance(dtype, str) or not all(type(s) is int and s >= 0 for s in shape):
        raise ModelError(f"{path}: tensor {name[:80]!r} has a dtype or a shape that cannot be; {_DAMAGED}")
    return TensorInfo(dtype, shape)


def parse_card(path: Path, text: Any) -> ModelCard:
    """The card in a JSON text that was found in `path`. Raises ModelError: no text, no JSON, not valid, too new."""
    if not isinstance(text, str):
        raise ModelError(f"{path}: found a card that is no text; {_DAMAGED}")
    values = _json(path, text, "card")
    version = values.get("card_version", CARD_VERSION)
    if isinstance(version, int) and version > CARD_VERSION:
        raise ModelError(
            f"{path}: found a card of version {version}; this geoseg reads version {CARD_VERSION}: "
            "update it with  pip install -U geoseg"
        )
    try:
        card = ModelCard.model_validate_json(text)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'card'}: {e['msg']}" for e in error.errors()[:5])
        raise ModelError(f"{path}: found a card that is not valid ({faults}); expected card version 1") from error
    if not all(map(math.isfinite, (*card.value_range, *card.mean))):
        raise ModelError(f"{path}: found a card with an infinite mean or value_range; expected finite numbers")
    return card
