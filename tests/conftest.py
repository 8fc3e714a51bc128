"""What all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Leave out what newer versions of affine say about `*`, which older ones still need."""
    config.addinivalue_line("filterwarnings", "ignore:Use `@` matmul:PendingDeprecationWarning")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real imagery, named by GEOSEG_DATA; without it the test is skipped, and fails in CI."""
    named = os.environ.get("GEOSEG_DATA")
    if named and Path(named).is_dir():
        return Path(named)
    message = f"GEOSEG_DATA names no folder of real imagery (found {named!r})"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)
