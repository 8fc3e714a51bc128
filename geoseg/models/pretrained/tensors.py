"""Tensors from a file of weights; nothing in it is executed."""

from __future__ import annotations

from geoseg.models.importing.tensors import read_tensors as read_tensors
