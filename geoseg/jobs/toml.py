"""Values as TOML: what `tomllib` reads, written."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

WIDTH = 100  # columns of a line; longer lists are broken


def to_toml(values: Mapping[str, Any]) -> str:
    """The text that `tomllib.loads` reads as these values; None is left out, tuples are lists.

    Mappings are tables and lists of mappings arrays of tables, those inside of them stand in one line.
    """
    plain = [(name, value) for name, value in values.items() if not _is_table(value) and not _are_tables(value)]
    lines = list(_lines(dict(plain)))
    for name, value in values.items():
        if _is_table(value):
            lines += ["", f"[{_key(name)}]", *_lines(value)]
        elif _are_tables(value):
            for item in value:
                lines += ["", f"[[{_key(name)}]]", *_lines(item)]
    return "\n".join(lines).lstrip("\n") + "\n"


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping)


def _are_tables(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(map(_is_table, value))


def _lines(table: Mapping[str, Any]) -> Iterator[str]:
    for name, value in table.items():
        if value is not None:
            yield _fitted(f"{_key(name)} = ", value)


def _fitted(start: str, value: Any) -> str:
    """One line, or one for each item of a list that is too long for it; tables inside of tables stay in one."""
    line = start + _value(value)
    if len(line) <= WIDTH or not isinstance(value, list | tuple):
        return line
    return "\n".join([f"{start}[", *(f"    {_value(item)}," for item in value), "]"])


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        items = [f"{_key(name)} = {_value(item)}" for name, item in value.items() if item is not None]
        return f"{{{', '.join(items)}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # nan, inf, -inf: TOML knows them
    if isinstance(value, int | float):
        return repr(value)
    return _text(str(value))


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _text(name)


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")  # the one that JSON allows and TOML does not
