"""The page that an evaluation is read on: one HTML file that asks nothing of the network."""

from geoseg.evaluation.report.exhibit import Exhibit
from geoseg.evaluation.report.exhibits import exhibits
from geoseg.evaluation.report.page import write_report

__all__ = ["Exhibit", "exhibits", "write_report"]
