"""Parameter types of the command line: lists of numbers, names, and pairs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click


class ListOf(click.ParamType):  # type: ignore[type-arg]
    """A tuple from text like `1,2,3`; commas, spaces and brackets may stand between and around the items.

    `count` is how many items are expected; None accepts any number.
    """

    def __init__(self, item: Callable[[str], Any], name: str, count: int | None = None) -> None:
        """Items are made by `item` (int, float, str); `name` is shown in the help."""
        self.item = item
        self.name = name
        self.count = count

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The tuple; raises click.BadParameter."""
        if not isinstance(value, str):
            return value
        words = value.strip("[]() ").replace(",", " ").split()
        try:
            items = tuple(self.item(word) for word in words)
        except ValueError:
            self.fail(f"{value!r} is not a list of numbers such as 1,2,3", param, ctx)
        if not items or (self.count is not None and len(items) != self.count):
            self.fail(f"{value!r} has {len(items)} items; expected {self.count or 'at least one'}", param, ctx)
        return items


class Pair(click.ParamType):  # type: ignore[type-arg]
    """A tuple of two texts from `KEY=VALUE`."""

    def __init__(self, name: str) -> None:
        """`name` is shown in the help."""
        self.name = name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The two texts; raises click.BadParameter."""
        if not isinstance(value, str):
            return value
        key, equals, text = value.partition("=")
        if not (key and equals and text):
            self.fail(f"{value!r} is not of the form {self.name}", param, ctx)
        return key, text


def mapping(ctx: click.Context, param: click.Parameter, pairs: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """The dictionary of a repeated `Pair` option; raises click.BadParameter when a key stands twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key, _ in pairs if [k for k, _ in pairs].count(key) > 1)
        raise click.BadParameter(f"{twice!r} is given more than once", ctx=ctx, param=param)
    return found


INTEGERS = ListOf(int, "I,J,...")
NUMBERS = ListOf(float, "X,Y,...")
NAMES = ListOf(str, "NAME,NAME,...")
RANGE = ListOf(float, "LOW,HIGH", count=2)
BOUNDS = ListOf(float, '"LEFT BOTTOM RIGHT TOP"', count=4)
POSITIVE = click.FloatRange(min=0, min_open=True)
NOT_NEGATIVE = click.FloatRange(min=0)
