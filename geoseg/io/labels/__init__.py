"""Labels in: polygons, lines, points and class rasters become classes and objects on a scene's grid."""

from geoseg.io.labels.labels import LabelledObjects, Labels, Truth
from geoseg.io.labels.read import is_vector, read_labels
from geoseg.io.labels.source import LabelSource

__all__ = ["LabelSource", "LabelledObjects", "Labels", "Truth", "is_vector", "read_labels"]
