"""From class rasters to polygons: tracing, postprocessing, attributes."""
