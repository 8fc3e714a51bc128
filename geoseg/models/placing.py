"""Files that come into being complete: made in a folder of their own, then put where they belong."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from geoseg.errors import OutputError


@contextmanager
def scratch(target: Path) -> Iterator[Path]:
    """An empty folder beside `target`, of a name that nobody else has; it goes with all that is left in it.

    Raises OutputError when `target` is a folder, OSError when the folder cannot be made.
    """
    if target.is_dir():
        raise OutputError(f"{target}: found a folder of that name; expected a file: choose another name")
    with tempfile.TemporaryDirectory(prefix=".geoseg-", dir=target.absolute().parent) as folder:
        yield Path(folder)


def put(files: Sequence[tuple[Path, Path]]) -> None:
    """Give files their final names: each of `files` is (what is ready, where it goes), on one file system.

    All are put or none: what had these names before comes back when one cannot be put. Raises OutputError when a name
    is a folder's, OSError when a file cannot be put.
    """
    for _, final in files:
        if final.is_dir():
            raise OutputError(f"{final}: found a folder of that name; expected a file: choose another name")
    if len(files) == 1:
        files[0][0].replace(files[0][1])
    elif files:
        _put_together(files)


def _put_together(files: Sequence[tuple[Path, Path]]) -> None:
    done: list[tuple[Path, Path | None]] = []
    with scratch(files[0][1]) as kept:
        try:
            for number, (ready, final) in enumerate(files):
                older = final.replace(kept / str(number)) if final.exists() else None
                done.append((final, older))
                ready.replace(final)
        except OSError:
            for final, older in reversed(done):
                if older is None:
                    final.unlink(missing_ok=True)
                else:
                    older.replace(final)
            raise
