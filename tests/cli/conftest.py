"""The command line, called in this process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from geoseg_cli.main import main


@dataclass(frozen=True, slots=True)
class Answer:
    code: int
    out: str
    err: str


@pytest.fixture
def geoseg(capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """Call `geoseg ARGS...`; what comes back is its exit code and what it printed."""

    def call(*args: Any) -> Answer:
        capsys.readouterr()
        code = main([str(arg) for arg in args])
        return Answer(code, *capsys.readouterr())

    return call
