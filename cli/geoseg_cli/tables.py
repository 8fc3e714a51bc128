"""Tables on standard output."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from geoseg_cli.words import label, phrase

WIDE = 10_000  # columns where there is no terminal: nothing is folded, so that lines can be searched


def show(renderable: Table | Text | str) -> None:
    """Print on standard output, as wide as the terminal; a file or another program gets no trailing blanks."""
    if sys.stdout.isatty():
        Console(highlight=False).print(renderable)
        return
    console = Console(highlight=False, width=WIDE, file=io.StringIO())
    with console.capture() as captured:
        console.print(renderable)
    for line in captured.get().splitlines():
        click.echo(line.rstrip())


def facts(rows: Iterable[tuple[str, str]], title: str = "") -> None:
    """Print names with what belongs to them, one pair a line; long texts are folded, never cut."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in rows:
        table.add_row(Text(name), Text(text))
    if title:
        show(Text(title, style="bold underline"))
    show(table)


def listing(headings: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[int] = ()) -> None:
    """Print a table with headings; the columns whose indices stand in `right` are aligned to the right."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for index, heading in enumerate(headings):
        table.add_column(heading, justify="right" if index in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    show(table)


def fields(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Each field of a mapping as a row of `facts`."""
    return [(label(key), phrase(value, key)) for key, value in values.items()]


def show_checks(checks: Iterable[tuple[bool, str]], failed: str = "PROBLEM") -> None:
    """Print whether each check passed, and what was found; `failed` marks those that did not."""
    for passed, found in checks:
        mark, style = ("ok", "green") if passed else (failed, "bold red")
        show(Text.assemble((f"{mark:8}", style), found))
