from __future__ import annotations

import contextlib
import json
import signal
import sys
import types
from dataclasses import dataclass
from typing import Any

import pytest

from geoseg.errors import ReadError, SceneError
from geoseg_cli.signals import ENDING, heed, terminable

PLAN = {"tiles": {"planned": 8}, "outputs": {"vector": "o.gpkg"}}
SUMMARY = {"outputs": {"vector": "o.gpkg"}, "polygons": {"building": 3}, "seconds": 1.0}
WORDS = ("predict", "scene.tif", "--task", "buildings", "-o", "o.gpkg")


@dataclass
class Jobs:
    """Stands in for the library: a run tells one step, then ends as the test wants."""

    plan_error: BaseException | None = None
    run_error: BaseException | None = None
    ran: int = 0

    def plan(self, job: Any) -> Any:
        if self.plan_error:
            raise self.plan_error
        return types.SimpleNamespace(describe=lambda: PLAN)

    def run(self, plan: Any, progress: Any) -> Any:
        self.ran += 1
        progress.plan(plan.describe())
        progress.advance(3, 1000)
        progress.warn("one block is bad")
        if self.run_error:
            raise self.run_error
        progress.stage("writing polygons")
        return types.SimpleNamespace(summary=SUMMARY)


@pytest.fixture
def jobs(monkeypatch) -> Jobs:
    fake = Jobs()
    monkeypatch.setitem(sys.modules, "geoseg.jobs.plan", types.SimpleNamespace(plan=fake.plan))
    monkeypatch.setitem(sys.modules, "geoseg.jobs.run", types.SimpleNamespace(run=fake.run))
    monkeypatch.delenv("GEOSEG_DEBUG", raising=False)
    return fake


def told(out: str) -> list[dict]:
    return [json.loads(line) for line in out.splitlines()]


def test_jsonl_is_all_that_stands_on_stdout(geoseg, jobs):
    answer = geoseg(*WORDS, "--progress", "jsonl")
    lines = told(answer.out)
    assert answer.code == 0
    assert answer.err == ""
    assert [line["type"] for line in lines] == ["progress", "plan", "progress", "warning", "progress", "result"]
    assert [line["stage"] for line in lines if "stage" in line] == ["planning", "predicting", "writing polygons"]
    assert lines[-1]["result"] == SUMMARY


