"""One job from its description to its result, told as the user asked."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from geoseg.errors import GeosegError
from geoseg_cli.failures import FAILURE, INTERRUPTED, internal, one_line, unprinted
from geoseg_cli.signals import heed, interrupted
from geoseg_cli.teller import Teller

if TYPE_CHECKING:
    from geoseg.jobs.spec import JobSpec


@dataclass(frozen=True, slots=True)
class Asked:
    """What the user wants to see: `progress` is auto, bar, jsonl or none."""

    progress: str = "auto"
    dry_run: bool = False
    as_json: bool = False


def execute(make_job: Callable[[], JobSpec], asked: Asked) -> None:
    """Plan the job that `make_job` gives, run it unless a dry run was asked for, and print what came out."""
    from geoseg_cli.show_pull import tell_downloads

    tell_downloads()
    with telling(asked.progress) as teller:
        job = make_job()
        teller.stage("planning")
        from geoseg.jobs.kinds import prepare

        prepared = prepare(job)
        if asked.dry_run:
            outcome = prepared.describe()
            teller.planned(outcome)
        else:
            outcome = prepared.run(_Heeding(teller)).summary
            teller.result(outcome)
    if asked.progress != "jsonl":
        _show(outcome, asked, job.kind)


@contextlib.contextmanager
def telling(kind: str) -> Iterator[Teller]:
    """Progress of the kind asked for; an error inside is told to it, and goes on."""
    with contextlib.closing(_teller(kind)) as teller:
        try:
            yield teller
        except BrokenPipeError:  # nobody listens any more
            raise
        except BaseException as error:
            _tell(teller, error)
            raise


def _tell(teller: Teller, error: BaseException) -> None:
    """Tell why the job ended; whatever came after a signal is the interruption."""
    if isinstance(error, KeyboardInterrupt) or interrupted():
        teller.error("interrupted", "interrupted", INTERRUPTED)
    elif isinstance(error, GeosegError):
        teller.error(error.code, one_line(str(error)), error.exit_code)
    elif isinstance(error, Exception) and unprinted(error) is None:
        teller.error("internal", one_line(internal(error)), FAILURE)


class _Heeding:
    """Progress that also ends a job which went on in spite of a signal, at its next step."""

    def __init__(self, teller: Teller) -> None:
        self._teller = teller

    def plan(self, plan: Mapping[str, Any]) -> None:
        heed()
        self._teller.plan(plan)

    def advance(self, tiles: int, pixels: int) -> None:
        heed()
        self._teller.advance(tiles, pixels)

    def stage(self, name: str) -> None:
        heed()
        self._teller.stage(name)

    def warn(self, message: str) -> None:
        self._teller.warn(message)

    def note(self, values: Mapping[str, Any]) -> None:
        heed()
        self._teller.note(values)


def _teller(kind: str) -> Teller:
    if kind == "jsonl":
        from geoseg_cli.jsonl import JsonlProgress

        return JsonlProgress(sys.stdout)
    if kind == "bar" or (kind == "auto" and sys.stderr.isatty()):
        from rich.console import Console

        from geoseg_cli.bar import RichProgress

        return RichProgress(Console(stderr=True))
    return Teller()


def _show(outcome: Mapping[str, Any], asked: Asked, kind: str) -> None:
    """Print a plan or a summary: once the bar is gone, so that the two do not mix."""
    if asked.as_json:
        from geoseg_cli.jsonl import to_json

        click.echo(to_json(outcome, indent=2))
    else:
        _shower(kind, asked.dry_run)(outcome)


def _shower(kind: str, planned: bool) -> Callable[[Mapping[str, Any]], None]:
    """What prints the plan or the summary of a job of that kind."""
    if kind == "train":
        from geoseg_cli.show_training import show_training, show_training_plan

        return show_training_plan if planned else show_training
    if kind == "evaluate":
        from geoseg_cli.show_evaluation import show_evaluation
        from geoseg_cli.show_training import show_comparison_plan

        return show_comparison_plan if planned else show_evaluation
    if planned:
        from geoseg_cli.show_plan import show_plan

        return show_plan
    from geoseg_cli.show_result import show_result

    return show_result
