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


def test_figures_are_throttled_and_none_is_lost(progress, stream, clock):
    progress.plan({"steps": 100})
    for step in range(10):
        clock.now += 0.1
        progress.note({"loss": step} if step else {"loss": step, "iou": 0.5})
    progress.result({})
    told = [line["values"] for line in lines(stream) if line["type"] == "note"]
    assert told[0] == {"loss": 0, "iou": 0.5}
    assert told[-1] == {"loss": 9}
    assert 3 <= len(told) <= 6


def test_steps_of_a_training_count_from_where_it_goes_on(progress, stream, clock):
    progress.plan({"kind": "train", "steps": None, "tiles": {"planned": 100}})
    progress.plan({"steps": 100, "step": 60})
    clock.now += 10
    progress.advance(10, 0)
    told = lines(stream)[-1]
    assert (told["stage"], told["tiles"], told["fraction"], told["seconds_left"]) == ("training", 70, 0.7, 30.0)
    progress.note({"seconds_left": 50})
    clock.now += 10
    progress.advance(1, 0)
    assert lines(stream)[-1]["seconds_left"] == 40.0


def test_what_follows_a_training_is_none_of_its_steps(progress, stream, clock):
    progress.plan({"steps": 2})
    progress.advance(2, 0)
    progress.stage("validating")
    progress.stage("comparing town")
    clock.now += 1
    progress.advance(1, 50)
    assert (lines(stream)[-1]["tiles"], lines(stream)[-1]["pixels"]) == (2, 0)


def test_a_training_by_the_clock_is_as_far_as_its_time(progress, stream, clock):
    progress.plan({"minutes": 2})
    clock.now += 30
    progress.note({"seconds_left": 90})
    progress.advance(7, 0)
    told = lines(stream)[-1]
    assert (told["tiles"], told["tiles_total"], told["fraction"], told["seconds_left"]) == (7, 0, 0.25, 90.0)
