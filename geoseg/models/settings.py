"""What a model is to run on."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch


@dataclass(frozen=True, slots=True)
class Settings:
    """A device, a precision ("fp32", "bf16" or "fp16") and the threads of a CPU; None leaves those as they are."""

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    precision: str = "fp32"
    threads: int | None = None

    @property
    def thread_count(self) -> int:
        """The number of threads to use on a CPU."""
        return self.threads or torch.get_num_threads()
