"""What all tests share."""

from __future__ import annotations

import importlib
import os
import subprocess
from pathlib import Path
from typing import Any, NoReturn

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Leave out what newer versions of affine say about `*`, which older ones still need."""
    config.addinivalue_line("filterwarnings", "ignore:Use `@` matmul:PendingDeprecationWarning")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real imagery, named by GEOSEG_DATA; without it the test is skipped, and fails in CI."""
    named = os.environ.get("GEOSEG_DATA", "")
    if not named or not Path(named).is_dir():
        missing(f"GEOSEG_DATA names no folder of real imagery (found {named!r})")
    return Path(named)


@pytest.fixture(scope="session")
def qgis_python() -> Path:
    """The system's Python, which has QGIS; without it the test is skipped, and fails in CI."""
    python = Path("/usr/bin/python3")
    asked = [python, "-c", "import qgis.core"]
    if not python.is_file() or subprocess.run(asked, capture_output=True, check=False).returncode:
        missing("QGIS is not installed for the system's Python (packages qgis and python3-qgis)")
    return python


def needed(package: str) -> Any:
    """A package of an extra; without it the test is skipped, and fails in CI."""
    try:
        return importlib.import_module(package)
    except ImportError:
        missing(f"the package {package} is not installed: pip install 'geoseg[all]'")


def missing(what: str) -> NoReturn:
    """Skip a test for want of something that a user's machine may lack; in CI that is a failure."""
    if os.environ.get("CI"):
        pytest.fail(what)
    pytest.skip(what, allow_module_level=True)
