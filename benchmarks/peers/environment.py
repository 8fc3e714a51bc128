"""The environments of their own that other libraries live in."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Environment:
    """A folder at the project's root, what is installed there, and how large that is."""

    folder: Path
    requirements: Path
    size: str

    @property
    def python(self) -> Path:
        """The interpreter, whether it is there yet or not."""
        return self.folder / "bin" / "python"

    @property
    def done(self) -> Path:
        """A file that says what is installed, once all of it is."""
        return self.folder / "installed.txt"


NETWORKS = Environment(_HERE.parents[1] / ".venv-peers", _HERE / "requirements.txt", "several GB, some minutes")
VECTORS = Environment(_HERE.parents[1] / ".venv-peers-vectors", _HERE / "requirements-vectors.txt", "400 MB")


def installed(environment: Environment) -> bool:
    """Whether it holds what its requirements name."""
    return environment.done.exists() and environment.done.read_text() == environment.requirements.read_text()


def peer_python(environment: Environment = NETWORKS) -> Path:
    """The interpreter of an environment that holds what its requirements name; made when it is not there yet."""
    python = environment.python
    if installed(environment):
        return python
    print(f"installing the peers into {environment.folder} ({environment.size})", flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", environment.folder], check=True)
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*install, "--requirement", environment.requirements], check=True)
    environment.done.write_text(environment.requirements.read_text())
    return python
