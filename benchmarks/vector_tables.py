"""What a part of the vector benchmark found, and how it is printed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A target, and whether it was met (None: it was not measured)."""

    text: str
    met: bool | None

    def __str__(self) -> str:
        """One line."""
        return f"{self.text}: {({True: 'met', False: 'MISSED', None: 'not measured'})[self.met]}"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows that share their columns, a title above, verdicts and notes below; a row may leave columns out."""

    title: str
    rows: list[Row]
    verdicts: list[Verdict] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def show(self) -> None:
        """Print it: words to the left, figures to the right."""
        print(f"\n{self.title}")
        for line in [*(self._lines() if self.rows else []), *map(str, self.verdicts), *self.notes]:
            print(f"  {line}")

    def _lines(self) -> Iterator[str]:
        names = list(dict.fromkeys(name for row in self.rows for name in row))
        cells = [[_text(row.get(name)) for name in names] for row in self.rows]
        widths = [max(map(len, column)) for column in zip(names, *cells, strict=True)]
        words = [any(isinstance(row.get(name), str) for row in self.rows) for name in names]
        for line in [names, *cells]:
            placed = zip(line, widths, words, strict=True)
            yield "  ".join(f"{t:<{w}}" if left else f"{t:>{w}}" for t, w, left in placed).rstrip()


def _text(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "NO"
        case int():
            return f"{value:,}"
        case float():
            return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"
        case _:
            return str(value)
