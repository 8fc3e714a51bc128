"""Where results go: checks before any work, temporary names while it runs, one move to the final names at its end."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

from geoseg.errors import OutputError, WriteError
from geoseg.io.swap import Swap

ENDINGS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "vector": (".gpkg", ".geojson", ".json", ".shp", ".fgb", ".parquet"),
        "raster": (".tif", ".tiff"),
        "scores": (".tif", ".tiff"),
        "preview": (".png",),
        "model": (".safetensors",),
        "report": (".html", ".htm"),
        "figures": (".json",),
    }
)
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, None)  # None: of GDAL, which does not tell
_PLAIN = "out"  # what files are called while they are written
STAGED = ".geoseg-"  # what the names of temporary folders begin with
_LITTLE = 64 << 20  # bytes: with less than this left, a failed write is put down to the disk
_SHAPEFILE = (".shx", ".dbf", ".prj", ".cpg", ".qix", ".sbn", ".sbx", ".shp.xml")
_APPENDED = {".gpkg": ("-wal", "-shm", "-journal"), ".tif": (".aux.xml", ".ovr", ".msk"), ".png": (".aux.xml",)}


def check_outputs(
    paths: Mapping[str, str | Path | None], overwrite: bool, inputs: Iterable[str | Path] = ()
) -> dict[str, Path]:
    """The final paths by kind (a key of ENDINGS), checked before any work; None entries are left out.

    Raises OutputError for an unknown ending, a URL, a missing or read-only folder, a file that stands there without
    `overwrite`, two outputs that share a file, and an output that would replace one of `inputs`.
    """
    finals = {kind: check_ending(kind, path) for kind, path in paths.items() if path is not None}
    for final in finals.values():
        _check_name(final)
    taken: dict[Path, str] = {}
    for kind, final in finals.items():
        for file in (final, *companions(final)):
            place = _real(file)
            if place in taken:
                raise OutputError(f"{final}: the outputs {taken[place]} and {kind} share this file; name two files")
            taken[place] = kind
        _check_folder(final)
        _check_free(final, overwrite)
    for path in inputs:
        if "://" not in str(path) and _real(Path(path)) in taken:
            raise OutputError(f"{path}: is read by this job and cannot be its output too; choose another output file")
    return finals


def check_ending(kind: str, path: str | Path) -> Path:
    """The path of an output of that kind (a key of ENDINGS). Raises OutputError for a URL or an unknown ending."""
    if "://" in str(path) or str(path).startswith("/vsi"):
        raise OutputError(f"{path}: outputs go to local files; write to a folder, then copy the file there")
    final, known = Path(path), ENDINGS[kind]
    if final.suffix.lower() not in known:
        found = f"the ending {final.suffix!r}" if final.suffix else "no ending"
        raise OutputError(f"{path}: found {found}; expected {' '.join(known)} for {kind}")
    return final


def companions(final: Path) -> tuple[Path, ...]:
    """Files beside `final` that belong to it and that an older result of the same name may have left."""
    ending = final.suffix.lower()
    if ending == ".shp":
        return tuple(final.with_suffix(cased) for suffix in _SHAPEFILE for cased in (suffix, suffix.upper()))
    appended = _APPENDED.get(".tif" if ending == ".tiff" else ending, ())
    return tuple(final.with_name(final.name + suffix) for suffix in appended)


def size_text(count: int) -> str:
    """A number of bytes for people, for instance `3.2 GB`."""
    value = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


@contextmanager
def writing(path: Path, *kinds: type[Exception]) -> Iterator[None]:
    """Turns an OSError, or one of `kinds`, into a WriteError that names `path`, the reason and the remedy."""
    expected: tuple[type[Exception], ...] = (OSError, *kinds)
    try:
        yield
    except expected as error:
        raise write_error(path, error) from error


def write_error(path: Path, reason: Exception | str) -> WriteError:
    """The WriteError for `path`: says so where the disk is full, and how much is left."""
    text = (reason.strerror if isinstance(reason, OSError) else None) or " ".join(str(reason).split())
    return WriteError(f"{path}: could not be written ({text}); {_remedy(_standing(path.parent), reason)}")


def _remedy(folder: Path, reason: Exception | str) -> str:
    """What to do about a failed write into that folder."""
    free = shutil.disk_usage(folder).free
    if free < _LITTLE:
        return f"{size_text(free)} of disk are left there: free some space, or write to another disk"
    if isinstance(reason, str) or (isinstance(reason, OSError) and reason.errno in _FULL):
        return (
            f"{size_text(free)} of disk are left there: look for a quota or a limit to the size of files, or write to "
            "another disk"
        )
    if isinstance(reason, OSError):
        return "check that the folder is writable, and that no other program holds the file"
    return "try another format or another disk, or report it with the output of `geoseg doctor`"


def _standing(folder: Path) -> Path:
    """The folder, or the nearest above it that exists."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


