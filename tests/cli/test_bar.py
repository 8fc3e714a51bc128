from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from geoseg_cli.bar import RichProgress
from geoseg_cli.tally import Tally

PLAN = {"tiles": {"planned": 64}}


class Clock:
    """A clock that stands still until it is told."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def screen() -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=110, color_system=None)


@pytest.fixture
def progress(screen, clock):
    bar = RichProgress(screen, Tally(clock=clock))
    yield bar
    bar.close()


def drawn(screen: Console) -> list[str]:
    """The lines that were drawn, in order, without the terminal's control codes."""
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "\n", screen.file.getvalue())
    return [line.strip() for line in re.split(r"[\r\n]+", text) if line.strip()]


def last_frame(screen: Console) -> str:
    """What stands on the screen in the end, below the warnings."""
    return screen.file.getvalue().rpartition("\x1b[2K")[2]


def test_the_bar_shows_tiles_pace_and_time_left(progress, screen, clock):
    progress.plan(PLAN)
    clock.now = 4.0
    progress.advance(16, 8_000_000)
    progress.close()
    assert "16/64 tiles · 2.0 Mpx/s · 0:12 left" in drawn(screen)[-1]
    assert "25%" in drawn(screen)[-1]


def test_warnings_come_out_above_the_bar_and_as_they_are(progress, screen):
    progress.plan(PLAN)
    progress.warn("the field [area] is renamed")
    progress.close()
    told = drawn(screen)
    assert "warning: the field [area] is renamed" in told
    assert "predicting" in told[-1]


def test_stages_get_their_own_line_and_the_last_is_finished(progress, screen, clock):
    progress.plan(PLAN)
    clock.now = 1.0
    progress.advance(64, 100)
    progress.stage("writing polygons")
    progress.result({})
    progress.close()
    first, second = drawn(screen)[-2:]
    assert "predicting" in first
    assert "100%" in first
    assert "left" not in first
    assert second.startswith("✓ writing polygons")


def test_a_stage_before_the_plan_is_no_error(progress, screen):
    progress.stage("measuring values")
    progress.plan(PLAN)
    progress.close()
    assert [line.split()[1] for line in drawn(screen)[-2:]] == ["measuring", "predicting"]


def test_a_new_plan_takes_the_place_of_the_old_one(progress, screen, clock):
    progress.plan(PLAN)
    clock.now = 1.0
    progress.advance(10, 100)
    progress.plan({"tiles": {"planned": 80}})
    progress.close()
    assert "0/80 tiles" in last_frame(screen)
    assert last_frame(screen).count("predicting") == 1


def test_a_stage_that_an_error_ends_leaves_no_line(progress, screen):
    progress.stage("planning")
    progress.close()
    assert "planning" in screen.file.getvalue()
    assert "planning" not in last_frame(screen)


def test_a_training_shows_steps_loss_and_its_own_time_left(progress, screen, clock):
    progress.plan({"kind": "train", "steps": 200, "tiles": {"planned": 200}})
    progress.stage("preparing")
    progress.plan({"steps": 200, "step": 0})
    progress.stage("training")
    clock.now = 4.0
    progress.advance(50, 1000)
    progress.note({"loss": 0.4321, "best_iou": 0.71, "seconds_left": 75})
    progress.stage("validating")
    assert "validating" in last_line(progress, screen)
    progress.stage("training")
    progress.close()
    last = drawn(screen)[-1]
    assert "training" in last
    assert "50/200 steps · loss 0.432 · best IoU 0.710 · 1:15 left" in last
    assert last_frame(screen).count("steps") == 1


def test_what_follows_a_training_has_lines_of_its_own(progress, screen):
    progress.plan({"steps": 4})
    progress.advance(3, 0)
    progress.stage("predicting town")
    progress.advance(1, 100)
    progress.stage("writing")
    progress.result({})
    progress.close()
    training, predicting, writing = drawn(screen)[-3:]
    assert "3/4 steps" in training
    assert predicting.startswith("✓ predicting town")
    assert writing.startswith("✓ writing")


def test_a_training_by_the_clock_has_no_number_of_steps(progress, screen, clock):
    progress.plan({"minutes": 10})
    clock.now = 60.0
    progress.advance(12, 0)
    progress.note({"seconds_left": 540})
    progress.close()
    assert "12 steps · 9:00 left" in drawn(screen)[-1]
    assert "10%" in drawn(screen)[-1]


def test_a_comparison_counts_scenes_and_says_what_it_does(progress, screen):
    progress.plan({"kind": "evaluate", "tiles": {"planned": 2}})
    progress.stage("predicting town")
    progress.advance(1, 100)
    assert "predicting town" in last_line(progress, screen)
    progress.advance(1, 100)
    progress.stage("writing")
    progress.close()
    assert "2/2 scenes" in screen.file.getvalue()


def last_line(progress: RichProgress, screen: Console) -> str:
    """The bar as it stands now."""
    progress._bar.refresh()
    return drawn(screen)[-1]
