"""What is known of every architecture without building it: its size and what it computes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

PATH = Path(__file__).parent / "zoo.json"


def zoo() -> dict[str, Any]:
    """The contents of zoo.json, which `python -m geoseg.models.profile` writes. Quick: torch is not needed.

    `architectures` lists name, kind, description, paper, default encoder, licence, extra, parameters and flops of each
    (`multiply_adds` are half of them) for chips as under `chip`; `published` sets figures of papers beside ours.
    """
    content: dict[str, Any] = json.loads(PATH.read_text(encoding="utf-8"))
    return content
