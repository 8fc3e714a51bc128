"""The environment of their own that other libraries live in."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_HERE = Path(__file__).parent
REQUIREMENTS = _HERE / "requirements.txt"
FOLDER = _HERE.parents[1] / ".venv-peers"


def peer_python(folder: Path = FOLDER) -> Path:
    """The interpreter of an environment that holds what requirements.txt names; made when it is not there yet."""
    python, done = folder / "bin" / "python", folder / "installed.txt"
    wanted = REQUIREMENTS.read_text()
    if done.exists() and done.read_text() == wanted:
        return python
    print(f"installing the peers into {folder} (several GB, some minutes)", flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", REQUIREMENTS]
    subprocess.run(install, check=True)
    done.write_text(wanted)
    return python
