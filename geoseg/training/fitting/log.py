"""The log of a run: a CSV file, and what Lightning's loggers write."""

from __future__ import annotations

import csv
import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from geoseg.errors import MissingExtraError
from geoseg.io.outputs import writing
from geoseg.training.fitting.record import Row

NAME = "log.csv"
_FIRST = ("step", "seconds", "waited", "learning_rate", "loss")
_PACKAGES = {"tensorboard": "tensorboard", "mlflow": "mlflow", "wandb": "wandb"}  # by the extra of the same name


class Log:
    """The rows of a run, as they come."""

    def __init__(self, folder: Path, kinds: Sequence[str], name: str) -> None:
        """Take the kinds of LoopOptions.logger and the run's name. Raises MissingExtraError."""
        self._path = folder / NAME if "csv" in kinds else None
        self._fields: list[str] = []
        self._loggers = [_logger(kind, folder, name) for kind in kinds if kind != "csv"]

    def begin(self, history: Sequence[Row]) -> None:
        """Write what there is already, in place of what a run wrote that was cut off after its checkpoint.

        Raises WriteError.
        """
        if self._path is None:
            return
        self._fields = _fields(history)
        with writing(self._path), self._path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self._fields)
            writer.writeheader()
            writer.writerows(map(_shortened, history))

    def add(self, history: Sequence[Row]) -> None:
        """Write the last row of the history; terms that are new get columns. Raises WriteError."""
        row = history[-1]
        if set(row) - set(self._fields):
            self.begin(history)
        elif self._path is not None:
            with writing(self._path), self._path.open("a", newline="", encoding="utf-8") as file:
                csv.DictWriter(file, self._fields).writerow(_shortened(row))
        for logger in self._loggers:
            logger.log_metrics({k: v for k, v in row.items() if k != "step"}, step=int(row["step"]))

    def end(self, status: str) -> None:
        """Close what is open; `status` is "success" or "failed"."""
        for logger in self._loggers:
            logger.finalize(status)


def _fields(history: Sequence[Row]) -> list[str]:
    names = dict.fromkeys(name for row in history for name in row)
    scores = [name for name in names if name.partition(".")[0] == "iou"]
    terms = [name for name in names if name not in _FIRST and name not in scores]
    return [*_FIRST, *sorted(terms), *sorted(scores)]


def _shortened(row: Mapping[str, float]) -> dict[str, Any]:
    return {name: value if isinstance(value, int) else f"{value:.6g}" for name, value in row.items()}


def _logger(kind: str, folder: Path, name: str) -> Any:
    package = _PACKAGES[kind]
    if importlib.util.find_spec(package) is None:
        raise MissingExtraError(kind, package, f"the log of the kind {kind}")
    from lightning.pytorch import loggers

    if kind == "tensorboard":
        return loggers.TensorBoardLogger(save_dir=folder, name="tensorboard", version="")
    if kind == "mlflow":
        return loggers.MLFlowLogger(experiment_name=name, tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")
    return loggers.WandbLogger(name=name, project="geoseg", save_dir=folder)
