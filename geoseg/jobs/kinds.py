"""Any job prepared, whatever its kind; what a kind does not need is not imported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from geoseg.jobs.spec import EvaluateJob, JobSpec, TrainJob, VectorizeJob

if TYPE_CHECKING:
    from collections.abc import Callable

    from geoseg.core.protocols import Progress
    from geoseg.jobs.result import Result


@dataclass(frozen=True, slots=True)
class Prepared:
    """A job that can run: `describe` tells its plan as JSON-able values, `run` carries it out."""

    describe: Callable[[], dict[str, Any]]
    run: Callable[[Progress | None], Result]


def prepare(job: JobSpec) -> Prepared:
    """The job, planned. Raises InputError of every kind."""
    if isinstance(job, VectorizeJob):
        from geoseg.jobs.vectorization import plan_vectorize, run_vectorize

        vectors = plan_vectorize(job)
        return Prepared(vectors.describe, lambda progress: run_vectorize(vectors, progress))
    if isinstance(job, TrainJob):
        from geoseg.jobs.training import plan_train, run_train

        training = plan_train(job)
        return Prepared(training.describe, lambda progress: run_train(training, progress))
    if isinstance(job, EvaluateJob):
        from geoseg.jobs.evaluating import plan_evaluate, run_evaluate

        comparison = plan_evaluate(job)
        return Prepared(comparison.describe, lambda progress: run_evaluate(comparison, progress))
    from geoseg.jobs.plan import plan
    from geoseg.jobs.run import run

    planned = plan(job)
    return Prepared(planned.describe, lambda progress: run(planned, progress))