@pytest.mark.parametrize(
    ("error", "exit_code", "code"),
    [
        (ReadError("scene.tif: rows 0 to 9 are unreadable"), 1, "read"),
        (SceneError("scene.tif: no bands"), 2, "scene"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (RuntimeError("odd\nthing"), 1, "internal"),
        (MemoryError(), 1, "internal"),
    ],
)
def test_an_error_is_told_on_both_sides_and_by_the_exit_code(geoseg, jobs, error, exit_code, code):
    jobs.run_error = error
    answer = geoseg(*WORDS, "--progress", "jsonl")
    last = told(answer.out)[-1]
    assert answer.code == exit_code
    assert (last["type"], last["code"], last["exit_code"]) == ("error", code, exit_code)
    assert "\n" not in last["message"]
    assert len(answer.err.strip().splitlines()) == 1
    assert last["message"] in answer.err


def test_an_error_before_the_plan_is_told_too(geoseg, jobs):
    jobs.plan_error = SceneError("scene.tif: no bands")
    last = told(geoseg(*WORDS, "--progress", "jsonl").out)[-1]
    assert last == {"geoseg": 1, "type": "error", "code": "scene", "message": "scene.tif: no bands", "exit_code": 2}


def test_a_bad_job_is_told_too(geoseg, jobs, tmp_path):
    job = tmp_path / "job.json"
    job.write_text('{"scene": {"paths": ["a.tif"]}, "task": "buildings", "colour": 1}')
    answer = geoseg("run", job, "--progress", "jsonl")
    assert answer.code == 2
    assert told(answer.out)[-1]["code"] == "spec"
    assert "job.json: colour" in answer.err
    job.write_text("{")
    assert "not JSON" in geoseg("run", job).err
    job.write_bytes(b"\xff\xfe\x00")
    assert "cannot be read as a job" in geoseg("run", job).err


def test_a_dry_run_runs_nothing(geoseg, jobs):
    assert json.loads(geoseg(*WORDS, "--dry-run", "--json").out) == PLAN
    last = told(geoseg(*WORDS, "--dry-run", "--progress", "jsonl").out)[-1]
    assert last == {"geoseg": 1, "type": "plan", "plan": PLAN}
    assert jobs.ran == 0


def test_a_result_as_json_leaves_warnings_to_stderr(geoseg, jobs):
    answer = geoseg(*WORDS, "--json")
    assert json.loads(answer.out) == SUMMARY
    assert answer.err == "geoseg: warning: one block is bad\n"


def test_a_bar_stays_on_stderr(geoseg, jobs):
    answer = geoseg(*WORDS, "--progress", "bar", "--json")
    assert json.loads(answer.out) == SUMMARY
    assert "3/8 tiles" in answer.err
    assert "warning: one block is bad" in answer.err


def test_an_interrupted_bar_says_so(geoseg, jobs):
    jobs.run_error = KeyboardInterrupt()
    answer = geoseg(*WORDS, "--progress", "bar")
    assert (answer.code, answer.out) == (130, "")
    assert answer.err.rstrip().endswith("geoseg: interrupted")


def test_nothing_is_told_to_a_reader_that_went_away(geoseg, jobs):
    jobs.run_error = BrokenPipeError(32, "Broken pipe")
    answer = geoseg(*WORDS, "--progress", "jsonl")
    assert answer.code == 1
    assert told(answer.out)[-1]["type"] == "warning"
    assert "internal error" not in answer.err


@pytest.fixture
def handlers():
    """The handlers of signals, which stand again after the test."""
    before = {number: signal.getsignal(number) for number in ENDING}
    yield before
    for number, handler in before.items():
        signal.signal(number, handler)


def interrupted(*while_ending: int) -> None:
    """What is raised by the first signal, others following it."""
    with terminable():
        try:
            signal.raise_signal(while_ending[0])
        finally:
            for number in while_ending[1:]:
                signal.raise_signal(number)


def making_another_error_of_it() -> None:
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        raise TypeError("what a library made of it") from None


def going_on() -> None:
    with contextlib.suppress(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("strike", [making_another_error_of_it, going_on])
def test_an_interruption_that_a_library_caught_ends_the_job(geoseg, jobs, monkeypatch, strike, handlers):
    def run(plan, progress):
        progress.plan(plan.describe())
        strike()
        progress.advance(1, 1)
        raise AssertionError("the job went on")

    monkeypatch.setattr(sys.modules["geoseg.jobs.run"], "run", run)
    answer = geoseg(*WORDS, "--progress", "jsonl")
    assert (answer.code, answer.err.strip()) == (130, "geoseg: interrupted")
    assert told(answer.out)[-1]["code"] == "interrupted"


def test_outside_of_a_job_there_is_nothing_to_heed():
    heed()


@pytest.mark.parametrize("number", ENDING)
def test_the_first_signal_interrupts_and_those_after_it_do_not(number, handlers):
    with pytest.raises(KeyboardInterrupt, match=signal.Signals(number).name):
        interrupted(number, *ENDING)
    for again in ENDING:  # while the process ends
        signal.raise_signal(again)


def test_cleaning_up_that_takes_too_long_is_interrupted_again(monkeypatch, handlers):
    monkeypatch.setattr("geoseg_cli.signals.PATIENCE", -1.0)
    with pytest.raises(KeyboardInterrupt, match="SIGTERM"):
        interrupted(signal.SIGINT, signal.SIGTERM)


def test_without_a_signal_nothing_changes(handlers):
    with terminable():
        assert all(signal.getsignal(number) is not handlers[number] for number in ENDING)
    assert {number: signal.getsignal(number) for number in ENDING} == handlers


def test_a_signal_that_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with terminable():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
