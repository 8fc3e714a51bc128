"""Protocol buffers, as far as ONNX files need them: fields are walked, nothing is copied and no graph is built.

Cards are found, and external data is checked, before any library opens the file; neither needs the package onnx.
https://protobuf.dev/programming-guides/encoding/ and onnx.proto (ONNX 1.x).
"""

from __future__ import annotations

import mmap
from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from geoseg.errors import ModelError

Buffer = bytes | memoryview | mmap.mmap
Field = tuple[int, int, int, int]  # number, start of the field with its tag, start and stop of the content

MODEL_GRAPH, MODEL_METADATA, MODEL_TRAINING, MODEL_FUNCTIONS = 7, 14, 20, 25
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MODEL_FIELDS = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 14, 20, 25, 26})
_MODEL_LENGTHS = frozenset({MODEL_GRAPH, MODEL_METADATA, MODEL_TRAINING, MODEL_FUNCTIONS})
_EXTERNAL_DATA = 13
_TENSOR_LENGTHS = frozenset({_EXTERNAL_DATA})
_DEEPEST = 64

# Messages that can hold tensors, by message and field number; a tensor's own fields are read by `tensors`.
_HOLDERS: Mapping[str, Mapping[int, str]] = MappingProxyType(
    {
        "model": {MODEL_GRAPH: "graph", MODEL_TRAINING: "training", MODEL_FUNCTIONS: "function"},
        "graph": {1: "node", 5: "tensor", 15: "sparse"},
        "node": {5: "attribute"},
        "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
        "sparse": {1: "tensor", 2: "tensor"},
        "training": {1: "graph", 2: "graph"},
        "function": {7: "node", 11: "attribute"},
    }
)


def fields(data: Buffer, start: int, stop: int, lengths: Container[int] = frozenset()) -> Iterator[Field]:
    """Each field of the message between `start` and `stop`. Raises ValueError where the bytes are no message.

    `lengths` are fields that hold messages or text, which come with their length. With another wire type protobuf
    takes no notice of them, nor of what a tag has above 32 bits: readers differ about such bytes, so they are refused.
    """
    place = start
    while place < stop:
        begin = place
        tag, place = _varint(data, place, stop)
        number, kind = tag >> 3, tag & 7
        if tag >> 32 or (kind != _BYTES and number in lengths):
            raise ValueError(f"a field {number} of the wire type {kind}")
        first = place
        if kind == _VARINT:
            _, place = _varint(data, place, stop)
        elif kind == _BYTES:
            size, first = _varint(data, place, stop)
            place = first + size
        elif kind in (_FIXED32, _FIXED64):
            place += 4 if kind == _FIXED32 else 8
        else:
            raise ValueError(f"wire type {kind}")
        if not number or place > stop:
            raise ValueError("a field that ends beyond its message")
        yield number, begin, first, place


def text_entry(data: Buffer, start: int, stop: int) -> tuple[str, str]:
    """Key and value of a StringStringEntryProto."""
    found = {1: "", 2: ""}
    for number, _, first, last in fields(data, start, stop, found):
        if number in found:
            found[number] = bytes(data[first:last]).decode("utf-8", "replace")
    return found[1], found[2]


def metadata_field(key: str, value: str) -> bytes:
    """One more entry of a model's metadata, as bytes to put behind the model's others."""
    entry = b"".join(_tagged(number, text.encode()) for number, text in ((1, key), (2, value)))
    return _tagged(MODEL_METADATA, entry)


def tensors(data: Buffer, start: int, stop: int, message: str = "model", depth: int = 0) -> Iterator[tuple[int, int]]:
    """Where each tensor of a message stands, also those inside of nodes, functions and graphs of graphs."""
    if depth > _DEEPEST:
        raise ValueError(f"messages inside of messages, {depth} deep")
    for number, _, first, last in fields(data, start, stop, _HOLDERS[message]):
        held = _HOLDERS[message].get(number)
        if held == "tensor":
            yield first, last
        elif held is not None:
            yield from tensors(data, first, last, held, depth + 1)


def external_locations(path: Path, data: Buffer) -> set[str]:
    """The files outside of a model that its tensors name. Raises ModelError for a damaged model."""
    found: set[str] = set()
    try:
        for start, stop in tensors(data, 0, len(data)):
            for number, _, first, last in fields(data, start, stop, _TENSOR_LENGTHS):
                if number == _EXTERNAL_DATA:
                    key, value = text_entry(data, first, last)
                    found |= {value} if key == "location" else set()
    except ValueError as error:
        raise ModelError(f"{path}: found a damaged ONNX file ({error}); fetch or export it again") from error
    return found


def is_onnx(path: Path, head: bytes) -> bool:
    """Whether the file is one ONNX model: it begins with its version of the format, and holds a graph."""
    if not head.startswith(b"\x08") and path.suffix.lower() != ".onnx":
        return False
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            numbers = {number for number, *_ in fields(data, 0, len(data), _MODEL_LENGTHS)}
    except (OSError, ValueError):
        return False
    return MODEL_GRAPH in numbers and numbers <= _MODEL_FIELDS


def _varint(data: Buffer, place: int, stop: int) -> tuple[int, int]:
    value = shift = 0
    while place < stop and shift < 70:
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7
    raise ValueError("a number without an end")


def _tagged(number: int, content: bytes) -> bytes:
    return _length(number << 3 | _BYTES) + _length(len(content)) + content


def _length(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
