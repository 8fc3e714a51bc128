"""Arrays that lie in memory up to a budget, and in temporary files beyond it."""

from __future__ import annotations

import errno
import math
import mmap
import os
import tempfile
import weakref
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from geoseg.errors import WriteError

DEFAULT_BUDGET = 256 << 20  # bytes
_NO_RESERVING = (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS)  # what file systems answer that cannot


class Spool:
    """Hands out arrays, in memory while those in use stay under the budget, else mapped from temporary files.

    The files have no names: nothing is left behind however the process ends. What an array took counts as free once it
    is released, or once nothing refers to it any more. An array is used by one thread at a time.
    """

    def __init__(self, folder: Path | None = None, budget: int = DEFAULT_BUDGET) -> None:
        """Hold `budget` bytes in memory; files go to `folder`, by default the system's temporary one, when needed."""
        self.budget = budget
        self._folder = folder
        self._in_memory: dict[int, int] = {}  # bytes of arrays that are in use, by the identity of what owns them
        self._files: weakref.WeakKeyDictionary[mmap.mmap, IO[bytes]] = weakref.WeakKeyDictionary()
        self._closed = False

    def __enter__(self) -> Self:
        """The spool itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    @property
    def held(self) -> int:
        """Bytes in memory."""
        return sum(list(self._in_memory.values()))

    def empty(self, shape: int | tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """An array of undefined content. Raises WriteError where the disk is full, ValueError once closed."""
        if self._closed:
            raise ValueError("the spool is closed; arrays are asked for before that")
        size = _bytes(shape, dtype)
        if self.held + size <= self.budget:
            memory = np.empty(size, np.uint8)
            self._in_memory[id(memory)] = size
            weakref.finalize(memory, self._in_memory.pop, id(memory), None)
            return memory.view(dtype).reshape(shape)
        return self._mapped(self._new_file(), shape, dtype)

    def longer(self, array: NDArray[Any], length: int) -> NDArray[Any]:
        """An array of `length` rows that begins with those of one of this spool, which is not used any more."""
        shape = (length, *array.shape[1:])
        owner = _owner(array)
        if isinstance(owner, mmap.mmap) and owner in self._files:
            return self._mapped(self._files[owner], shape, array.dtype)
        larger = self.empty(shape, array.dtype)
        larger[: len(array)] = array
        self.release(array)
        return larger

    def release(self, array: NDArray[Any]) -> None:
        """Count an array's memory as free: it is not used any more."""
        self._in_memory.pop(id(_owner(array)), None)

    def on_disk(self, array: NDArray[Any]) -> bool:
        """Whether an array of this spool lies in a file."""
        return isinstance(_owner(array), mmap.mmap)

    def relax(self) -> None:
        """Let go of the memory through which files were seen; their content stays."""
        if not hasattr(mmap, "MADV_DONTNEED"):
            return
        for mapping in list(self._files):
            mapping.madvise(mmap.MADV_DONTNEED)

    def close(self) -> None:
        """Give up the files: they are gone once no array refers to them. Safe to call twice."""
        self._closed = True
        self._in_memory.clear()
        self._files.clear()

    def _new_file(self) -> IO[bytes]:
        try:
            return tempfile.TemporaryFile(dir=self._folder, prefix="geoseg-")
        except OSError as error:
            raise self._unwritable(error) from error

    def _mapped(self, file: IO[bytes], shape: int | tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        size = max(1, _bytes(shape, dtype))  # nothing cannot be mapped
        try:
            _reserve(file.fileno(), size)
            mapping = mmap.mmap(file.fileno(), size)
        except OSError as error:
            raise self._unwritable(error) from error
        self._files[mapping] = file
        return np.frombuffer(mapping, dtype, _bytes(shape, dtype) // np.dtype(dtype).itemsize).reshape(shape)

    def _unwritable(self, error: OSError) -> WriteError:
        folder = Path(tempfile.gettempdir()) if self._folder is None else self._folder
        return WriteError(
            f"{folder}: open polygons outgrew {self.budget >> 20} MB of memory, and could not be kept there instead: "
            f"{error.strerror or error}. Free some space, or name another folder for temporary files (TMPDIR)"
        )


def _bytes(shape: int | tuple[int, ...], dtype: DTypeLike) -> int:
    return math.prod(shape if isinstance(shape, tuple) else (shape,)) * np.dtype(dtype).itemsize


def _owner(array: Any) -> Any:
    """What holds an array's memory: the array that it is a view of, or the map of a file."""
    while True:
        if isinstance(array, np.ndarray) and array.base is not None:
            array = array.base
        elif isinstance(array, memoryview):
            array = array.obj
        else:
            return array


def _reserve(descriptor: int, size: int) -> None:
    """Make a file `size` bytes long at least, on disk too: a write into a map of a full disk would kill the process."""
    if os.fstat(descriptor).st_size >= size:
        return
    try:
        os.posix_fallocate(descriptor, 0, size)
    except (AttributeError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in _NO_RESERVING:
            raise
        os.truncate(descriptor, size)
