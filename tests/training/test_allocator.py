"""Freed memory is kept by the process, where the C library can be told to."""

import platform
import subprocess
import sys

import pytest

CODE = """
import ctypes, psutil
from geoseg.training.allocator import keep_freed_memory
kept = keep_freed_memory() if {ask} else False
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
size = 400 << 20
block = libc.malloc(ctypes.c_size_t(size))
ctypes.memset(block, 1, size)
libc.free(block)
print(kept, psutil.Process().memory_info().rss > size)
"""


def said(ask):
    code = CODE.format(ask=ask)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library, which cannot be told")
def test_freed_memory_stays_with_the_process():
    assert said(False) == ["False", "False"]
    assert said(True) == ["True", "True"]
