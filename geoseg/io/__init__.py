"""Scenes in; rasters, polygons and pictures out."""
