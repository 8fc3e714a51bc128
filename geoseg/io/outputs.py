"""Where results go: checks before any work, temporary names while it runs, one move to the final names at its end."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

from geoseg.errors import OutputError, ResourceError, WriteError

ENDINGS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "vector": (".gpkg", ".geojson", ".json", ".shp", ".fgb", ".parquet"),
        "raster": (".tif", ".tiff"),
        "scores": (".tif", ".tiff"),
        "preview": (".png",),
    }
)
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
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
        return tuple(final.with_suffix(suffix) for suffix in _SHAPEFILE)
    appended = _APPENDED.get(".tif" if ending == ".tiff" else ending, ())
    return tuple(final.with_name(final.name + suffix) for suffix in appended)


def require_space(folder: Path, needed: int, purpose: str) -> None:
    """Nothing when `folder`'s disk has `needed` bytes left; raises ResourceError otherwise."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise ResourceError(
            f"{folder}: {purpose} needs about {size_text(needed)} of disk, found {size_text(free)}; "
            "free some space, or write to another disk"
        )


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


def shown(path: Path) -> Path:
    """The final name of a path that may be a temporary one: what messages show."""
    while path.parent.parent.name.startswith(STAGED):
        path = path.parent.parent.parent / path.name
    return path


def write_error(path: Path, reason: Exception | str) -> WriteError:
    """The WriteError for `path`: says so where the disk is full, and how much is left."""
    path = shown(path)
    folder = path.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    full = isinstance(reason, OSError) and reason.errno in _FULL
    text = (reason.strerror if isinstance(reason, OSError) else None) or " ".join(str(reason).split())
    if full or free < _LITTLE:
        remedy = f"{size_text(free)} of disk are left there: free some space, or write to another disk"
    else:
        remedy = (
            f"check that the {size_text(free)} left on the disk are enough, that the folder is writable, and that "
            "no other program holds the file"
        )
    return WriteError(f"{path}: could not be written ({text}); {remedy}")


class Staging:
    """Files under temporary names beside their final ones.

    Each final file gets a folder of its own inside a hidden one beside it, so that formats of several files move
    together. Leaving the `with` block without `commit` removes everything, also on Ctrl-C. What a killed process leaves
    is the hidden folder `.geoseg-*`, never a file under a final name.
    """

    def __init__(self, finals: Iterable[str | Path], overwrite: bool) -> None:
        """Make the folders; raises OutputError where that is impossible."""
        self._overwrite = overwrite
        self._roots: dict[Path, Path] = {}
        self._folders: dict[Path, Path] = {}
        try:
            for final in map(Path, finals):
                self._folders[final] = self._root(final) / str(len(self._folders))
                self._folders[final].mkdir()
        except OSError as error:
            self.abort()
            raise OutputError(f"{final}: its folder cannot be written to ({error.strerror}); choose another") from error

    def _root(self, final: Path) -> Path:
        if final.parent not in self._roots:
            self._roots[final.parent] = Path(tempfile.mkdtemp(prefix=STAGED, dir=final.parent))
        return self._roots[final.parent]

    def path(self, final: str | Path) -> Path:
        """Where to write what will become `final`; sidecar files go into the same folder."""
        return self._folders[Path(final)] / Path(final).name

    def scratch(self, final: str | Path, name: str) -> Path:
        """A place on the same disk as `final` for a file that is needed only while the job runs."""
        return self._roots[Path(final).parent] / name

    def commit(self) -> None:
        """Move everything to the final names. Raises WriteError or OutputError, and then leaves none of it behind."""
        for final in self._folders:
            if not self.path(final).is_file():
                raise WriteError(f"{final}: was never written; nothing has been moved to its final place")
            if not self._overwrite:
                _check_free(final, overwrite=False)
        moved: list[Path] = []
        try:
            for final in self._folders:
                with writing(final):
                    self._move(final, moved)
        except BaseException:
            for path in moved:
                path.unlink(missing_ok=True)
            raise
        finally:
            self.abort()

    def _move(self, final: Path, moved: list[Path]) -> None:
        """Sidecars first and the main file last, so that a file that exists is complete; `moved` lists the new ones."""
        staged = sorted(self._folders[final].iterdir(), key=lambda path: path.name == final.name)
        for path in staged:
            _flush(path)
        arriving = {final.parent / path.name for path in staged}
        for stale in companions(final):
            if stale not in arriving:
                stale.unlink(missing_ok=True)
        for path in staged:
            target = final.parent / path.name
            new = not target.exists()
            path.replace(target)
            if new:
                moved.append(target)

    def abort(self) -> None:
        """Remove every temporary file; safe to call at any time, and twice."""
        for root in self._roots.values():
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


def _check_folder(final: Path) -> None:
    if not final.parent.is_dir():
        raise OutputError(f"{final}: the folder {final.parent} does not exist; create it first")
    try:
        with tempfile.TemporaryFile(dir=final.parent):
            pass
    except OSError as error:
        raise OutputError(
            f"{final}: the folder {final.parent} cannot be written to ({error.strerror}); choose another"
        ) from error


def _check_free(final: Path, overwrite: bool) -> None:
    if final.is_dir():
        raise OutputError(f"{final}: is a folder; expected a file name")
    own = (final, *companions(final)) if final.suffix.lower() == ".shp" else (final,)
    found = [path for path in own if path.exists()]
    if found and not overwrite:
        raise OutputError(f"{found[0]}: exists already; pass --overwrite to replace it, or choose another name")


def _flush(path: Path) -> None:
    """Bring the file's bytes to the disk: some file systems report that they are full only now."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
