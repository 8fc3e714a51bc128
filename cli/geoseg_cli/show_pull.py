"""A model that was pulled, and its download on the way, for people."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from geoseg_cli.tables import facts

if TYPE_CHECKING:
    from geoseg.models.importing import Hints


def facts_told(flags: Mapping[str, Any]) -> Hints | None:
    """The facts that flags say of a foreign model; None where there are none, so that nothing heavy is imported."""
    from geoseg_cli.importing import hints_from

    return hints_from(flags) if any(value not in (None, (), {}) for value in flags.values()) else None


class _Notices(logging.Handler):
    """Prints what the library says as one line on standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print the record."""
        click.echo(f"geoseg: {record.getMessage()}", err=True)


def tell_downloads() -> None:
    """Let the library say on standard error when it downloads a model that was named, but not pulled before."""
    log = logging.getLogger("geoseg.models")
    if not any(isinstance(handler, _Notices) for handler in log.handlers):
        log.addHandler(_Notices(logging.WARNING))


@contextmanager
def downloading(reference: str) -> Iterator[Callable[[int, int | None], None] | None]:
    """What a download tells of its bytes: a bar on the terminal, nothing where standard error is a file."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(escape(reference), total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def describe(pulled: Any, path: str, use: str) -> dict[str, Any]:
    """What was pulled as JSON-able values; `path` is the file that was asked for, `use` what names the model."""
    return {
        "reference": pulled.reference,
        "path": path,
        "use": use,
        "sha256": pulled.sha256,
        "origin": pulled.origin,
        "licence": pulled.licence.text,
        "permissive": pulled.licence.permissive,
        "card": pulled.card.model_dump(mode="json"),
    }


def show_pulled(report: Mapping[str, Any], terms: str) -> None:
    """Print where the model is, under which licence, and how it is used."""
    card = report["card"]
    facts(
        [
            ("model", f"{card['name']} {card['version']}"),
            ("task", card["task"]),
            ("bands", ", ".join(card["bands"])),
            ("licence", f"{report['licence']} ({terms})"),
            ("attribution", card["attribution"] or "-"),
            ("from", report["origin"]),
            ("sha256", report["sha256"]),
            ("file", report["path"]),
            ("use", f"geoseg predict scene.tif --model {report['use']} -o {card['task']}.gpkg"),
        ]
    )
