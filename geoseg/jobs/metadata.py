"""What outputs say of how they were made."""

from __future__ import annotations

import geoseg
from geoseg.jobs.redact import without_secrets
from geoseg.jobs.spec import PredictJob, VectorizeJob


def job_metadata(job: PredictJob | VectorizeJob, source: str) -> dict[str, str]:
    """Tags that any job's outputs have: the version, the source scene's name, the job, and what was typed for it."""
    tags = {
        "GEOSEG_VERSION": geoseg.__version__,
        "GEOSEG_SOURCE": source,
        "GEOSEG_JOB": without_secrets(job.model_dump_json(exclude_defaults=True, exclude={"command"})),
    }
    return {**tags, "GEOSEG_COMMAND": without_secrets(job.command)} if job.command else tags