class Staging:
    """Files under temporary names beside their final ones.

    Each final file gets a folder of its own inside a hidden one beside it, so that formats of several files move
    together; its name there is a plain one, since drivers do not take every name. Where a final name is a link, what it
    leads to is replaced. Leaving the `with` block without `commit` removes everything, also on Ctrl-C.

    What a process killed before `commit` leaves is the hidden folder `.geoseg-*`, never a file under a final name. One
    killed amid the renames of `commit` may leave some of the results, each of them complete, and the files that they
    replace in the folder `old` inside the hidden one.
    """

    def __init__(self, finals: Iterable[str | Path], overwrite: bool, named: Path | None = None) -> None:
        """Make the folders; raises OutputError where that is impossible.

        `named` is what messages call a single final, where that is a temporary file itself.
        """
        self._overwrite, self._named = overwrite, named
        self._swap = Swap()
        self._targets = {final: _real(final) for final in map(Path, finals)}
        self._roots: dict[Path, Path] = {}
        self._folders: dict[Path, Path] = {}
        try:
            for final in self._targets:
                self._folders[final] = self._root(final) / str(len(self._folders))
                self._folders[final].mkdir()
        except OSError as error:
            self.abort()
            raise OutputError(
                f"{self._name(final)}: its folder cannot be written to ({error.strerror}); choose another"
            ) from error
        except BaseException:
            self.abort()
            raise

    def _root(self, final: Path) -> Path:
        place = self._targets[final].parent
        if place not in self._roots:  # noted before it is made: an interruption between the two leaves nothing
            self._roots[place] = place / f"{STAGED}{secrets.token_hex(4)}"
            self._roots[place].mkdir(mode=0o700)
        return self._roots[place]

    def _name(self, final: Path) -> Path:
        return self._named or final

    def path(self, final: str | Path) -> Path:
        """Where to write what will become `final`; sidecar files go into the same folder."""
        return self._folders[Path(final)] / f"{_PLAIN}{Path(final).suffix.lower()}"

    def scratch(self, final: str | Path, name: str) -> Path:
        """A place on the same disk as `final` for a file that is needed only while the job runs."""
        return self._root(Path(final)) / name

    def commit(self) -> None:
        """Move everything to the final names.

        Raises WriteError or OutputError, and then every final name is as it was before.
        """
        for final in self._folders:
            if not self.path(final).is_file():
                raise WriteError(f"{self._name(final)}: was never written; nothing has been moved to its final place")
            _check_free(final, self._overwrite)
        try:
            for step in (self._flush, self._move_aside, self._move_in):
                for final in self._folders:
                    with writing(self._name(final)):
                        step(final)
            self._swap.settle()
        except BaseException as error:
            self.abort()
            for place, aside in self._swap.moves:
                raise WriteError(f"{place}: could not be put back; it is kept as {aside}") from error
            raise
        self.abort()

    def _flush(self, final: Path) -> None:
        """Bring the files' bytes to the disk: some file systems report that they are full only now."""
        for path in self._folders[final].iterdir():
            with path.open("rb+") as file:
                os.fsync(file.fileno())

    def _move_aside(self, final: Path) -> None:
        """The main file first and its companions after it, so that a file that exists is complete."""
        target, aside = self._targets[final], self._root(final) / "old"
        for old in (target, *companions(target)):
            if os.path.lexists(old) and not old.is_dir():
                aside.mkdir(exist_ok=True)
                self._swap.move(old, aside / old.name)

    def _move_in(self, final: Path) -> None:
        """Companions first and the main file last, for the same reason."""
        target, main = self._targets[final], self.path(final)
        for path in list(self._folders[final].iterdir()):
            if path.name.startswith(main.name) and path != main:
                self._swap.move(path, target.with_name(target.name + path.name.removeprefix(main.name)))
            elif path != main:
                self._swap.move(path, target.with_suffix(path.suffix))
        self._swap.move(main, target)

    def abort(self) -> None:
        """Take back a commit that did not end, and remove every temporary file; safe to call at any time, and twice."""
        self._swap.undo()
        for root in () if self._swap.moves else self._roots.values():
            shutil.rmtree(root, ignore_errors=True)

    def __enter__(self) -> Self:
        """The staging itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove what was not committed."""
        self.abort()


def _real(path: Path) -> Path:
    """The file meant, whatever links lead to it."""
    return Path(os.path.realpath(path))


def _check_name(final: Path) -> None:
    try:
        final.lstat()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise OutputError(f"{str(final)!r}: cannot be a file's name ({reason}); choose another") from error


def _check_folder(final: Path) -> None:
    folder = _real(final).parent
    if not folder.is_dir():
        raise OutputError(f"{final}: the folder {folder} does not exist; create it first")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputError(
            f"{final}: the folder {folder} cannot be written to ({error.strerror}); choose another"
        ) from error


def _check_free(final: Path, overwrite: bool) -> None:
    if final.is_dir():
        raise OutputError(f"{final}: is a folder; expected a file name")
    own = (final, *companions(final)) if final.suffix.lower() == ".shp" else (final,)
    found = [path for path in own if path.exists()]
    if found and not overwrite:
        raise OutputError(
            f"{found[0]}: exists already; pass --overwrite (overwrite in Python) to replace it, or choose another name"
        )
