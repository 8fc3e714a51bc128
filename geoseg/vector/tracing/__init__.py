"""Exact outlines of components, from the strips of a class raster."""
