"""Objects of semantic models that have a class for where objects end."""

from geoseg.inference.separation.watershed import separate

__all__ = ["separate"]
