"""Chips to scores, scores to one raster."""
