from __future__ import annotations

import io
import json
import threading

import pytest

from geoseg_cli.jsonl import PROTOCOL, JsonlProgress, to_json
from geoseg_cli.tally import Tally

PLAN = {"tiles": {"planned": 100}, "memory_bytes": 1}


class Clock:
    """A clock that stands still until it is told."""

    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def progress(stream, clock) -> JsonlProgress:
    return JsonlProgress(stream, interval=0.25, tally=Tally(clock=clock))


def lines(stream: io.StringIO) -> list[dict]:
    assert stream.getvalue().endswith("\n")
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_every_line_has_version_and_type(progress, stream):
    progress.plan(PLAN)
    progress.advance(1, 10)
    progress.stage("writing polygons")
    progress.warn("a\nb")
    progress.result({"outputs": {}})
    progress.error("read", "broken", 1)
    told = lines(stream)
    assert {line["geoseg"] for line in told} == {PROTOCOL}
    assert [line["type"] for line in told] == ["plan", "progress", "progress", "warning", "result", "error"]
    assert told[0]["plan"] == PLAN
    assert told[-1] == {"geoseg": 1, "type": "error", "code": "read", "message": "broken", "exit_code": 1}


def test_progress_is_throttled_and_its_last_state_is_always_told(progress, stream, clock):
    progress.plan(PLAN)
    for _ in range(100):
        clock.now += 0.01
        progress.advance(1, 1000)
    progress.result({})
    told = [line for line in lines(stream) if line["type"] == "progress"]
    assert 4 <= len(told) <= 6
    assert told[-1]["tiles"] == told[-1]["tiles_total"] == 100
    assert told[-1]["fraction"] == 1.0
    assert told[-1]["pixels"] == 100_000


def test_a_stage_tells_what_is_left_of_the_one_before(progress, stream):
    progress.plan(PLAN)
    progress.advance(1, 1)
    progress.advance(99, 1)
    progress.stage("writing polygons")
    told = [(line["stage"], line["tiles"]) for line in lines(stream) if line["type"] == "progress"]
    assert told == [("predicting", 1), ("predicting", 100), ("writing polygons", 100)]


def test_an_error_tells_the_last_counts_first(progress, stream):
    progress.plan(PLAN)
    progress.advance(1, 1)
    progress.advance(1, 1)
    progress.error("read", "broken", 1)
    assert [line.get("tiles") for line in lines(stream)][1:] == [1, 2, None]


def test_pace_and_time_left(progress, stream, clock):
    progress.plan(PLAN)
    clock.now += 2
    progress.advance(20, 5_000_000)
    told = lines(stream)[-1]
    assert (told["seconds"], told["mpx_per_s"], told["seconds_left"]) == (2.0, 2.5, 8.0)


def test_a_second_plan_starts_the_counts_again(progress, stream):
    progress.plan(PLAN)
    progress.advance(60, 6)
    progress.plan({"tiles": {"planned": 200}})
    progress.stage("x")
    assert (lines(stream)[-1]["tiles"], lines(stream)[-1]["tiles_total"]) == (0, 200)


def test_numbers_that_json_does_not_know_become_null_and_paths_text(tmp_path):
    text = to_json({"a": float("nan"), "b": [float("inf"), 1.5], "c": tmp_path, 3: (True, None)})
    assert json.loads(text) == {"a": None, "b": [None, 1.5], "c": str(tmp_path), "3": [True, None]}


def test_lines_from_many_threads_do_not_mix(stream):
    progress = JsonlProgress(stream, interval=0.0)
    progress.plan(PLAN)
    threads = [threading.Thread(target=lambda: [progress.advance(1, 7) for _ in range(50)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told = lines(stream)[1:]
    assert [line["tiles"] for line in told] == list(range(1, 201))
    assert told[-1]["pixels"] == 1400
