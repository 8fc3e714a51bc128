"""What several processes that train one network must have in common, without starting them."""

from __future__ import annotations

import os
import queue
import signal
import threading
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from geoseg.core.protocols import Silent
from geoseg.inference.device import Compute, choose
from geoseg.training import depthwise
from geoseg.training.fitting import run, speed, spreading
from tests.training.fitting.courses import course, options, squares


@dataclass
class Member:
    """One of two processes, by turns: the first one says something, and the second one hears it."""

    rank: int
    tape: list[Any] = field(default_factory=list)
    size: int = 2
    stopped: bool = False

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def number(self, batch: int) -> int:
        return batch

    def agree(self, value: Any) -> Any:
        if not self.leads:
            return self.tape.pop(0)
        self.tape.append(value)
        return value


@pytest.fixture
def compute(monkeypatch: pytest.MonkeyPatch) -> Compute:
    monkeypatch.setattr("geoseg.inference.device.cores", lambda: 1)
    return choose("cpu", "fp32")


def stepped(member: run.Run) -> None:
    """One step, and what follows it."""
    member.begin()
    member.loss(squares(0), 0).backward()
    member.before_update()
    member.optimizer.step()
    member.after_update()
    member.after_step()


@pytest.mark.parametrize("ahead", [0, 1])
def test_processes_stay_in_step_by_the_first_ones_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compute: Compute, ahead: int
) -> None:
    """One clock says that time is over, the other one's does not; both ask each other as often, and agree."""
    now = [0.0]
    monkeypatch.setattr(run, "time", SimpleNamespace(monotonic=lambda: now[0]))
    recipe = options(minutes=1, patience=5, validate_every=100)
    tape: list[Any] = []
    runs = [
        run.Run(course(tmp_path / str(rank), recipe), compute, Member(rank, tape), Silent(), 0.02)  # type: ignore[arg-type]
        for rank in (0, 1)
    ]
    (tmp_path / "0").mkdir()
    for rank, member in enumerate(runs):
        now[0] = 100.0 if rank == ahead else 1.0
        stepped(member)
    assert tape == []
    assert [member.over for member in runs] == [ahead == 0] * 2
    for rank, member in enumerate(runs):
        now[0] = 100.0 if rank == ahead else 1.0
        member.record.checked = 0
        member.catch_up()
    assert tape == []
    state = runs[0].state()
    for rank, member in enumerate(runs):
        member.restore({**state, "record": {**state["record"], "seconds": 100.0 if rank == ahead else 1.0}})
    assert tape == []
    assert [member.over for member in runs] == [ahead == 0] * 2


def test_each_process_learns_at_full_speed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compute: Compute) -> None:
    seen: list[str] = []

    def quick(*_: Any) -> torch.Tensor:
        seen.append("depthwise")
        return torch.zeros(1)

    def trained(*_: Any) -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            nn.Conv2d(8, 8, 3, groups=8)(torch.zeros(1, 8, 9, 9))

    monkeypatch.setattr(depthwise._Depthwise, "apply", quick)
    monkeypatch.setattr(speed, "keep_freed_memory", lambda: seen.append("memory"))
    monkeypatch.setattr(import_module("geoseg.training.fitting.fit"), "go_on", trained)  # `fit` is the function too
    for name in ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "WORLD_SIZE", "RANK", "LOCAL_RANK"):
        monkeypatch.setenv(name, os.environ.get(name, ""))  # so that they are taken back
    orders = spreading.Orders(
        course(tmp_path, options()), compute, 0.02, spreading._free_port(), queue.Queue(), threading.Event()
    )
    heed = signal.getsignal(signal.SIGINT)
    try:
        spreading._member(0, orders)
    finally:
        signal.signal(signal.SIGINT, heed)
    assert seen == ["memory", "depthwise"]
