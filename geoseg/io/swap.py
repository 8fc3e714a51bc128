"""Files put in the place of others: all of them, or none."""

from __future__ import annotations

import os
from pathlib import Path


class Swap:
    """Renames that can be taken back, the latest first, until they are settled.

    Each is noted before it is done, so that an interruption at any moment leaves nothing that is not known.
    """

    def __init__(self) -> None:
        """Nothing moved yet."""
        self._moves: list[tuple[Path, Path]] = []

    @property
    def moves(self) -> tuple[tuple[Path, Path], ...]:
        """(from, to) of each rename that is neither settled nor taken back."""
        return tuple(self._moves)

    def move(self, source: Path, target: Path) -> None:
        """Rename a file; one that stands at `target` is replaced for good. Raises OSError."""
        self._moves.append((source, target))
        source.replace(target)

    def settle(self) -> None:
        """Keep everything as it is now."""
        self._moves.clear()

    def undo(self) -> None:
        """Take back every rename that can be; `moves` tells the others. Safe to call twice."""
        left = []
        while self._moves:
            source, target = self._moves[-1]
            try:
                if os.path.lexists(target) and not os.path.lexists(source):
                    target.replace(source)
            except OSError:
                left.append((source, target))
            self._moves.pop()
        self._moves = left[::-1]
