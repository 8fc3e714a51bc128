"""Arrays on the disk: written strip by strip, and mapped into memory afterwards."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from geoseg.errors import ResourceError
from geoseg.io.outputs import STAGED, size_text, writing

RESERVE = 0.02  # of the disk, left free for everything else
Layout = Mapping[str, tuple[tuple[int, ...], np.dtype[Any]]]


class ArrayFile:
    """An array (..., y, x) in a file that NumPy can map. What is never written is 0, and takes no space.

    Bytes are written, not mapped: a full disk is then an error, and not the end of the process.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        """Make the file."""
        self._shape, self._dtype = shape, dtype
        made = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
        self._start = int(made.offset)
        del made
        self._file = path.open("r+b")

    def write(self, y: int, values: NDArray[Any]) -> None:
        """Write full rows (..., y, x) from row `y` on."""
        if not values.any():
            return
        planes = np.ascontiguousarray(values, self._dtype).reshape(-1, *values.shape[-2:])
        height, width = self._shape[-2:]
        for index, plane in enumerate(planes):
            self._file.seek(self._start + (index * height + y) * width * self._dtype.itemsize)
            self._file.write(plane.data)

    def close(self) -> None:
        """Bring everything to the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()


@contextmanager
def filling(folder: Path, layout: Layout, name: str) -> Iterator[dict[str, ArrayFile] | None]:
    """Files for the arrays of a layout, which stand under `folder` once the block has ended; None where they do.

    Other processes that want the same folder wait meanwhile. Raises ResourceError when the disk is too small, naming
    the scene `name`, and WriteError.
    """
    with writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f"{STAGED}{folder.name}.lock")):
        if folder.is_dir():
            yield None
            return
        _check_space(folder.parent, layout, name)
        staged = folder.with_name(f"{STAGED}{folder.name}")
        shutil.rmtree(staged, ignore_errors=True)  # of a process that was killed
        try:
            with writing(folder):
                staged.mkdir()
                files = {key: ArrayFile(staged / f"{key}.npy", *value) for key, value in layout.items()}
            try:
                yield files
            finally:
                with writing(folder):
                    for file in files.values():
                        file.close()
            with writing(folder):
                staged.rename(folder)
        finally:
            shutil.rmtree(staged, ignore_errors=True)


def staged_path(folder: Path, name: str) -> Path:
    """Where a file of the folder lies while it is filled."""
    return folder.with_name(f"{STAGED}{folder.name}") / name


def mapped(folder: Path, name: str) -> NDArray[Any]:
    """One array of a folder, read only."""
    return np.asarray(np.load(folder / f"{name}.npy", mmap_mode="r"))


def _check_space(folder: Path, layout: Layout, name: str) -> None:
    need = sum(int(np.prod(shape)) * dtype.itemsize for shape, dtype in layout.values())
    disk = shutil.disk_usage(folder)
    if need > disk.free - RESERVE * disk.total:
        raise ResourceError(
            f"{name}: training decodes it into {size_text(need)} in {folder}, found {size_text(disk.free)} of disk; "
            "free some space, put the run's folder on another disk (--run), or say what part is labelled (--aoi)"
        )
